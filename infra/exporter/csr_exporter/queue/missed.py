"""Finds what the watch missed: CSRs and approvals that a resync had to add to the work queue.

The resync may be ahead of the watch. So the watch has a grace period to show what the resync added. It has missed a CSR
if it then shows only what came later, or if it is up to date after the grace period and has still not shown the CSR.
Pure: time is an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from csr_exporter.csr import Reference, Stage

# Seconds. Many times the delay of an API server's watch cache.
GRACE = 75.0
EVERYTHING = ""
"""What `left_out` takes if the queue is full."""


@dataclass(slots=True)
class _Added:
    """What a resync added, at which stage and when. `was_shown`: the watch showed the CSR, but not its approval."""

    signer_name: str
    stage: Stage
    added_at: float
    was_shown: bool


class MissedEvents:
    """What the resyncs added and the watch has yet to show. The work queue remembers what the watch has shown.

    The queue leaves out what exceeds its capacity, and what cannot be read. If a later resync adds that, the watch may
    well have shown it. So it does not count until a whole resync has passed.
    """

    def __init__(self) -> None:
        self._added: dict[str, _Added] = {}
        self._missed: list[tuple[str, str]] = []
        self._left_out: set[str] = set()
        self._left_out_before: set[str] = set()
        self._relisted: set[str] = set()
        self._is_complete = True

    def left_out(self, *keys: str) -> None:
        """Remembers uids or requesters of CSRs that the queue does not hold, or `EVERYTHING`."""
        self._left_out.update(keys)

    def resync_begins(self) -> None:
        """Starts a resync."""
        self._left_out_before = self._left_out if self._is_complete else self._left_out_before | self._left_out
        self._left_out = set()
        self._relisted.clear()

    def resync_ends(self, *, is_complete: bool) -> None:
        """Ends a resync; `is_complete`: it listed every CSR."""
        self._is_complete = is_complete

    def added(self, reference: Reference, stage: Stage, *, was_shown: bool, now: float) -> None:
        """Expects the watch to show what the resync has just added to the queue."""
        left_out = self._left_out | self._left_out_before
        is_comparable = left_out.isdisjoint({EVERYTHING, reference.requester, reference.uid})
        if is_comparable and reference.signer_name not in self._relisted:
            self._added.setdefault(reference.uid, _Added(reference.signer_name, stage, now, was_shown))

    def shown(self, uid: str, stage: Stage | None, *, is_new: bool) -> None:
        """Learns what the watch shows; `is_new`: for the first time. A list of the reflector shows everything so."""
        added = self._added.get(uid)
        if added is None:
            return
        if not is_new and (stage is None or not added.was_shown):
            self._missed.append((added.signer_name, uid))
        elif added.stage is Stage.APPROVED and stage is Stage.PENDING:
            added.was_shown = True  # its approval is still to come
            return
        del self._added[uid]

    def relisted(self, signer_name: str) -> None:
        """Forgets a signerName: the reflector listed everything, so that its watch will not show what came before."""
        self._added = {uid: added for uid, added in self._added.items() if added.signer_name != signer_name}
        self._relisted.add(signer_name)

    def take(self, up_to_date: Mapping[str, float]) -> list[tuple[str, str]]:
        """Returns signerName and uid of what the watch missed, each once.

        Args:
            up_to_date: for each signerName, when its watch had last shown everything.
        """
        for uid, added in list(self._added.items()):
            if added.added_at + GRACE <= up_to_date[added.signer_name]:
                self._missed.append((added.signer_name, uid))
                del self._added[uid]
        missed, self._missed = self._missed, []
        return missed
