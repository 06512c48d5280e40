"""What is due at a time of its own. Pure: time is an argument."""

import heapq
import itertools
from collections.abc import Callable

_SWEEP = 64


class DelayQueue:
    """A heap of (time, number, uid). An entry counts only if `due_of` says that the uid is due at that time.

    Of the uids that are due at the same time, the one that was added first goes first.
    """

    def __init__(self, due_of: Callable[[str], float | None]) -> None:
        self._due_of = due_of
        self._heap: list[tuple[float, int, str]] = []
        self._number = itertools.count()
        self._sweep_at = _SWEEP

    def add(self, due: float, uid: str) -> None:
        """Schedules the uid, replacing any earlier schedule."""
        heapq.heappush(self._heap, (due, next(self._number), uid))
        if len(self._heap) > self._sweep_at:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)
            self._sweep_at = 2 * len(self._heap) + _SWEEP

    def pop(self, now: float) -> str | None:
        """Removes and returns the uid that has been due for longest, if there is one."""
        due = self.next_due()
        return heapq.heappop(self._heap)[2] if due is not None and due <= now else None

    def next_due(self) -> float | None:
        """Returns when `pop` can return a uid."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _counts(self, entry: tuple[float, int, str]) -> bool:
        return self._due_of(entry[2]) == entry[0]
