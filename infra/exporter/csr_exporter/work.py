"""What is still to be done: every CSR that may yet get a certificate, and when its next event is due.

The whole state of the exporter, in memory only and keys only: the API server is the durable queue. Pure: time is an
argument, nothing waits, nothing is sent. An entry leaves only when the API server showed that nothing is left to do.

The way of an entry: seen, left to the replica that owns it for a while, its requester's turn, in flight, settled, which
makes it due again: soon after a failure, much later after an acknowledgement.
"""

from __future__ import annotations

import enum
import random
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from csr_exporter import retry
from csr_exporter.answer import Verdict
from csr_exporter.budget import Budget, Limits
from csr_exporter.csr import Stage
from csr_exporter.entry import Entry
from csr_exporter.replicas import Replicas
from csr_exporter.room import Room
from csr_exporter.schedule import Schedule
from csr_exporter.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from csr_exporter.answer import Answer
    from csr_exporter.csr import Reference

# Bounds the memory (about 1 KiB each); what does not fit is found again by a later list.
MOST_ENTRIES = 20_000
# New work goes first, then retries, then what hung; in every fourth turn it is the other way round: nothing starves.
_TURNS = 4


class Change(enum.Enum):
    """What an observation did to the work."""

    NONE = "none"
    ADDED = "added"
    THROTTLED = "throttled"
    """Added, and has to wait for its requester's budget."""
    ENDED = "ended"
    CROWDED = "crowded"
    """Not held: its requester has too many."""
    FULL = "full"
    """Not held: there are too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One event to be sent now.

    Attributes:
        attempt: counts from 1.
        resend: deliberate repetitions after acknowledgements.
        takeover: another replica should have sent it.
        suspect: the last one failed as if the function was at fault, and yet the function has answered what was sent
            since; or it was not answered for long. What it suffers says nothing of the function.
    """

    reference: Reference
    stage: Stage
    attempt: int
    resend: int
    takeover: bool = False
    suspect: bool = False


