"""Proves that the watch misses nothing: whatever another list shows, the watch must have shown, or show next.

The list beside the watch may be older or newer than the watch. So a CSR that only the list shows is a suspicion first,
and so is an approval. It is over when the watch shows the CSR from its creation on, or the approval, and when the watch
had to be begun anew with a list of its own. It is proved when the watch shows only what comes after that, or has been
in step after the CSR's time was up and still not shown it. A watch that is cut off, or late, proves nothing: what it
has not got to is not missed.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from csr_exporter.csr import Seen, Stage
from csr_exporter.watch.client import WatchEvent
from csr_exporter.watch.page import Page

# Seconds that a watch gets: what a watch cache of the API server may be behind its storage, many times over.
PATIENCE = 75.0
_BITS = 1 << 21


@dataclass(slots=True)
class _Suspect:
    """A CSR that only a list shows; `known`: the watch has shown the CSR, but not its approval."""

    stage: Stage
    deadline: float
    known: bool


class MissDetector:
    """One signerName's watch against the lists beside it; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown = _Marks()
        self._next: _Marks | None = None
        self._suspects: dict[str, _Suspect] = {}
        self._missed: list[str] = []
        self._comparable = False
        self._in_step = float("-inf")

    # The reflector.

    def listed(self, page: Page) -> None:
        """The list that a watch continues shows these."""
        with self._lock:
            for seen in page.seen:
                self._show(seen)
            for uid in page.unread:
                self._add(_marks_of(uid, None))

    def begins_anew(self) -> None:
        """That list was complete: nothing can be said of what was suspected before, or what an older list shows."""
        with self._lock:
            self._suspects.clear()
            self._comparable = False

    def watched(self, events: Iterable[WatchEvent]) -> None:
        """The watch shows these."""
        with self._lock:
            for event in events:
                self._compare(event)
                self._show(event.seen)

    def in_step(self, *, now: float) -> None:
        """The watch has shown everything up to about now."""
        with self._lock:
            self._in_step = now

    # The list beside it.

    def resync_begins(self) -> None:
        """A list beside the watch is started."""
        with self._lock:
            self._next = _Marks()
            self._comparable = True

    def resynced(self, page: Page, *, now: float) -> None:
        """It shows these."""
        with self._lock:
            for uid in page.uids:
                self._add(mark for mark in _marks_of(uid, None) if mark in self._shown)
            for seen in page.seen if self._comparable else ():
                self._suspect(seen, now)

    def resync_ends(self, *, complete: bool) -> None:
        """It is over; what a complete one did not show need not be remembered."""
        with self._lock:
            if complete and self._next is not None:
                self._shown = self._next
            self._next = None

    def missed(self) -> list[str]:
        """The uids of which it is proved that the watch missed them; each is given once."""
        with self._lock:
            late = [uid for uid, suspect in self._suspects.items() if suspect.deadline <= self._in_step]
            for uid in late:
                self._add(_marks_of(uid, self._suspects.pop(uid).stage))
            missed, self._missed = self._missed + late, []
            return missed

    def _suspect(self, seen: Seen, now: float) -> None:
        uid, stage = seen.reference.uid, seen.stage
        if stage is None or all(mark in self._shown for mark in _marks_of(uid, stage)):
            return
        known = _marks_of(uid, Stage.PENDING)[0] in self._shown
        self._suspects.setdefault(uid, _Suspect(stage, deadline=now + PATIENCE, known=known))

    def _compare(self, event: WatchEvent) -> None:
        uid, stage = event.seen.reference.uid, event.seen.stage
        suspect = self._suspects.get(uid)
        if suspect is None:
            return
        if not event.is_new and (stage is None or not suspect.known):
            self._missed.append(uid)
        elif suspect.stage is Stage.APPROVED and stage is Stage.PENDING:
            suspect.known = True  # its approval is still to come
            return
        del self._suspects[uid]

    def _show(self, seen: Seen) -> None:
        self._add(_marks_of(seen.reference.uid, seen.stage))

    def _add(self, marks: Iterable[str]) -> None:
        for mark in marks:
            self._shown.add(mark)
            if self._next is not None:
                self._next.add(mark)


def _marks_of(uid: str, stage: Stage | None) -> tuple[str, ...]:
    """What is known of a CSR that was shown at a stage: at its end, that nothing of it is still to be shown."""
    return (uid,) if stage is Stage.PENDING else (uid, f"{uid}/{Stage.APPROVED.value}")


class _Marks:
    """A set of texts in little memory, however many: with 10,000 in it one of 200 others seems to be in it."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)

    def add(self, text: str) -> None:
        place = hash(text) % _BITS
        self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, text: str) -> bool:
        place = hash(text) % _BITS
        return bool(self._bits[place >> 3] & 1 << (place & 7))
