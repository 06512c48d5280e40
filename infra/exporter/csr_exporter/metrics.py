"""What an operator's monitoring reads: counters, gauges and histograms, in a registry of our own.

No label has a CSR's name or uid: those are in the log. Gauges that follow from the state of other parts are computed
when the page is asked for; `exporter` says how.
"""

from __future__ import annotations

import platform

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
        self.throttled = self._counter("throttled", "CSRs that wait for, or exceed, their requester's budget")
        self.inflight = self._gauge("inflight", "events under way")
        self.concurrency_limit = self._gauge("concurrency_limit", "events that may be under way")
        self.circuit_state = self._gauge("circuit_state", "0 closed, 1 half open, 2 open")
        self.gate_seconds = self._counter("gate_seconds", "seconds in which nothing was sent", "reason")
        # Reading.
        self.work_changes = self._counter("work_changes", "CSRs added, ended or not held", "change")
        self.names_refused = self._counter("names_refused", "CSRs whose name the function would not take")
        self.resync_missed = self._counter("resync_missed", "CSRs that the watch should have shown and did not")
        self.lists = self._counter("lists", "complete lists")
        self.relists = self._counter("relists", "lists beside the watch: each proves that it missed nothing", "result")
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
