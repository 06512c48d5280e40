"""The store: puts what lists and watches show into the work queue.

A resync adds what the queue lacks, whatever the reason: the watch missed it, or the queue was full. It may be behind
the watch, so it adds no CSR that the watch has ended meanwhile.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from csr_exporter.clock import Clock, age_of
from csr_exporter.csr import Seen, Stage, is_sendable
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.queue.item import Change
from csr_exporter.queue.work_queue import WorkQueue


@dataclass(kw_only=True, eq=False)
class Store:
    """Keeps the work queue in step with the API server; safe to use from several threads: `changed` guards both."""

    stages: Mapping[str, frozenset[Stage]]
    queue: WorkQueue
    changed: threading.Condition
    clock: Clock
    log: Log
    metrics: Metrics

    def __post_init__(self) -> None:
        self._ended_meanwhile: set[str] | None = None  # by the watch, while a resync runs

    @property
    def waiting(self) -> int:
        """CSRs that may still get a certificate."""
        with self.changed:
            return len(self.queue)

    def watched(self, batch: Iterable[Seen]) -> None:
        """Learns what the watch shows, or the list that it continues."""
        with self.changed:
            for seen in batch:
                stage = self._wanted(seen)
                if stage is None and self._ended_meanwhile is not None:
                    self._ended_meanwhile.add(seen.reference.uid)
                self._see(seen, stage)
            self.changed.notify_all()

    def relisted(self, signer_name: str, present: set[str], *, since: float) -> None:
        """Ends the CSRs that the reflector's list did not show."""
        with self.changed:
            self._end_absent(signer_name, present, since=since, certain=True)

    def resync_begins(self) -> None:
        """Starts a resync."""
        with self.changed:
            self._ended_meanwhile = set()

    def resynced(self, batch: Iterable[Seen]) -> None:
        """Adds what a resync shows and the queue lacks; ends nothing."""
        with self.changed:
            for seen in batch:
                stage = self._wanted(seen)
                if stage is not None and seen.reference.uid not in (self._ended_meanwhile or ()):
                    self._see(seen, stage)
            self.changed.notify_all()

    def resync_ends(self, present: Mapping[str, set[str]], *, since: float) -> None:
        """Ends the CSRs that two resyncs in a row did not show; `present` has the signerNames with a complete list."""
        with self.changed:
            self._ended_meanwhile = None
            for signer_name, uids in present.items():
                self._end_absent(signer_name, uids, since=since, certain=False)

    def capacity_returned(self) -> bool:
        """Returns once, after the queue was full, whether half of it is free again."""
        with self.changed:
            return self.queue.capacity_returned()

    def _wanted(self, seen: Seen) -> Stage | None:
        return seen.stage if seen.stage in self.stages.get(seen.reference.signer_name, ()) else None

    def _see(self, seen: Seen, stage: Stage | None) -> None:
        if stage is not None and not is_sendable(seen.reference.name):
            self.metrics.names_refused.inc()
            return
        change = self.queue.see(seen.reference, stage, now=self.clock.now())
        if change is Change.NONE:
            return
        self.metrics.queue_changes.labels(change=change.value).inc()
        if change in {Change.THROTTLED, Change.OVER_LIMIT}:
            self.metrics.throttled.inc()
        age = age_of(seen.reference.creation_timestamp) if change is Change.ENDED and seen.issued else None
        if age is not None:
            self.metrics.issuance_seconds.observe(age)

    def _end_absent(self, signer_name: str, present: set[str], *, since: float, certain: bool) -> None:
        ended = self.queue.end_absent(signer_name, present, since=since, certain=certain)
        self.metrics.queue_changes.labels(change=Change.ENDED.value).inc(ended)
