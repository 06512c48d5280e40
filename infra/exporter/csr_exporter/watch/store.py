"""The store: puts what lists and watches show into the work queue, and finds what the watch missed.

The resync may be behind the watch: it adds no CSR that the watch has ended meanwhile. The resync may also be ahead of
the watch. So the watch has a grace period to show what the resync added. It has missed a CSR or an approval if it then
shows only what came later, or if it is up to date after the grace period and has still not shown it.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from csr_exporter.clock import Clock, age_of
from csr_exporter.csr import Reference, Seen, Stage, is_sendable
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.queue.item import Change
from csr_exporter.queue.work_queue import WorkQueue

# Seconds. Many times the delay of an API server's watch cache.
GRACE = 75.0
_EVERYTHING = ""


@dataclass(slots=True)
class _Added:
    """What a resync added, at which stage and when. `was_shown`: the watch showed the CSR, but not its approval."""

    signer_name: str
    stage: Stage
    added_at: float
    was_shown: bool


@dataclass(kw_only=True, eq=False)
class Store:
    """Keeps the work queue in step with the API server; safe to use from several threads. `changed` guards the queue.

    The queue leaves out what exceeds its capacity, and what cannot be read. If a later resync adds that, the watch may
    well have shown it. So it does not count as missed until a whole resync has passed.
    """

    stages: Mapping[str, frozenset[Stage]]
    queue: WorkQueue
    changed: threading.Condition
    clock: Clock
    log: Log
    metrics: Metrics

    def __post_init__(self) -> None:
        self._ended_meanwhile: set[str] | None = None  # by the watch, while a resync runs
        self._added: dict[str, _Added] = {}
        # Uids and requesters of CSRs that the queue does not hold, or _EVERYTHING.
        self._left_out: set[str] = set()
        self._left_out_before: set[str] = set()
        self._relisted: set[str] = set()
        self._is_complete = True

    @property
    def waiting(self) -> int:
        """CSRs that may still get a certificate."""
        with self.changed:
            return len(self.queue)

    def watched(self, batch: Iterable[Seen], *, unread: Iterable[str | None] = ()) -> None:
        """Learns what the watch shows, or the list that it continues; `unread`: uids of CSRs that cannot be read."""
        with self.changed:
            self._left_out.update(uid for uid in unread if uid is not None)
            for seen in batch:
                stage = self._wanted(seen)
                if stage is None and self._ended_meanwhile is not None:
                    self._ended_meanwhile.add(seen.reference.uid)
                self._compare(seen)
                self._see(seen, stage)
            self.changed.notify_all()

    def relisted(self, signer_name: str, present: set[str] | None, *, since: float) -> None:
        """Ends the CSRs that the reflector's list did not show; None: the list does not say.

        The watch that follows will not show what came before this list.
        """
        with self.changed:
            self._added = {uid: added for uid, added in self._added.items() if added.signer_name != signer_name}
            self._relisted.add(signer_name)
            if present is not None:
                self._end_absent(signer_name, present, since=since, certain=True)

    def resync_begins(self) -> None:
        """Starts a resync."""
        with self.changed:
            self._ended_meanwhile = set()
            self._left_out_before = self._left_out if self._is_complete else self._left_out_before | self._left_out
            self._left_out = set()
            self._relisted.clear()

    def resynced(self, batch: Iterable[Seen], *, unread: Iterable[str | None] = ()) -> None:
        """Adds what a resync shows and the queue lacks; ends nothing."""
        with self.changed:
            self._left_out.update(uid for uid in unread if uid is not None)
            for seen in batch:
                stage = self._wanted(seen)
                if stage is not None and seen.reference.uid not in (self._ended_meanwhile or ()):
                    self._repair(seen, stage)
            self.changed.notify_all()

    def resync_ends(self, present: Mapping[str, set[str]], *, since: float) -> None:
        """Ends the CSRs that two resyncs in a row did not show; `present` has the signerNames with a complete list."""
        with self.changed:
            self._ended_meanwhile = None
            self._is_complete = len(present) == len(self.stages)
            for signer_name, uids in present.items():
                self._end_absent(signer_name, uids, since=since, certain=False)

    def count_missed(self, up_to_date: Mapping[str, float]) -> None:
        """Counts what the watch has not shown; `up_to_date`: when each signerName's watch had last shown everything."""
        with self.changed:
            for uid, added in list(self._added.items()):
                if added.added_at + GRACE <= up_to_date[added.signer_name]:
                    self._count_missed(uid)

    def capacity_returned(self) -> bool:
        """Returns once, after the queue was full, whether half of it is free again."""
        with self.changed:
            return self.queue.capacity_returned()

    def _wanted(self, seen: Seen) -> Stage | None:
        return seen.stage if seen.stage in self.stages.get(seen.reference.signer_name, ()) else None

    def _compare(self, seen: Seen) -> None:
        """Compares what the watch shows with what a resync added. A list of the reflector shows everything as new."""
        added = self._added.get(seen.reference.uid)
        if added is None:
            return
        if not seen.is_new and (seen.stage is None or not added.was_shown):
            self._count_missed(seen.reference.uid)
        elif added.stage is Stage.APPROVED and seen.stage is Stage.PENDING:
            added.was_shown = True  # its approval is still to come
        else:
            del self._added[seen.reference.uid]

    def _count_missed(self, uid: str) -> None:
        """Counts and logs what a watch missed. That must not happen."""
        signer_name = self._added.pop(uid).signer_name
        self.metrics.resync_missed.inc()
        self.log.error("the watch missed a CSR that the resync found", signer_name=signer_name, uid=uid)

    def _repair(self, seen: Seen, stage: Stage) -> None:
        it, earlier = seen.reference, self.queue.stage_of(seen.reference.uid)
        self._see(seen, stage)
        if stage is earlier or self.queue.stage_of(it.uid) is not stage or not self._is_comparable(it):
            return
        # If the exporter sends no pending CSRs, the queue does not know whether the watch showed this one before.
        was_shown = earlier is not None or Stage.PENDING not in self.stages[it.signer_name]
        self._added.setdefault(it.uid, _Added(it.signer_name, stage, self.clock.now(), was_shown))

    def _is_comparable(self, it: Reference) -> bool:
        keys = {_EVERYTHING, it.requester, it.uid}
        was_left_out = keys & self._left_out or keys & self._left_out_before
        return not was_left_out and it.signer_name not in self._relisted

    def _see(self, seen: Seen, stage: Stage | None) -> None:
        if stage is not None and not is_sendable(seen.reference.name):
            self.metrics.names_refused.inc()
            return
        change = self.queue.see(seen.reference, stage, now=self.clock.now())
        if change is Change.NONE:
            return
        self.metrics.queue_changes.labels(change=change.value).inc()
        if change is Change.FULL:
            self._left_out.add(_EVERYTHING)
        elif change is Change.OVER_LIMIT:
            self._left_out.add(seen.reference.requester)
        if change in {Change.THROTTLED, Change.OVER_LIMIT}:
            self.metrics.throttled.inc()
        age = age_of(seen.reference.creation_timestamp) if change is Change.ENDED and seen.issued else None
        if age is not None:
            self.metrics.issuance_seconds.observe(age)

    def _end_absent(self, signer_name: str, present: set[str], *, since: float, certain: bool) -> None:
        ended = self.queue.end_absent(signer_name, present, since=since, certain=certain)
        self.metrics.queue_changes.labels(change=Change.ENDED.value).inc(ended)
