"""What is still to be done: every CSR that may yet get a certificate, and when its next event is due.

The whole state of the exporter, in memory only and keys only: the API server is the durable queue. Pure: time is an
argument, nothing waits, nothing is sent. An entry leaves only when the API server showed that nothing is left to do.
"""

from __future__ import annotations

import enum
import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from csr_exporter.answer import Verdict
from csr_exporter.backoff import full_jitter
from csr_exporter.csr import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from csr_exporter.answer import Answer
    from csr_exporter.csr import Reference

# An acknowledged CSR must show a certificate, Denied or Failed within this time, which doubles with every resend.
FULFILMENT = 60.0
LONGEST_FULFILMENT = 3600.0
# After an acknowledgement of stage pending, an approval is normally the function's own: its certificate is on the way.
SETTLING = 5.0
SHORTEST_RETRY = 0.5
LONGEST_RETRY = 60.0
POISON_RETRY = 3600.0
# For so many failures in a row a Retry-After is taken as it is; then the own back-off grows above it.
TRUSTED_RETRY_AFTERS = 16
# Bounds the memory (about 1 KiB each); what does not fit is found again by a later list.
MOST_ENTRIES = 20_000
# New work goes first, but every fourth turn is a retry's, so that neither starves.
_TURNS = 4
_BLAMELESS = frozenset({Verdict.CREDENTIAL, Verdict.ENDPOINT, Verdict.RETIRED})


