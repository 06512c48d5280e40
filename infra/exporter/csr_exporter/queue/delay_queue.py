"""What is due at a time of its own. Pure: time is an argument."""

import heapq
from collections.abc import Callable, Sized

_SPARE = 64


class DelayQueue:
    """A heap of (time, uid). An entry counts only if `due_of` says that the uid is due at that time."""

    def __init__(self, due_of: Callable[[str], float | None], alive: Sized) -> None:
        """`alive` has at least as many elements as there are entries that count."""
        self._due_of = due_of
        self._alive = alive
        self._heap: list[tuple[float, str]] = []  # at most twice as many as are alive, and a few

    def add(self, due: float, uid: str) -> None:
        """Schedules the uid, replacing any earlier schedule."""
        heapq.heappush(self._heap, (due, uid))
        if len(self._heap) > 2 * len(self._alive) + _SPARE:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)

    def pop(self, now: float) -> str | None:
        """Removes and returns the uid that has been due for longest, if there is one."""
        due = self.next_due()
        return heapq.heappop(self._heap)[1] if due is not None and due <= now else None

    def next_due(self) -> float | None:
        """Returns when `pop` can return a uid."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _counts(self, entry: tuple[float, str]) -> bool:
        return self._due_of(entry[1]) == entry[0]
