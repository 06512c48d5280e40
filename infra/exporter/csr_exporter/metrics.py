"""What an operator's monitoring reads: counters, gauges and histograms, and the log lines that go with them.

No label has a CSR's name or uid: those are in the log. `Exposition` computes the gauges when a scrape asks for them, so
that no part has to keep a gauge up to date.
"""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from csr_exporter import VERSION
from csr_exporter.clock import Clock, age_of
from csr_exporter.csr import Seen, Stage, event_id
from csr_exporter.log import Log
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import Change, WorkItem

PREFIX = "csr_exporter"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds. What counts from a CSR's creation is as exact as the API server's clock: whole seconds. Calico's client gives
# up after 90; 30 is what the service level objective asks for.
_AGES = (1, 2, 3, 5, 10, 20, 30, 60, 90, 300, 900, 3600)
_DURATIONS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60)

# One more series for every counter, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's


class Metrics:
    """All metrics of one process; safe to use from several threads."""

    def __init__(self) -> None:
        """All counters without labels start at 0."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time, descriptors
        # What is to be done.
        self.csr_pending = self._gauge("csr_pending", "CSRs that may still get a certificate", "stage")
        self.oldest_undelivered = self._gauge("oldest_undelivered_seconds", "age of the oldest CSR not acknowledged")
        self.delivery_seconds = self._histogram("delivery_seconds", "creation of a CSR to its acknowledgement", _AGES)
        self.issuance_seconds = self._histogram("issuance_seconds", "creation of a CSR to its certificate seen", _AGES)
        # Sending.
        self.send_attempts = self._counter("send_attempts", "answers to events", "code_class")
        self.retries = self._counter("retries", "events to be sent again, by what the answer meant", "reason")
        self.poison = self._counter("poison", "events that the function calls malformed")
        self.unfulfilled_acks = self._counter("unfulfilled_acks", "acknowledged CSRs without a certificate in time")
        self.takeovers = self._counter("takeovers", "first events sent in place of another replica")
        self.throttled = self._counter("throttled", "CSRs that wait for, or exceed, their requester's rate limit")
        self.inflight = self._gauge("inflight", "events under way")
        self.concurrency_limit = self._gauge("concurrency_limit", "events that may be under way")
        self.circuit_state = self._gauge("circuit_state", "0 closed, 1 half open, 2 open")
        self.paused_seconds = self._counter("paused_seconds", "seconds in which nothing was sent", "reason")
        # Reading.
        self.queue_changes = self._counter("queue_changes", "CSRs added, ended or not held", "change")
        self.names_refused = self._counter("names_refused", "CSRs whose name the function would not take")
        self.resync_missed = self._counter("resync_missed", "CSRs that the watch should have shown and did not")
        self.lists = self._counter("lists", "complete lists")
        self.resyncs = self._counter("resyncs", "lists beside the watch: each proves that it missed nothing", "result")
        self.list_seconds = self._histogram("list_seconds", "duration of a list", _DURATIONS)
        self.list_items = self._gauge("list_items", "CSRs in the last list")
        self.watches = self._counter("watches", "watches opened")
        self.watch_restarts = self._counter("watch_restarts", "watches that ended", "reason")
        self.short_watches = self._counter("short_watches", "watches that ended within a second")
        self.watch_last_event = self._gauge("watch_last_event_timestamp_seconds", "when a watch last showed a CSR")
        self.bookmark_age = self._gauge("bookmark_age_seconds", "since the last bookmark, or start of a watch")
        self.read_failures = self._counter("read_failures", "failed lists and watches", "reason")
        self.parse_errors = self._counter("parse_errors", "objects of the API server that were not understood")
        self.oversize = self._counter("oversize", "CSRs that were too large to be read")
        # Identity.
        self.token_expiry = self._gauge("token_expiry_timestamp_seconds", "when a token ends", "kind")
        self.token_refresh_errors = self._counter("token_refresh_errors", "failed renewals", "kind")
        # The process.
        self.log_lines_lost = self._gauge("log_lines_lost", "log lines that could not be written")
        build = self._gauge("build_info", "1, with the version as a label", "version", "python")
        build.labels(version=VERSION, python=platform.python_version()).set(1)

    def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    @property
    def counts(self) -> dict[str, int]:
        """All counters that are not 0, as `name_total` or `name_total:label`, for the log and for tests."""
        counted: dict[str, int] = {}
        for family in self.registry.collect():
            if family.type != "counter" or not family.name.startswith(PREFIX):
                continue
            for sample in family.samples:
                if sample.name.endswith("_total") and sample.value:
                    name = ":".join([sample.name.removeprefix(f"{PREFIX}_"), *sample.labels.values()])
                    counted[name] = round(sample.value)
        return dict(sorted(counted.items()))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, registry=self.registry, buckets=buckets)


_OVER_LIMIT = frozenset({Change.THROTTLED, Change.OVER_LIMIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """What is to be done and how it goes, at one moment.

    Attributes:
        pending: CSRs by stage.
        oldest_undelivered: when the oldest CSR was created that the function should have acknowledged; "": none.
        in_flight: events under way.
        limit: events that may be.
        circuit: 0 closed, 1 half open, 2 open.
    """

    pending: Mapping[Stage, int]
    oldest_undelivered: str
    in_flight: int
    limit: int
    circuit: int


class Recorder:
    """Counts and logs; it decides nothing."""

    def __init__(self, *, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._is_down = False

    def refused_name(self) -> None:
        """A CSR has a name that the function would not take."""
        self._metrics.names_refused.inc()

    def changed(self, change: Change, seen: Seen) -> None:
        """An observation did this to the work."""
        if change is Change.NONE:
            return
        self._metrics.queue_changes.labels(change=change.value).inc()
        if change in _OVER_LIMIT:
            self._metrics.throttled.inc()
        age = age_of(seen.reference.creation_timestamp) if change is Change.ENDED and seen.issued else None
        if age is not None:
            self._metrics.issuance_seconds.observe(age)

    def ended(self, number: int) -> None:
        """So many CSRs are not in a list any more."""
        self._metrics.queue_changes.labels(change=Change.ENDED.value).inc(number)

    def paused_seconds(self, seconds: Mapping[str, float]) -> None:
        """For so long nothing was sent, by reason."""
        for reason, length in seconds.items():
            self._metrics.paused_seconds.labels(reason=reason).inc(length)

    def availability(self, answer: Answer, *, is_down: bool) -> None:
        """Logs once that the function cannot be reached, and once that it answers again."""
        if is_down == self._is_down:
            return
        self._is_down = is_down
        if is_down:
            self._log.error("the function cannot be reached", code=answer.status, reason=answer.reason or None)
        else:
            self._log.info("the function answers again", code=answer.status)

    def answered(self, item: WorkItem, answer: Answer) -> None:
        """An event was answered."""
        self._count(item, answer)
        write = {Verdict.ACKNOWLEDGED: self._log.info, Verdict.POISON: self._log.error}.get(
            answer.verdict, self._log.warning
        )
        # A CSR that keeps failing is logged at attempts 1, 2, 4, 8, ...
        if answer.verdict is Verdict.ACKNOWLEDGED or item.attempt & (item.attempt - 1) == 0:
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

    def _count(self, item: WorkItem, answer: Answer) -> None:
        it = self._metrics
        it.send_attempts.labels(code_class="none" if answer.status is None else f"{answer.status // 100}xx").inc()
        if item.takeover:
            it.takeovers.inc()
        if item.resend and item.attempt == 1:
            it.unfulfilled_acks.inc()
        if answer.verdict is not Verdict.ACKNOWLEDGED:
            it.retries.labels(reason=answer.verdict.value).inc()
        if answer.verdict is Verdict.POISON:
            it.poison.inc()
        age = age_of(item.reference.creation_timestamp) if answer.verdict is Verdict.ACKNOWLEDGED else None
        if age is not None and not item.resend:
            it.delivery_seconds.observe(age)


STATUS_PERIOD = 60.0


class Exposition:
    """Reads the parts and changes none of them; `run` is a thread's body."""

    def __init__(
        self,
        *,
        status: Callable[[], QueueStatus],
        token_expires_in: Callable[[], float | None],
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._status = status
        self._token_expires_in = token_expires_in
        self._clock = clock
        self._metrics = metrics
        self._log = log

    def page(self) -> bytes:
        """The page of the metrics, as they are now."""
        status = self._status()
        it = self._metrics
        for stage in Stage:
            it.csr_pending.labels(stage=stage.value).set(status.pending.get(stage, 0))
        it.oldest_undelivered.set(_age(status))
        it.inflight.set(status.in_flight)
        it.concurrency_limit.set(status.limit)
        it.circuit_state.set(status.circuit)
        it.log_lines_lost.set(self._log.lost)
        if (left := self._token_expires_in()) is not None:
            it.token_expiry.labels(kind="id").set(time.time() + left)
        return it.page()

    def run(self) -> None:
        """Writes the line `status` once a minute: what alerts need where nobody scrapes the metrics."""
        while not self._clock.wait(STATUS_PERIOD):
            self.log_status()

    def log_status(self) -> None:
        """Writes one such line."""
        status, counts = self._status(), self._metrics.counts
        self._log.info(
            "status",
            oldest_undelivered_seconds=_age(status),
            pending=sum(status.pending.values()),
            in_flight=status.in_flight,
            resync_missed=counts.get("resync_missed_total", 0),
            counts=counts,
        )


def _age(status: QueueStatus) -> float:
    """Seconds since the oldest CSR was created for which the function has acknowledged nothing."""
    return age_of(status.oldest_undelivered) or 0.0
