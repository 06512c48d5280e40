"""What an operator's monitoring reads: counters, gauges and histograms, and the log lines that go with them.

No label has a CSR's name or uid: those are in the log.
"""

import platform
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from csr_exporter import VERSION
from csr_exporter.clock import age_of
from csr_exporter.csr import Stage, event_id
from csr_exporter.log import Log
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict

PREFIX = "csr_exporter"
# Seconds. A CSR's creation time has whole seconds. Calico's client gives up after 90 s; the service level objective is
# 30 s.
_AGES = (1, 2, 3, 5, 10, 20, 30, 60, 90, 300, 900, 3600)
_DURATIONS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60)

# They double the series of every counter.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's


class Metrics:
    """All metrics of one process; safe to use from several threads. Counters without labels start at 0."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time, descriptors
        counter, gauge, histogram = (partial(self._new, each) for each in (Counter, Gauge, Histogram))
        ages, durations = partial(histogram, buckets=_AGES), partial(histogram, buckets=_DURATIONS)
        # The queue.
        self.csr_pending: Gauge = gauge("csr_pending", "CSRs that may still get a certificate", "stage")
        self.oldest_undelivered: Gauge = gauge("oldest_undelivered_seconds", "age of the oldest unacknowledged CSR")
        self.delivery_seconds: Histogram = ages("delivery_seconds", "creation of a CSR to its acknowledgement")
        self.issuance_seconds: Histogram = ages("issuance_seconds", "creation of a CSR to its certificate")
        self.queue_changes: Counter = counter("queue_changes", "CSRs added, finished or skipped", "change")
        self.throttled: Counter = counter("throttled", "CSRs that wait for, or exceed, their requester's rate limit")
        self.names_refused: Counter = counter("names_refused", "CSRs whose name the function does not accept")
        # Delivery.
        self.send_attempts: Counter = counter("send_attempts", "answers to events", "code_class")
        self.retries: Counter = counter("retries", "events to retry, by the meaning of the answer", "reason")
        self.poison: Counter = counter("poison", "events that the function calls malformed")
        self.unfulfilled_acks: Counter = counter("unfulfilled_acks", "acknowledged CSRs without a certificate in time")
        self.takeovers: Counter = counter("takeovers", "first events sent in place of another replica")
        self.inflight: Gauge = gauge("inflight", "events in flight")
        self.concurrency_limit: Gauge = gauge("concurrency_limit", "events that may be in flight for less than 3 s")
        self.function_failing: Gauge = gauge(
            "function_failing", "1 during a pause, or while CSRs of several requesters fail and none is answered"
        )
        self.paused_seconds: Counter = counter(
            "paused_seconds", "seconds of pauses, added when a pause begins", "reason"
        )
        # The API server.
        self.lists: Counter = counter("lists", "complete lists of a reflector")
        self.resyncs: Counter = counter("resyncs", "lists beside the watch", "result")
        self.list_seconds: Histogram = durations("list_seconds", "duration of a list")
        self.list_items: Gauge = gauge("list_items", "CSRs in the last list")
        self.watches: Counter = counter("watches", "watches opened")
        self.watch_restarts: Counter = counter("watch_restarts", "watches that ended", "reason")
        self.short_watches: Counter = counter("short_watches", "watches that ended within a second")
        self.watch_last_event: Gauge = gauge("watch_last_event_timestamp_seconds", "when a watch last showed a CSR")
        self.bookmark_age: Gauge = gauge(
            "bookmark_age_seconds", "seconds since the last bookmark or the start of the watch"
        )
        self.read_failures: Counter = counter("read_failures", "failed lists and watches", "reason")
        self.parse_errors: Counter = counter("parse_errors", "malformed objects of the API server")
        self.oversize: Counter = counter("oversize", "CSRs that were too large to read")
        # The process.
        self.ready: Gauge = gauge("ready", "1 if the exporter is ready, as /readyz says")
        self.token_expiry: Gauge = gauge("token_expiry_timestamp_seconds", "when a token expires", "kind")
        self.token_refresh_errors: Counter = counter("token_refresh_errors", "failed renewals", "kind")
        self.log_lines_lost: Gauge = gauge("log_lines_lost", "log lines that the exporter could not write")
        build: Gauge = gauge("build_info", "1, with the version as a label", "version", "python")
        build.labels(version=VERSION, python=platform.python_version()).set(1)

    @property
    def counts(self) -> dict[str, int]:
        """The counters that are not 0, as `name_total` or `name_total:label`, for the log and for tests."""
        counted: dict[str, int] = {}
        for family in self.registry.collect():
            if family.type != "counter" or not family.name.startswith(PREFIX):
                continue
            for sample in family.samples:
                if sample.name.endswith("_total") and sample.value:
                    name = ":".join([sample.name.removeprefix(f"{PREFIX}_"), *sample.labels.values()])
                    counted[name] = round(sample.value)
        return dict(sorted(counted.items()))

    def value(self, name: str, **labels: str) -> float:
        """Returns a metric's value; 0 where it has none yet."""
        return self.registry.get_sample_value(f"{PREFIX}_{name}", labels) or 0.0

    def log_status(self, log: Log, unready: Sequence[str], warnings: Sequence[str] = ()) -> None:
        """Logs the status: alerts need it where no Prometheus scrapes the metrics."""
        counts = self.counts
        log.info(
            "status",
            ready=not unready,
            unready="; ".join(unready),
            warnings="; ".join(warnings) or None,
            oldest_undelivered_seconds=self.value("oldest_undelivered_seconds"),
            pending=round(sum(self.value("csr_pending", stage=stage.value) for stage in Stage)),
            in_flight=round(self.value("inflight")),
            counts=counts,
        )

    def _new(self, kind: Callable[..., Any], name: str, text: str, *labels: str, **options: object) -> Any:  # noqa: ANN401 - one of three kinds
        return kind(f"{PREFIX}_{name}", text, labels, registry=self.registry, **options)


def record(item: WorkItem, answer: Answer, *, log: Log, metrics: Metrics) -> None:
    """Counts an answer, and logs it: of a CSR that keeps failing only attempts 1, 2, 4, 8, ..."""
    is_acknowledged = answer.verdict is Verdict.ACKNOWLEDGED
    metrics.send_attempts.labels(code_class="none" if answer.status is None else f"{answer.status // 100}xx").inc()
    metrics.takeovers.inc(item.takeover)
    metrics.unfulfilled_acks.inc(item.resend > 0 and item.attempt == 1)
    if not is_acknowledged:
        metrics.retries.labels(reason=answer.verdict.value).inc()
        metrics.poison.inc(answer.verdict is Verdict.POISON)
    elif not item.resend and (age := age_of(item.reference.creation_timestamp)) is not None:
        metrics.delivery_seconds.observe(age)
    if is_acknowledged or item.attempt & (item.attempt - 1) == 0:
        write = {Verdict.ACKNOWLEDGED: log.info, Verdict.POISON: log.error}.get(answer.verdict, log.warning)
        write(
            answer.verdict.value,
            uid=item.reference.uid,
            id=event_id(item.reference.uid, item.stage, item.resend),
            stage=item.stage.value,
            attempt=item.attempt,
            resend=item.resend or None,
            takeover=item.takeover or None,
            code=answer.status,
            retry_after=answer.retry_after,
            reason=answer.reason or None,
        )
