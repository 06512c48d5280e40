"""Which event is sent next: fair among signerNames, then among requesters, each within its rate limit.

One pod can file hundreds of CSRs a second, and each may end in a signature. What exceeds the requester's rate limit
waits, and delays no other requester. Each replica counts for itself. Pure: time is an argument.
"""

import enum
import heapq
import math
from collections import deque
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from csr_exporter.document import integer
from csr_exporter.queue.item import Change

# One event in so many seconds goes to the last rank that has one: no flood of new CSRs keeps a retry waiting for ever.
_LAST_EVERY = 10.0
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


class _Rank(enum.IntEnum):
    """What goes first: CSRs that always fail, of however many requesters, are soon behind all others."""

    FIRST = 0
    """A CSR's first event, of a requester that has all its tokens."""
    FURTHER = 1
    """A CSR's first event, of another requester."""
    RETRY = 2


class Lane(NamedTuple):
    """The CSRs of one requester and one signerName that are due, oldest first; those that are tried again apart."""

    is_retry: bool
    signer_name: str
    requester: str


@dataclass(slots=True)
class _Requester:
    """A requester.

    Attributes:
        held: its CSRs in the work queue.
        full_at: when its token bucket is full again; earlier than now if it is.
    """

    held: int = 0
    full_at: float = -math.inf


class _Round:
    """Lanes in turn: signerName by signerName, and in each requester by requester."""

    def __init__(self) -> None:
        self._signers: dict[str, deque[Lane]] = {}  # none is empty; the next one is the first

    def __bool__(self) -> bool:
        return bool(self._signers)

    def add(self, lane: Lane) -> None:
        self._signers.setdefault(lane.signer_name, deque()).append(lane)

    def pop(self) -> Lane:
        signer_name = next(iter(self._signers))
        lanes = self._signers.pop(signer_name)
        lane = lanes.popleft()
        if lanes:
            self._signers[signer_name] = lanes
        return lane


class FairQueue:
    """Counts all CSRs of each requester, and holds those that are due.

    However many CSRs a requester files, it costs the others one place per round.
    """

    def __init__(self, rate_limit: RateLimit, most: int) -> None:
        """Holds at most `most` CSRs; the API server keeps the rest for a later resync."""
        self._rate_limit = rate_limit
        self._most = most
        self._held = 0  # the sum of all requesters' `held`
        self._was_full = False  # since `capacity_returned` last returned True
        self._requesters: dict[str, _Requester] = {}  # all that hold a CSR or lack a token, and some others
        self._sweep_at = _SWEEP
        self._lanes: dict[Lane, dict[str, None]] = {}  # uids; each lane is in its round or parked, once
        self._rounds = tuple(_Round() for _ in _Rank)
        self._parked: list[tuple[float, Lane]] = []  # a heap: lanes whose requester has no token until then
        self._last_at = 0.0  # when the last rank last went first

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

    def release(self, lane: Lane, uid: str) -> None:
        """Discounts a CSR, and removes it from its lane. The lane keeps its place until its next turn."""
        self._held -= 1
        self._requesters[lane.requester].held -= 1
        self._lanes.get(lane, {}).pop(uid, None)

    def capacity_returned(self) -> bool:
        """Returns once, after the queue was full, whether half of it is free again."""
        returned = self._was_full and self._is_half_free
        self._was_full = self._was_full and not returned
        return returned

    def available_at(self, lane: Lane) -> float:
        """Returns when the lane's next event may be sent, at the earliest."""
        if self._is_free(lane):
            return -math.inf
        return self._requesters[lane.requester].full_at - (self._rate_limit.burst - 1) * self._rate_limit.seconds

    def tokens(self, requester: str, now: float) -> int:
        """Returns the requester's tokens."""
        debt = max(0.0, self._record(requester, now).full_at - now)
        return self._rate_limit.burst - math.ceil(debt / self._rate_limit.seconds)

    def add(self, lane: Lane, uid: str, *, now: float) -> bool:
        """Queues a CSR that is due; returns whether it waits for a token."""
        if lane not in self._lanes:
            self._lanes[lane] = {}
            self._get_ready(lane, now)
        self._lanes[lane][uid] = None
        return len(self._lanes[lane]) > self.tokens(lane.requester, now)

    def take(self, now: float) -> str | None:
        """Removes and returns the CSR whose event is sent next, and takes its requester's token."""
        while self._parked and self._parked[0][0] <= now:
            self._get_ready(heapq.heappop(self._parked)[1], now)
        is_lasts_turn = now - self._last_at >= _LAST_EVERY and any(self._rounds)
        self._last_at = now if is_lasts_turn else self._last_at
        for each in reversed(self._rounds) if is_lasts_turn else self._rounds:
            while each:
                uid = self._serve(each.pop(), now)
                if uid is not None:
                    return uid
        return None

    def next_due(self) -> float | None:
        """Returns when `take` can return a CSR, at the earliest."""
        if any(self._rounds):
            return -math.inf
        return self._parked[0][0] if self._parked else None

    def _serve(self, lane: Lane, now: float) -> str | None:
        uids = self._lanes[lane]
        uid = None
        if uids:
            if (available_at := self.available_at(lane)) > now:
                heapq.heappush(self._parked, (available_at, lane))
                return None
            uid = next(iter(uids))
            del uids[uid]
            if not self._is_free(lane):
                record = self._requesters[lane.requester]
                record.full_at = max(now, record.full_at) + self._rate_limit.seconds
        if uids:
            self._get_ready(lane, now)
        else:
            del self._lanes[lane]
        return uid

    def _get_ready(self, lane: Lane, now: float) -> None:
        has_all_tokens = self._requesters[lane.requester].full_at <= now
        rank = _Rank.RETRY if lane.is_retry else _Rank.FIRST if has_all_tokens else _Rank.FURTHER
        self._rounds[rank].add(lane)

    def _is_free(self, lane: Lane) -> bool:
        """Whether an event costs no token: of a requester's only CSR, the back-off alone bounds the retries.

        Calico gives up after 90 seconds.
        """
        return lane.is_retry and self._requesters[lane.requester].held == 1

    def _record(self, requester: str, now: float) -> _Requester:
        record = self._requesters.get(requester)
        if record is None:
            record = self._requesters[requester] = _Requester()
            if len(self._requesters) > self._sweep_at:
                waiting = {lane.requester for lane in self._lanes}
                self._requesters = {
                    name: each
                    for name, each in self._requesters.items()
                    if each is record or each.held or each.full_at > now or name in waiting
                }
                self._sweep_at = 2 * len(self._requesters) + _SWEEP
        return record

    @property
    def _is_half_free(self) -> bool:
        return self._held < max(1, self._most // 2)
