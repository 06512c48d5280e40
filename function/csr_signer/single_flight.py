"""One fetch at a time for many requests: requests that come meanwhile get its result, or its failure.

A lock held over a network call would let waits add up: the tenth request would wait ten timeouts.
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
        """Returns the result of a fetch: this one, or the one that runs already.

        A caller that is cancelled leaves; the fetch goes on for the others.

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
            task.exception()  # marks it as seen: every caller may have left
