"""What is still to be done: every CSR that may yet get a certificate, and when its next event is due.

The whole state of the exporter, in memory only and keys only: the API server is the durable queue. Pure: time is an
argument, nothing waits, nothing is sent. A CSR leaves only when the API server showed that nothing is left to do.

The way of a CSR: seen, left to the replica that owns it for a while, queued, in flight, settled. Then it is due again:
soon after a failure, much later after an acknowledgement.
"""

import enum
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice

from csr_exporter.csr import Reference, Stage
from csr_exporter.queue import retry_policy
from csr_exporter.queue.fair_queue import Capacity, FairQueue, RateLimit, TokenBuckets
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import Answer, Verdict


@dataclass(slots=True)
class TrackedCsr:
    """A CSR and how far its events have come; `WorkQueue` alone changes it.

    Attributes:
        reference: which CSR.
        stage: of which the next event is.
        added_at: when it was first seen.
        due: when its next event is; None while it waits in the fair queue, or is in flight.
        failures: in a row, of the event that is to be sent.
        resends: deliberate repetitions in this stage.
        tried: whether anything was ever sent.
        in_flight: whether an event is under way.
        hung: whether the last event was not answered for long.
        failed_at: when its event failed as if the function was at fault; it is suspect once others are answered.
        costs_a_token: whether the next event is its requester's doing, and not due to a fault of the function.
        acknowledged: the stage of which the last event was acknowledged, if nothing was sent since.
        absences: lists in a row that did not show it.
        code: HTTP status of the last answer.
    """

    reference: Reference
    stage: Stage
    added_at: float
    due: float | None = None
    failures: int = 0
    resends: int = 0
    tried: bool = False
    in_flight: bool = False
    hung: bool = False
    failed_at: float | None = None
    costs_a_token: bool = False
    acknowledged: Stage | None = None
    absences: int = 0
    code: int | None = None

    def described(self, now: float) -> dict[str, object]:
        """The entry as an operator sees it: without its name, and with what is due in seconds from now."""
        return {
            "uid": self.reference.uid,
            "stage": self.stage.value,
            "attempts": self.failures,
            "resends": self.resends,
            "in_flight": self.in_flight,
            "due_in": None if self.due is None else round(self.due - now, 1),
            "code": self.code,
        }


_SWEEP = 64


