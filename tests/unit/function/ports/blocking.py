"""Coroutines for tests that are ordinary functions: one event loop in a thread of its own for the whole process.

Connections belong to an event loop. Tests call from many threads at once, so one loop serves them all.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Coroutine
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

SECONDS: Final = 120.0
"""What takes longer hangs: far more than any deadline of the function."""


class _Loop:
    """An event loop that runs in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="event loop of the tests", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@functools.cache
def _running() -> _Loop:
    return _Loop()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the loop, and waits for its end."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running().loop).result(SECONDS)


def stop() -> None:
    """Ends the loop, once nothing needs it any more."""
    _running().stop()
    _running.cache_clear()


class Running:
    """A coroutine that runs as a task of the loop, so that it can be cancelled.

    Args:
        coroutine: begins at once.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        async def begin() -> "asyncio.Task[object]":
            return asyncio.create_task(coroutine)

        self._task = run(begin())

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    def cancel(self) -> None:
        """Cancels it; when this returns, it has heard of it."""

        async def cancel() -> None:
            self._task.cancel()
            await asyncio.sleep(0)

        run(cancel())

    def was_cancelled(self) -> bool:
        """Waits for its end; whether that is its cancellation."""
        run(self._end())
        return self._task.cancelled()

    def failure(self) -> BaseException | None:
        """Waits for its end; what it failed with."""
        run(self._end())
        return self._task.exception()

    async def _end(self) -> None:
        await asyncio.wait((self._task,))


class Blocking(Generic[T]):
    """An object whose coroutine methods wait for their end; everything else is as it is.

    Attributes:
        target: the object itself.
    """

    def __init__(self, target: T) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        if not inspect.iscoroutinefunction(value):
            return value

        @functools.wraps(value)
        def call(*arguments: Any, **named: Any) -> Any:
            return run(value(*arguments, **named))

        return call