class Change(enum.Enum):
    """What an observation did to the work."""

    NONE = "none"
    ADDED = "added"
    ENDED = "ended"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One event to be sent now; `attempt` counts from 1, `resend` deliberate repetitions after acknowledgements."""

    reference: Reference
    stage: Stage
    attempt: int
    resend: int


@dataclass(slots=True)
class _Entry:
    reference: Reference
    stage: Stage
    added_at: float
    due: float
    ticket: int = 0
    failures: int = 0
    resends: int = 0
    tried: bool = False
    in_flight: bool = False
    acknowledged: Stage | None = None
    absences: int = 0


class Work:
    """The entries by uid, and two heaps of what is due: new work, and everything that was tried before."""

    def __init__(self, *, most: int = MOST_ENTRIES, chance: Callable[[], float] = random.random) -> None:
        self._most = most
        self._chance = chance
        self._entries: dict[str, _Entry] = {}
        self._fresh: list[tuple[float, int, str]] = []
        self._tried: list[tuple[float, int, str]] = []
        self._in_flight: set[str] = set()
        self._tickets = 0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, uid: str) -> bool:
        return uid in self._entries

    def see(self, reference: Reference, stage: Stage | None, *, now: float) -> Change:
        """Learns what a CSR looks like; `stage` None means that nothing is left to do for it.

        A CSR that is known stays the same work: only a later stage changes what is sent next, never how often.
        """
        if stage is None:
            return Change.NONE if self._entries.pop(reference.uid, None) is None else Change.ENDED
        entry = self._entries.get(reference.uid)
        if entry is None:
            return self._add(reference, stage, now)
        entry.absences = 0
        if stage is Stage.APPROVED and entry.stage is Stage.PENDING:
            self._approve(entry, reference, now)
        return Change.NONE

    def end_absent(self, signer_name: str, present: Collection[str], *, since: float, certain: bool) -> int:
        """Ends a signerName's entries that a list taken since `since` did not show; returns how many.

        What was added later than that is left alone. Where a watch runs beside the list, the list may be behind it
        (`certain` False): then an entry must be absent twice in a row.
        """
        absent = [
            entry
            for uid, entry in self._entries.items()
            if entry.reference.signer_name == signer_name and uid not in present and entry.added_at < since
        ]
        for entry in absent:
            entry.absences += 1
            if certain or entry.absences > 1:
                del self._entries[entry.reference.uid]
        return sum(1 for entry in absent if entry.reference.uid not in self._entries)

    def take(self, now: float) -> Parcel | None:
        """The next event that is due, or None. At most one event of a CSR is in flight until it is settled."""
        self._turn = (self._turn + 1) % _TURNS
        for heap in (self._fresh, self._tried) if self._turn else (self._tried, self._fresh):
            entry = self._pop(heap, now)
            if entry is not None:
                return self._dispatch(entry)
        return None

    def next_due(self) -> float | None:
        """When `take` can give something, at the earliest."""
        return min((heap[0][0] for heap in (self._fresh, self._tried) if self._prune(heap)), default=None)

    def settle(self, parcel: Parcel, answer: Answer, *, now: float) -> None:
        """Decides when a CSR is due again after the answer to its event."""
        self._in_flight.discard(parcel.reference.uid)
        entry = self._entries.get(parcel.reference.uid)
        if entry is None:
            return  # it ended while it was in flight
        entry.in_flight = False
        if answer.verdict is Verdict.ACKNOWLEDGED:
            self._acknowledge(entry, parcel, now)
            return
        if answer.verdict not in _BLAMELESS:
            entry.failures += 1
        self._schedule(entry, now + self._pause(entry, answer))

    def _add(self, reference: Reference, stage: Stage, now: float) -> Change:
        if len(self._entries) >= self._most:
            return Change.FULL
        entry = _Entry(reference, stage, added_at=now, due=now, in_flight=reference.uid in self._in_flight)
        self._entries[reference.uid] = entry
        if not entry.in_flight:
            self._schedule(entry, now)
        return Change.ADDED

    def _approve(self, entry: _Entry, reference: Reference, now: float) -> None:
        entry.stage, entry.reference, entry.resends = Stage.APPROVED, reference, 0
        if entry.acknowledged is not None and not entry.in_flight:
            self._schedule(entry, min(entry.due, now + SETTLING))

    def _dispatch(self, entry: _Entry) -> Parcel:
        if entry.acknowledged is entry.stage:
            entry.resends += 1
        # Until it is acknowledged anew, further attempts are retries of this very event.
        entry.acknowledged = None
        entry.tried = entry.in_flight = True
        self._in_flight.add(entry.reference.uid)
        return Parcel(reference=entry.reference, stage=entry.stage, attempt=entry.failures + 1, resend=entry.resends)

    def _acknowledge(self, entry: _Entry, parcel: Parcel, now: float) -> None:
        entry.acknowledged, entry.failures = parcel.stage, 0
        window = min(LONGEST_FULFILMENT, FULFILMENT * 2.0 ** min(entry.resends, 16))
        self._schedule(entry, now + (window if parcel.stage is entry.stage else SETTLING))

    def _pause(self, entry: _Entry, answer: Answer) -> float:
        """Seconds until the next try. What the function asks for of everything is `Pace`'s to see to."""
        if answer.verdict in _BLAMELESS:
            return 0.0
        if answer.verdict is Verdict.POISON:
            return POISON_RETRY
        # What the function asks for is what it gets, unless that leads nowhere for long.
        failures = entry.failures if answer.retry_after is None else max(0, entry.failures - TRUSTED_RETRY_AFTERS)
        own = full_jitter(failures, least=SHORTEST_RETRY, most=LONGEST_RETRY, chance=self._chance)
        return max(own, answer.retry_after or 0.0)

    def _schedule(self, entry: _Entry, due: float) -> None:
        self._tickets += 1
        entry.due, entry.ticket = due, self._tickets
        heap = self._tried if entry.tried else self._fresh
        heapq.heappush(heap, (due, entry.ticket, entry.reference.uid))
        if len(heap) > 2 * len(self._entries) + 64:
            self._compact(heap)

    def _compact(self, heap: list[tuple[float, int, str]]) -> None:
        heap[:] = [place for place in heap if self._holds(place)]
        heapq.heapify(heap)

    def _pop(self, heap: list[tuple[float, int, str]], now: float) -> _Entry | None:
        if self._prune(heap) and heap[0][0] <= now:
            return self._entries[heapq.heappop(heap)[2]]
        return None

    def _prune(self, heap: list[tuple[float, int, str]]) -> bool:
        """Drops places that no entry holds any more from the top; True if something is left."""
        while heap and not self._holds(heap[0]):
            heapq.heappop(heap)
        return bool(heap)

    def _holds(self, place: tuple[float, int, str]) -> bool:
        entry = self._entries.get(place[2])
        return entry is not None and entry.ticket == place[1] and not entry.in_flight
