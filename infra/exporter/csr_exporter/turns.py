"""New work, fairly: the requesters take turns, and each may cause only what its budget allows.

Every requester stands in one place: in the ring while it may have its turn, or apart until its budget allows another
event. However many CSRs it has, it costs the others one turn.
Pure: time is an argument.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csr_exporter.budget import Budget


class Turns:
    """The CSRs of which nothing was sent so far, oldest first for each requester."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: dict[str, list[str]] = {}
        self._ring: deque[str] = deque()
        self._apart: list[tuple[float, str]] = []

    def add(self, requester: str, uid: str, *, now: float) -> bool:
        """Queues a CSR; returns whether it has to wait for its requester's budget."""
        uids = self._waiting.get(requester)
        if uids is None:
            uids = self._waiting[requester] = []
            self._ring.append(requester)
        uids.append(uid)
        return len(uids) > self._budget.left(requester, now)

    def discard(self, requester: str, uid: str) -> None:
        """Forgets a CSR, if it is here. Its requester keeps its place until that is looked at."""
        uids = self._waiting.get(requester, [])
        if uid in uids:
            uids.remove(uid)

    def take(self, now: float) -> str | None:
        """The uid of the CSR whose turn it is, or None where nobody may have one; it is counted to the budget."""
        while self._apart and self._apart[0][0] <= now:
            self._ring.append(heapq.heappop(self._apart)[1])
        while self._ring:
            uid = self._turn(self._ring.popleft(), now)
            if uid is not None:
                return uid
        return None

    def next_due(self) -> float | None:
        """When `take` can give something, at the earliest."""
        if self._ring:
            return -math.inf
        return self._apart[0][0] if self._apart else None

    def _turn(self, requester: str, now: float) -> str | None:
        uids = self._waiting[requester]
        if uids and self._budget.available_at(requester) > now:
            heapq.heappush(self._apart, (self._budget.available_at(requester), requester))
            return None
        uid = uids.pop(0) if uids else None
        if uid is not None:
            self._budget.spend(requester, now)
        if uids:
            self._ring.append(requester)
        else:
            del self._waiting[requester]
        return uid
