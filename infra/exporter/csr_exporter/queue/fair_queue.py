"""Which event is sent next: fair among signerNames, then among requesters, each within its rate limit.

One pod can file hundreds of CSRs a second, and each may end in a signature. What exceeds the requester's rate limit
waits, and delays no other requester. Each replica counts for itself. Pure: time is an argument.
"""

import enum
import heapq
import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from csr_exporter.document import integer

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
    """What goes first."""

    ONLY = 0
    """Its requester has no other CSR, as an honest pod."""
    FURTHER = 1
    FAILING = 2
    """Its requester's last event failed: what always fails, of however many requesters, is soon behind all others."""


class Lane(NamedTuple):
    """The CSRs of one requester and one signerName that are due, oldest first; retries have a lane of their own."""

    is_retry: bool
    signer_name: str
    requester: str


@dataclass(slots=True)
class _Requester:
    """A requester.

    Attributes:
        held: its CSRs in the work queue.
        full_at: when its token bucket is full again; earlier than now if it is.
        failed_at: when its events began to fail as if the function was at fault; None: the function dealt with the last
            one, or there was none. A new CSR does not clear it, since a requester could replace its CSR after each
            failure; only time does, when it holds no CSR and all its tokens are back.
    """

    held: int = 0
    full_at: float = -math.inf
    failed_at: float | None = None


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
    """Counts the CSRs of each requester, and holds those that are due.

    However many CSRs a requester files, it costs the others one place per round.
    """

    def __init__(self, rate_limit: RateLimit) -> None:
        self._rate_limit = rate_limit
        # All that hold a CSR or lack a token, and some others.
        self._requesters: OrderedDict[str, _Requester] = OrderedDict()
        self._lanes: dict[Lane, dict[str, None]] = {}  # uids; each lane is in one round, or parked
        self._rounds = tuple(_Round() for _ in _Rank)
        self._parked: list[tuple[float, Lane]] = []  # a heap: lanes whose requester has no token until then

    def admit(self, requester: str, now: float, *, is_scarce: bool) -> bool:
        """Counts a CSR of the requester, unless it has its share; `is_scarce`: shares are small."""
        record = self._record(requester, now)
        if record.held >= (self._rate_limit.burst if is_scarce else self._rate_limit.most_held):
            return False
        record.held += 1
        return True

    def release(self, lane: Lane, uid: str) -> None:
        """Removes a CSR. Its lane keeps its place until its next turn; the retries of an only CSR cost no token now."""
        record = self._requesters[lane.requester]
        record.held -= 1
        self._lanes.get(lane, {}).pop(uid, None)
        if record.held == 1 and (freed := [each for each in self._parked if self._is_freed(each[1], lane.requester)]):
            self._parked = [each for each in self._parked if each not in freed]
            heapq.heapify(self._parked)
            for _, each in freed:
                self._place(each)

    def answered(self, requester: str, *, is_failure: bool, now: float) -> None:
        """Learns whether the function dealt with a requester's event."""
        if (record := self._requesters.get(requester)) is not None:
            record.failed_at = (now if record.failed_at is None else record.failed_at) if is_failure else None

    def failed_at(self, requester: str) -> float | None:
        """Returns when the requester's events began to fail; None: they do not."""
        return self._requesters[requester].failed_at

    def available_at(self, lane: Lane) -> float:
        """Returns when the lane's next event may be sent, at the earliest."""
        if self._is_free(lane):
            return -math.inf
        return self._requesters[lane.requester].full_at - (self._rate_limit.burst - 1) * self._rate_limit.seconds

    def add(self, lane: Lane, uid: str, *, now: float) -> bool:
        """Queues a CSR that is due; returns whether it waits for a token."""
        is_new = lane not in self._lanes
        uids = self._lanes.setdefault(lane, {})
        uids[uid] = None
        if is_new:
            self._place(lane)
        return len(uids) > self._tokens(lane.requester, now)

    def take(self, now: float) -> str | None:
        """Removes and returns the CSR whose event is sent next, and takes its requester's token."""
        while self._parked and self._parked[0][0] <= now:
            self._place(heapq.heappop(self._parked)[1])
        while (rank := next((rank for rank in _Rank if self._rounds[rank]), None)) is not None:
            lane = self._rounds[rank].pop()
            if self._lanes[lane] and self._rank(lane) is not rank:
                self._place(lane)  # its requester's rank has changed since
            elif (uid := self._serve(lane, now)) is not None:
                return uid
        return None

    def next_due(self) -> float | None:
        """Returns when `take` can return a CSR, at the earliest."""
        if any(self._rounds):
            return -math.inf
        return self._parked[0][0] if self._parked else None

    def _serve(self, lane: Lane, now: float) -> str | None:
        uids = self._lanes[lane]
        if uids and (available_at := self.available_at(lane)) > now:
            heapq.heappush(self._parked, (available_at, lane))
            return None
        uid = next(iter(uids), None)
        if uid is not None:
            del uids[uid]
            if not self._is_free(lane):
                record = self._requesters[lane.requester]
                record.full_at = max(now, record.full_at) + self._rate_limit.seconds
        self._place(lane)
        return uid

    def _place(self, lane: Lane) -> None:
        """Gives a lane a place in its round; forgets it if it is empty."""
        if not self._lanes[lane]:
            del self._lanes[lane]
            return
        self._rounds[self._rank(lane)].add(lane)

    def _rank(self, lane: Lane) -> _Rank:
        record = self._requesters[lane.requester]
        if record.failed_at is not None:
            return _Rank.FAILING
        return _Rank.ONLY if record.held == 1 else _Rank.FURTHER

    def _tokens(self, requester: str, now: float) -> int:
        debt = max(0.0, self._requesters[requester].full_at - now)
        return self._rate_limit.burst - math.ceil(debt / self._rate_limit.seconds)

    def _is_freed(self, lane: Lane, requester: str) -> bool:
        return lane.requester == requester and self._is_free(lane)

    def _is_free(self, lane: Lane) -> bool:
        """Whether an event costs no token: of a requester's only CSR, the back-off alone bounds the retries.

        Calico gives up after 90 seconds.
        """
        return lane.is_retry and self._requesters[lane.requester].held == 1

    def _record(self, requester: str, now: float) -> _Requester:
        if requester not in self._requesters:
            # Two others are looked at for each new one, so those that are idle do not add up.
            for _ in range(min(2, len(self._requesters))):
                name, each = self._requesters.popitem(last=False)
                if each.held or each.full_at > now:
                    self._requesters[name] = each
            self._requesters[requester] = _Requester()
        return self._requesters[requester]
