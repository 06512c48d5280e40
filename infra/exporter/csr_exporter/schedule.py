"""What is due at a time of its own: a heap that may hold outdated places. Pure: time is an argument."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SWEEP = 64


class Schedule:
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
