"""Runs one fetch at a time for many requests: other requests wait for it, and get its result or its failure.

With a lock around a network call, waits would add up: the tenth request would wait for ten timeouts.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs at most one fetch at any time, on one event loop."""

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None

    async def get(self, fetch: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Returns the result of this fetch, or of one that already runs.

        If a caller is cancelled, the fetch continues for the other callers.

        Args:
            fetch: the fetch, which must have its own time limit.

        Raises:
            Exception: the fetch raised it.
        """
        if self._running is None:
            self._running = asyncio.create_task(fetch())
            self._running.add_done_callback(self._end)
        return await asyncio.shield(self._running)

    def _end(self, task: asyncio.Task[T]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # otherwise asyncio logs a failure if all callers were cancelled