class Work:
    """The entries by uid; new ones take `Turns`, what was tried before has a time in a `Schedule`."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        replicas: Replicas | None = None,
        most: int = MOST_ENTRIES,
        chance: Callable[[], float] = random.random,
    ) -> None:
        limits = limits or Limits()
        self._replicas = replicas or Replicas()
        self._room = Room(limits, most)
        self._chance = chance
        self._entries: dict[str, Entry] = {}
        self._staggered = Schedule(self._due_of)
        self._budget = Budget(limits)
        self._turns = Turns(self._budget)
        self._retries = Schedule(self._due_of)
        self._hung = Schedule(self._due_of)
        self._in_flight: set[str] = set()
        self._turn = 0
        self._answered = float("-inf")

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, uid: str) -> bool:
        return uid in self._entries

    def pending(self) -> Counter[Stage]:
        """How many CSRs there are in each stage."""
        return Counter(entry.stage for entry in self._entries.values())

    def oldest_undelivered(self) -> str:
        """When the oldest CSR was created of which nothing is acknowledged; "" where there is none."""
        waiting = (each.reference.creation_timestamp for each in self._entries.values() if each.acknowledged is None)
        return min(waiting, default="")

    def described(self, most: int, now: float) -> list[dict[str, object]]:
        """The entries that are held for longest, for an operator."""
        return [entry.described(now) for entry in islice(self._entries.values(), most)]

    def see(self, reference: Reference, stage: Stage | None, *, now: float) -> Change:
        """Learns what a CSR looks like; `stage` None means that nothing is left to do for it.

        A CSR that is known stays the same work: only a later stage changes what is sent next, never how often.
        """
        entry = self._entries.get(reference.uid)
        if stage is None:
            return Change.NONE if entry is None else self._end(entry)
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
        gone = [entry for entry in absent if certain or entry.absences > 1]
        for entry in gone:
            self._end(entry)
        return len(gone)

    def room_came(self) -> bool:
        """Whether there is much room again for what was left out when there was none; that is said once."""
        return self._room.came()

    def take(self, now: float, *, hung: bool = True) -> Parcel | None:
        """The next event that is due, or None. At most one event of a CSR is in flight until it is settled.

        Without `hung` none of those that were not answered for long.
        """
        while (uid := self._staggered.pop(now)) is not None:
            self._queue(self._entries[uid], now)
        self._turn = (self._turn + 1) % _TURNS
        sources: list[Schedule | Turns] = [self._turns, self._retries, *([self._hung] if hung else [])]
        for source in sources if self._turn else reversed(sources):
            uid = source.take(now) if isinstance(source, Turns) else self._take_retry(source, now)
            if uid is not None:
                return self._dispatch(self._entries[uid])
        return None

    def next_due(self, *, hung: bool = True) -> float | None:
        """When `take` can give something, at the earliest."""
        sources: list[Schedule | Turns] = [self._staggered, self._turns, self._retries, *([self._hung] if hung else [])]
        times = [each.next_due() for each in sources]
        return min((time for time in times if time is not None), default=None)

    def settle(
        self, parcel: Parcel, answer: Answer, *, now: float, took: float = 0.0, costs_a_token: bool = True
    ) -> None:
        """Decides when a CSR is due again after the answer to its event, which took so many seconds.

        `costs_a_token` says whether the next event counts to the requester's budget, as its first did.
        """
        self._in_flight.discard(parcel.reference.uid)
        if retry.is_about_the_csr(answer):
            self._answered = max(self._answered, now - took)
        entry = self._entries.get(parcel.reference.uid)
        if entry is None:
            return  # it ended while it was in flight
        entry.in_flight, entry.code = False, answer.status
        entry.hung = retry.is_hang(answer, took)
        entry.failed_at = retry.failed_at(answer, entry.failed_at, now)
        entry.costs_a_token = costs_a_token
        if answer.verdict is Verdict.ACKNOWLEDGED:
            self._acknowledge(entry, parcel, now)
            return
        is_blamed = parcel.suspect or answer.verdict not in retry.BLAMELESS
        entry.failures += is_blamed
        pause = retry.pause(answer, entry.failures, self._chance) if is_blamed else 0.0
        self._retry(entry, now + pause)

    def _add(self, reference: Reference, stage: Stage, now: float) -> Change:
        if self._room.is_crowded(reference.requester):
            return Change.CROWDED
        if self._room.is_full():
            return Change.FULL
        self._room.held(reference.requester)
        entry = self._entries[reference.uid] = Entry(reference, stage, added_at=now)
        if reference.uid in self._in_flight:  # it has come back while its event is under way
            entry.tried = entry.in_flight = True
            return Change.ADDED
        delay = self._replicas.delay(reference.uid)
        if delay:
            entry.due = now + delay
            self._staggered.add(entry.due, reference.uid)
            return Change.ADDED
        return Change.THROTTLED if self._queue(entry, now) else Change.ADDED

    def _end(self, entry: Entry) -> Change:
        uid, requester = entry.reference.uid, entry.reference.requester
        del self._entries[uid]
        self._room.left(requester)
        if not entry.tried:
            self._turns.discard(requester, uid)
        return Change.ENDED

    def _approve(self, entry: Entry, reference: Reference, now: float) -> None:
        entry.stage, entry.reference, entry.resends = Stage.APPROVED, reference, 0
        # Another event is to be sent now: what the last one was answered, poison or later, need not be waited for.
        soon = now + retry.SETTLING + self._replicas.delay(reference.uid)
        if entry.tried and entry.due is not None and entry.due > soon:
            self._retry(entry, soon)

    def _queue(self, entry: Entry, now: float) -> bool:
        entry.due = None
        return self._turns.add(entry.reference.requester, entry.reference.uid, now=now)

    def _retry(self, entry: Entry, due: float) -> None:
        entry.due = due
        (self._hung if entry.hung else self._retries).add(due, entry.reference.uid)

    def _take_retry(self, schedule: Schedule, now: float) -> str | None:
        """Returns the uid of the retry that is due, and spends its requester's token where the retry costs one.

        A retry for which the requester has no token waits until there is one.
        """
        while (uid := schedule.pop(now)) is not None:
            entry = self._entries[uid]
            requester = entry.reference.requester
            # The back-off alone bounds the retries of an only CSR, so that an honest pod's deferred CSR is in time.
            if not entry.costs_a_token or self._room.holds_one(requester):
                return uid
            available_at = self._budget.available_at(requester)
            if available_at <= now:
                self._budget.spend(requester, now)
                return uid
            self._retry(entry, available_at)
        return None

    def _dispatch(self, entry: Entry) -> Parcel:
        if entry.acknowledged is entry.stage:
            entry.resends += 1
        takeover = not entry.tried and self._replicas.delay(entry.reference.uid) > 0
        # Until it is acknowledged anew, further attempts are retries of this very event.
        entry.acknowledged = entry.due = None
        entry.tried = entry.in_flight = True
        self._in_flight.add(entry.reference.uid)
        return Parcel(
            reference=entry.reference,
            stage=entry.stage,
            attempt=entry.failures + 1,
            resend=entry.resends,
            takeover=takeover,
            suspect=entry.hung or (entry.failed_at is not None and self._answered > entry.failed_at),
        )

    def _acknowledge(self, entry: Entry, parcel: Parcel, now: float) -> None:
        entry.acknowledged, entry.failures = parcel.stage, 0
        window = retry.fulfilment(entry.resends) if parcel.stage is entry.stage else retry.SETTLING
        self._retry(entry, now + window)

    def _due_of(self, uid: str) -> float | None:
        entry = self._entries.get(uid)
        return None if entry is None else entry.due
