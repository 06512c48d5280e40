"""New CSRs, fairly: round robin among requesters, each within its rate limit and its share of the queue.

One pod can file hundreds of CSRs a second, and each may end in a signature. What exceeds the requester's rate limit
waits, and delays no other requester. Each replica counts for itself. Pure: time is an argument.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass
from typing import Annotated

from csr_exporter.document import integer
from csr_exporter.queue.item import Change

# Requesters without CSRs and with a full bucket are dropped when there are this many more than at the last sweep.
_SWEEP = 256
# A requester holds no more CSRs than it may cause events within two resync periods: a later resync finds the rest.
_HORIZON = 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Events that a requester may cause: `burst` at once, then one per `seconds`.

    Attributes:
        burst: the events at once.
        seconds: the time until the next one.
    """

    burst: Annotated[int, integer(1, 10_000)] = 6
    seconds: Annotated[float, integer(1, 3600)] = 30.0

    @property
    def most_held(self) -> int:
        """How many CSRs of one requester the queue holds."""
        return self.burst + math.ceil(_HORIZON / self.seconds)


@dataclass(slots=True)
class _Requester:
    """A requester: its share of the queue, its token bucket and its place in the round.

    Attributes:
        held: its CSRs in the work queue.
        full_at: when its bucket is full again.
        waiting: its new CSRs, oldest first; None: it is neither ready nor parked.
    """

    held: int = 0
    full_at: float = -math.inf
    waiting: list[str] | None = None


class FairQueue:
    """Counts all CSRs of each requester, and holds the new ones.

    A requester is ready, or parked until it has a token. However many CSRs it files, it costs the others one place per
    round.
    """

    def __init__(self, rate_limit: RateLimit, most: int) -> None:
        """Holds at most `most` CSRs; the API server keeps the rest for a later resync."""
        self._rate_limit = rate_limit
        self._most = most
        self._held = 0
        self._was_full = False
        self._requesters: dict[str, _Requester] = {}
        self._sweep_at = _SWEEP
        self._ready: deque[str] = deque()
        self._parked: list[tuple[float, str]] = []

    def admit(self, requester: str, now: float) -> Change:
        """Counts a CSR of the requester, unless there is no capacity for it.

        The second half of the queue is for requesters with few CSRs.
        """
        record = self._record(requester, now)
        if record.held >= (self._rate_limit.most_held if self._is_half_free else self._rate_limit.burst):
            return Change.OVER_LIMIT
        if self._held >= self._most:
            self._was_full = True
            return Change.FULL
        self._held += 1
        record.held += 1
        return Change.ADDED

    def release(self, requester: str, uid: str) -> None:
        """Discounts a CSR, and removes it. Its requester stays ready or parked until its next round."""
        record = self._requesters[requester]
        self._held -= 1
        record.held -= 1
        if record.waiting and uid in record.waiting:
            record.waiting.remove(uid)

    def holds_one(self, requester: str) -> bool:
        """Returns whether the queue holds a single CSR of the requester."""
        return self._requesters[requester].held == 1

    def capacity_returned(self) -> bool:
        """Returns once, after the queue was full, whether half of it is free again."""
        returned = self._was_full and self._is_half_free
        self._was_full = self._was_full and not returned
        return returned

    def available_at(self, requester: str) -> float:
        """Returns when the requester has a token, at the earliest."""
        record = self._requesters.get(requester)
        return -math.inf if record is None else record.full_at - (self._rate_limit.burst - 1) * self._rate_limit.seconds

    def tokens(self, requester: str, now: float) -> int:
        """Returns the requester's tokens."""
        debt = max(0.0, self._record(requester, now).full_at - now)
        return self._rate_limit.burst - math.ceil(debt / self._rate_limit.seconds)

    def spend(self, requester: str, now: float) -> None:
        """Takes a token."""
        record = self._record(requester, now)
        record.full_at = max(now, record.full_at) + self._rate_limit.seconds

    def add(self, requester: str, uid: str, *, now: float) -> bool:
        """Queues a new CSR; returns whether it waits for a token."""
        record = self._record(requester, now)
        if record.waiting is None:
            record.waiting = []
            self._ready.append(requester)
        record.waiting.append(uid)
        return len(record.waiting) > self.tokens(requester, now)

    def take(self, now: float) -> str | None:
        """Removes and returns the next new CSR whose requester has a token, and takes the token."""
        while self._parked and self._parked[0][0] <= now:
            self._ready.append(heapq.heappop(self._parked)[1])
        while self._ready:
            uid = self._serve(self._ready.popleft(), now)
            if uid is not None:
                return uid
        return None

    def next_due(self) -> float | None:
        """Returns when `take` can return a CSR, at the earliest."""
        if self._ready:
            return -math.inf
        return self._parked[0][0] if self._parked else None

    def _serve(self, requester: str, now: float) -> str | None:
        record = self._requesters[requester]
        uid = None
        if record.waiting:
            if self.available_at(requester) > now:
                heapq.heappush(self._parked, (self.available_at(requester), requester))
                return None
            uid = record.waiting.pop(0)
            self.spend(requester, now)
        if record.waiting:
            self._ready.append(requester)
        else:
            record.waiting = None
        return uid

    def _record(self, requester: str, now: float) -> _Requester:
        record = self._requesters.get(requester)
        if record is None:
            record = self._requesters[requester] = _Requester()
            if len(self._requesters) > self._sweep_at:
                self._requesters = {
                    name: each
                    for name, each in self._requesters.items()
                    if each is record or each.held or each.waiting is not None or each.full_at > now
                }
                self._sweep_at = 2 * len(self._requesters) + _SWEEP
        return record

    @property
    def _is_half_free(self) -> bool:
        return self._held < max(1, self._most // 2)