class DelayQueue:
    """Places (time, number, uid); only those count at which `due_of` says that the uid is due, others are outdated.

    Of those due at the same time, the one that was added first goes first.
    """

    def __init__(self, due_of: Callable[[str], float | None]) -> None:
        self._due_of = due_of
        self._heap: list[tuple[float, int, str]] = []
        self._number = itertools.count()
        self._sweep_at = _SWEEP

    def add(self, due: float, uid: str) -> None:
        """Makes a place; an earlier one of the uid is outdated by that."""
        heapq.heappush(self._heap, (due, next(self._number), uid))
        if len(self._heap) > self._sweep_at:
            self._heap = [place for place in self._heap if self._holds(place)]
            heapq.heapify(self._heap)
            self._sweep_at = 2 * len(self._heap) + _SWEEP

    def pop(self, now: float) -> str | None:
        """The uid that has been due for longest, or None."""
        due = self.next_due()
        return heapq.heappop(self._heap)[2] if due is not None and due <= now else None

    def next_due(self) -> float | None:
        """When `pop` can give something."""
        while self._heap and not self._holds(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _holds(self, place: tuple[float, int, str]) -> bool:
        return self._due_of(place[2]) == place[0]


# Bounds the memory (about 1 KiB each); what does not fit is found again by a later list.
MOST_CSRS = 20_000
# New work goes first, then retries, then what hung; every fourth time it is the other way round: nothing starves.
_ROUND = 4


class Change(enum.Enum):
    """What an observation did to the work."""

    NONE = "none"
    ADDED = "added"
    THROTTLED = "throttled"
    """Added, and has to wait for its requester's rate limit."""
    ENDED = "ended"
    OVER_LIMIT = "over_limit"
    """Not held: its requester has too many."""
    FULL = "full"
    """Not held: there are too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
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


class WorkQueue:
    """The entries by uid; new ones take `FairQueue`, what was tried before has a time in a `DelayQueue`."""

    def __init__(
        self,
        *,
        rate_limit: RateLimit | None = None,
        replicas: Replicas | None = None,
        most: int = MOST_CSRS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        rate_limit = rate_limit or RateLimit()
        self._replicas = replicas or Replicas()
        self._capacity = Capacity(rate_limit, most)
        self._chance = chance
        self._tracked: dict[str, TrackedCsr] = {}
        self._staggered = DelayQueue(self._due_of)
        self._buckets = TokenBuckets(rate_limit)
        self._new = FairQueue(self._buckets)
        self._retries = DelayQueue(self._due_of)
        self._hung = DelayQueue(self._due_of)
        self._in_flight: set[str] = set()
        self._round = 0
        self._answered = float("-inf")

    def __len__(self) -> int:
        return len(self._tracked)

    def __contains__(self, uid: str) -> bool:
        return uid in self._tracked

    def pending(self) -> Counter[Stage]:
        """How many CSRs there are in each stage."""
        return Counter(tracked.stage for tracked in self._tracked.values())

    def oldest_undelivered(self) -> str:
        """When the oldest CSR was created of which nothing is acknowledged; "" where there is none."""
        waiting = (each.reference.creation_timestamp for each in self._tracked.values() if each.acknowledged is None)
        return min(waiting, default="")

    def described(self, most: int, now: float) -> list[dict[str, object]]:
        """The entries that are held for longest, for an operator."""
        return [tracked.described(now) for tracked in islice(self._tracked.values(), most)]

    def see(self, reference: Reference, stage: Stage | None, *, now: float) -> Change:
        """Learns what a CSR looks like; `stage` None means that nothing is left to do for it.

        A CSR that is known stays the same work: only a later stage changes what is sent next, never how often.
        """
        tracked = self._tracked.get(reference.uid)
        if stage is None:
            return Change.NONE if tracked is None else self._end(tracked)
        if tracked is None:
            return self._add(reference, stage, now)
        tracked.absences = 0
        if stage is Stage.APPROVED and tracked.stage is Stage.PENDING:
            self._approve(tracked, reference, now)
        return Change.NONE

    def end_absent(self, signer_name: str, present: Collection[str], *, since: float, certain: bool) -> int:
        """Ends a signerName's entries that a list taken since `since` did not show; returns how many.

        What was added later than that is left alone. Where a watch runs beside the list, the list may be behind it
        (`certain` False): then an entry must be absent twice in a row.
        """
        absent = [
            tracked
            for uid, tracked in self._tracked.items()
            if tracked.reference.signer_name == signer_name and uid not in present and tracked.added_at < since
        ]
        for tracked in absent:
            tracked.absences += 1
        gone = [tracked for tracked in absent if certain or tracked.absences > 1]
        for tracked in gone:
            self._end(tracked)
        return len(gone)

    def capacity_returned(self) -> bool:
        """Whether there is much capacity again for what was left out when there was none; that is said once."""
        return self._capacity.returned()

    def take(self, now: float, *, hung: bool = True) -> WorkItem | None:
        """The next event that is due, or None. At most one event of a CSR is in flight until it is settled.

        Without `hung` none of those that were not answered for long.
        """
        while (uid := self._staggered.pop(now)) is not None:
            self._enqueue(self._tracked[uid], now)
        self._round = (self._round + 1) % _ROUND
        sources: list[DelayQueue | FairQueue] = [self._new, self._retries, *([self._hung] if hung else [])]
        for source in sources if self._round else reversed(sources):
            uid = source.take(now) if isinstance(source, FairQueue) else self._take_retry(source, now)
            if uid is not None:
                return self._dispatch(self._tracked[uid])
        return None

    def next_due(self, *, hung: bool = True) -> float | None:
        """When `take` can give something, at the earliest."""
        sources: list[DelayQueue | FairQueue] = [
            self._staggered,
            self._new,
            self._retries,
            *([self._hung] if hung else []),
        ]
        times = [each.next_due() for each in sources]
        return min((time for time in times if time is not None), default=None)

    def settle(
        self, item: WorkItem, answer: Answer, *, now: float, took: float = 0.0, costs_a_token: bool = True
    ) -> None:
        """Decides when a CSR is due again after the answer to its event, which took so many seconds.

        `costs_a_token` says whether the next event counts to the requester's rate limit, as its first did.
        """
        self._in_flight.discard(item.reference.uid)
        if retry_policy.is_about_the_csr(answer):
            self._answered = max(self._answered, now - took)
        tracked = self._tracked.get(item.reference.uid)
        if tracked is None:
            return  # it ended while it was in flight
        tracked.in_flight, tracked.code = False, answer.status
        tracked.hung = retry_policy.is_hang(answer, took)
        tracked.failed_at = retry_policy.failed_at(answer, tracked.failed_at, now)
        tracked.costs_a_token = costs_a_token
        if answer.verdict is Verdict.ACKNOWLEDGED:
            self._acknowledge(tracked, item, now)
            return
        is_blamed = item.suspect or answer.verdict not in retry_policy.BLAMELESS
        tracked.failures += is_blamed
        pause = retry_policy.pause(answer, tracked.failures, self._chance) if is_blamed else 0.0
        self._retry(tracked, now + pause)

    def _add(self, reference: Reference, stage: Stage, now: float) -> Change:
        if self._capacity.is_over_limit(reference.requester):
            return Change.OVER_LIMIT
        if self._capacity.is_full():
            return Change.FULL
        self._capacity.acquire(reference.requester)
        tracked = self._tracked[reference.uid] = TrackedCsr(reference, stage, added_at=now)
        if reference.uid in self._in_flight:  # it has come back while its event is under way
            tracked.tried = tracked.in_flight = True
            return Change.ADDED
        delay = self._replicas.delay(reference.uid)
        if delay:
            tracked.due = now + delay
            self._staggered.add(tracked.due, reference.uid)
            return Change.ADDED
        return Change.THROTTLED if self._enqueue(tracked, now) else Change.ADDED

    def _end(self, tracked: TrackedCsr) -> Change:
        uid, requester = tracked.reference.uid, tracked.reference.requester
        del self._tracked[uid]
        self._capacity.release(requester)
        if not tracked.tried:
            self._new.discard(requester, uid)
        return Change.ENDED

    def _approve(self, tracked: TrackedCsr, reference: Reference, now: float) -> None:
        tracked.stage, tracked.reference, tracked.resends = Stage.APPROVED, reference, 0
        # Another event is to be sent now: what the last one was answered, poison or later, need not be waited for.
        soon = now + retry_policy.SETTLING + self._replicas.delay(reference.uid)
        if tracked.tried and tracked.due is not None and tracked.due > soon:
            self._retry(tracked, soon)

    def _enqueue(self, tracked: TrackedCsr, now: float) -> bool:
        tracked.due = None
        return self._new.add(tracked.reference.requester, tracked.reference.uid, now=now)

    def _retry(self, tracked: TrackedCsr, due: float) -> None:
        tracked.due = due
        (self._hung if tracked.hung else self._retries).add(due, tracked.reference.uid)

    def _take_retry(self, schedule: DelayQueue, now: float) -> str | None:
        """Returns the uid of the retry that is due, and spends its requester's token where the retry costs one.

        A retry for which the requester has no token waits until there is one.
        """
        while (uid := schedule.pop(now)) is not None:
            tracked = self._tracked[uid]
            requester = tracked.reference.requester
            # The back-off alone bounds the retries of an only CSR, so that an honest pod's deferred CSR is in time.
            if not tracked.costs_a_token or self._capacity.holds_one(requester):
                return uid
            available_at = self._buckets.available_at(requester)
            if available_at <= now:
                self._buckets.spend(requester, now)
                return uid
            self._retry(tracked, available_at)
        return None

    def _dispatch(self, tracked: TrackedCsr) -> WorkItem:
        if tracked.acknowledged is tracked.stage:
            tracked.resends += 1
        takeover = not tracked.tried and self._replicas.delay(tracked.reference.uid) > 0
        # Until it is acknowledged anew, further attempts are retries of this very event.
        tracked.acknowledged = tracked.due = None
        tracked.tried = tracked.in_flight = True
        self._in_flight.add(tracked.reference.uid)
        return WorkItem(
            reference=tracked.reference,
            stage=tracked.stage,
            attempt=tracked.failures + 1,
            resend=tracked.resends,
            takeover=takeover,
            suspect=tracked.hung or (tracked.failed_at is not None and self._answered > tracked.failed_at),
        )

    def _acknowledge(self, tracked: TrackedCsr, item: WorkItem, now: float) -> None:
        tracked.acknowledged, tracked.failures = item.stage, 0
        window = retry_policy.fulfilment(tracked.resends) if item.stage is tracked.stage else retry_policy.SETTLING
        self._retry(tracked, now + window)

    def _due_of(self, uid: str) -> float | None:
        tracked = self._tracked.get(uid)
        return None if tracked is None else tracked.due
