"""New CSRs, fairly: round robin among requesters, each within its rate limit and its capacity.

A requester is ready while it has a token, and parked until its token bucket has another one. However many CSRs it
files, it costs the others one place in each round. Pure: time is an argument.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass

from csr_exporter.document import Document

# A requester is known until its bucket is full again; what is over is swept out when so many more are known.
_SWEEP = 256
# Nobody holds more than can be sent within two of the resync's periods, which finds the rest.
_HORIZON = 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Events that a requester may cause: `burst` at once, then one per `seconds`."""

    burst: int = 6
    seconds: float = 30.0

    @property
    def most_held(self) -> int:
        """CSRs of one requester that are held at a time; the others are found again by a later list."""
        return self.burst + math.ceil(_HORIZON / self.seconds)


class TokenBuckets:
    """Who has caused how much of late: for each requester, when its whole burst is available again."""

    def __init__(self, rate_limit: RateLimit) -> None:
        self._rate_limit = rate_limit
        self._full_at: dict[str, float] = {}
        self._sweep_at = _SWEEP

    def available_at(self, requester: str) -> float:
        """When the requester may cause the next event, at the earliest."""
        full_at = self._full_at.get(requester)
        return -math.inf if full_at is None else full_at - (self._rate_limit.burst - 1) * self._rate_limit.seconds

    def tokens(self, requester: str, now: float) -> int:
        """How many events the requester may cause now."""
        debt = self._full_at.get(requester, now) - now
        return self._rate_limit.burst - max(0, math.ceil(debt / self._rate_limit.seconds))

    def spend(self, requester: str, now: float) -> None:
        """Counts an event of the requester, which it may cause now."""
        self._full_at[requester] = max(now, self._full_at.get(requester, now)) + self._rate_limit.seconds
        if len(self._full_at) > self._sweep_at:
            self._full_at = {name: full_at for name, full_at in self._full_at.items() if full_at > now}
            self._sweep_at = 2 * len(self._full_at) + _SWEEP


def from_document(document: Document) -> RateLimit:
    """Reads `rate_limit` of the configuration document; the usual one, where it is not there."""
    if not document.has("rate_limit"):
        return RateLimit()
    given, usual = document.child("rate_limit"), RateLimit()
    limits = RateLimit(
        burst=given.integer("burst", least=1, most=10_000, default=usual.burst),
        seconds=given.integer("seconds", least=1, most=3600, default=int(usual.seconds)),
    )
    given.refuse_other_keys()
    return limits


class Capacity:
    """Who holds how much of it; `acquire` and `release` are called in pairs."""

    def __init__(self, rate_limit: RateLimit, most: int) -> None:
        self._rate_limit = rate_limit
        self._most = most
        self._sum = 0
        self._held: dict[str, int] = {}
        self._left_out = False

    def is_over_limit(self, requester: str) -> bool:
        """Whether the requester has as much as it may; the second half is for those who have little."""
        most = self._rate_limit.most_held if self._is_half_free else self._rate_limit.burst
        return self._held.get(requester, 0) >= most

    def holds_one(self, requester: str) -> bool:
        """Returns whether a single CSR of the requester is held."""
        return self._held.get(requester, 0) == 1

    def is_full(self) -> bool:
        """Whether there is no capacity for another CSR, which is remembered."""
        is_full = self._sum >= self._most
        self._left_out = self._left_out or is_full
        return is_full

    def returned(self) -> bool:
        """Whether half of it is free again after it was full; that is said once."""
        returned = self._left_out and self._is_half_free
        self._left_out = self._left_out and not returned
        return returned

    def acquire(self, requester: str) -> None:
        """A CSR of the requester is held from now on."""
        self._sum += 1
        self._held[requester] = self._held.get(requester, 0) + 1

    def release(self, requester: str) -> None:
        """One of them is not any more."""
        self._sum -= 1
        self._held[requester] -= 1
        if not self._held[requester]:
            del self._held[requester]

    @property
    def _is_half_free(self) -> bool:
        return self._sum < max(1, self._most // 2)


class FairQueue:
    """The CSRs of which nothing was sent so far, oldest first for each requester."""

    def __init__(self, buckets: TokenBuckets) -> None:
        self._buckets = buckets
        self._waiting: dict[str, list[str]] = {}
        self._ready: deque[str] = deque()
        self._parked: list[tuple[float, str]] = []

    def add(self, requester: str, uid: str, *, now: float) -> bool:
        """Queues a CSR; returns whether it has to wait for its requester's next token."""
        uids = self._waiting.get(requester)
        if uids is None:
            uids = self._waiting[requester] = []
            self._ready.append(requester)
        uids.append(uid)
        return len(uids) > self._buckets.tokens(requester, now)

    def discard(self, requester: str, uid: str) -> None:
        """Forgets a CSR, if it is here. Its requester keeps its place until that is looked at."""
        uids = self._waiting.get(requester, [])
        if uid in uids:
            uids.remove(uid)

    def take(self, now: float) -> str | None:
        """The uid of the next CSR, or None where no requester has a token; it costs one."""
        while self._parked and self._parked[0][0] <= now:
            self._ready.append(heapq.heappop(self._parked)[1])
        while self._ready:
            uid = self._serve(self._ready.popleft(), now)
            if uid is not None:
                return uid
        return None

    def next_due(self) -> float | None:
        """When `take` can give something, at the earliest."""
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
