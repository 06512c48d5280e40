"""New CSRs, fairly: round robin among requesters, each within its rate limit and its share of the queue.

One pod can file hundreds of CSRs a second, and each may end in a signature. What exceeds the requester's rate limit
waits, and delays no other requester. Each replica counts for itself. Pure: time is an argument.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass

# Full buckets are dropped when there are this many buckets more than at the last sweep.
_SWEEP = 256
# A requester holds no more CSRs than it may cause events within two resync periods: a later resync finds the rest.
_HORIZON = 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Events that a requester may cause: `burst` at once, then one per `seconds`."""

    burst: int = 6
    seconds: float = 30.0

    @property
    def most_held(self) -> int:
        """How many CSRs of one requester the queue holds."""
        return self.burst + math.ceil(_HORIZON / self.seconds)


class TokenBuckets:
    """One token bucket per requester: when it is full again."""

    def __init__(self, rate_limit: RateLimit) -> None:
        self._rate_limit = rate_limit
        self._full_at: dict[str, float] = {}
        self._sweep_at = _SWEEP

    def available_at(self, requester: str) -> float:
        """Returns when the requester has a token, at the earliest."""
        full_at = self._full_at.get(requester)
        return -math.inf if full_at is None else full_at - (self._rate_limit.burst - 1) * self._rate_limit.seconds

    def tokens(self, requester: str, now: float) -> int:
        """Returns the requester's tokens."""
        debt = self._full_at.get(requester, now) - now
        return self._rate_limit.burst - max(0, math.ceil(debt / self._rate_limit.seconds))

    def spend(self, requester: str, now: float) -> None:
        """Takes a token."""
        self._full_at[requester] = max(now, self._full_at.get(requester, now)) + self._rate_limit.seconds
        if len(self._full_at) > self._sweep_at:
            self._full_at = {name: full_at for name, full_at in self._full_at.items() if full_at > now}
            self._sweep_at = 2 * len(self._full_at) + _SWEEP


class Capacity:
    """How many CSRs the queue holds, per requester and in all. The API server keeps the rest for a later resync."""

    def __init__(self, rate_limit: RateLimit, most: int) -> None:
        self._rate_limit = rate_limit
        self._most = most
        self._sum = 0
        self._held: dict[str, int] = {}
        self._was_full = False

    def is_over_limit(self, requester: str) -> bool:
        """Returns whether the requester holds its share; the second half is for requesters with few CSRs."""
        most = self._rate_limit.most_held if self._is_half_free else self._rate_limit.burst
        return self._held.get(requester, 0) >= most

    def holds_one(self, requester: str) -> bool:
        """Returns whether the queue holds a single CSR of the requester."""
        return self._held.get(requester, 0) == 1

    def is_full(self) -> bool:
        """Returns whether the queue is full, and remembers it for `returned`."""
        is_full = self._sum >= self._most
        self._was_full = self._was_full or is_full
        return is_full

    def returned(self) -> bool:
        """Returns once, after the queue was full, whether half of it is free again."""
        returned = self._was_full and self._is_half_free
        self._was_full = self._was_full and not returned
        return returned

    def acquire(self, requester: str) -> None:
        """Counts a CSR of the requester."""
        self._sum += 1
        self._held[requester] = self._held.get(requester, 0) + 1

    def release(self, requester: str) -> None:
        """Discounts a CSR of the requester."""
        self._sum -= 1
        self._held[requester] -= 1
        if not self._held[requester]:
            del self._held[requester]

    @property
    def _is_half_free(self) -> bool:
        return self._sum < max(1, self._most // 2)


class FairQueue:
    """The new CSRs, oldest first for each requester.

    A requester is ready, or parked until it has a token. However many CSRs it files, it costs the others one place per
    round.
    """

    def __init__(self, buckets: TokenBuckets) -> None:
        self._buckets = buckets
        self._waiting: dict[str, list[str]] = {}
        self._ready: deque[str] = deque()
        self._parked: list[tuple[float, str]] = []

    def add(self, requester: str, uid: str, *, now: float) -> bool:
        """Queues a CSR; returns whether it waits for a token."""
        uids = self._waiting.get(requester)
        if uids is None:
            uids = self._waiting[requester] = []
            self._ready.append(requester)
        uids.append(uid)
        return len(uids) > self._buckets.tokens(requester, now)

    def discard(self, requester: str, uid: str) -> None:
        """Removes a CSR, if it is here. Its requester stays ready or parked until its next round."""
        uids = self._waiting.get(requester, [])
        if uid in uids:
            uids.remove(uid)

    def take(self, now: float) -> str | None:
        """Removes and returns the next CSR whose requester has a token, and takes the token."""
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
        uids = self._waiting[requester]
        if uids and self._buckets.available_at(requester) > now:
            heapq.heappush(self._parked, (self._buckets.available_at(requester), requester))
            return None
        uid = uids.pop(0) if uids else None
        if uid is not None:
            self._buckets.spend(requester, now)
        if uids:
            self._ready.append(requester)
        else:
            del self._waiting[requester]
        return uid
