"""Runs coroutines for synchronous tests, on one event loop in its own thread.

A connection belongs to one event loop, but tests call from many threads. So one event loop serves the whole process.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Coroutine
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

SECONDS: Final = 120.0
"""A coroutine that takes longer hangs; all time limits of the function are far shorter."""


class _Loop:
    """An event loop that runs in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="event loop of the tests", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops the event loop, and waits for the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@functools.cache
def _running() -> _Loop:
    return _Loop()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the event loop, and returns its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running().loop).result(SECONDS)


def stop() -> None:
    """Stops the event loop; the next `run` starts another one."""
    _running().stop()
    _running.cache_clear()


class Running:
    """Runs a coroutine as a task of the event loop, so that a test can cancel it.

    Args:
        coroutine: the coroutine; it starts at once.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        async def begin() -> "asyncio.Task[object]":
            return asyncio.create_task(coroutine)

        self._task = run(begin())

    @property
    def done(self) -> bool:
        """Tells whether the task has ended."""
        return self._task.done()

    def cancel(self) -> None:
        """Cancels the task, and returns after the task has got the cancellation."""

        async def cancel() -> None:
            self._task.cancel()
            await asyncio.sleep(0)

        run(cancel())

    def was_cancelled(self) -> bool:
        """Waits for the task's end; tells whether it was cancelled."""
        run(self._end())
        return self._task.cancelled()

    def failure(self) -> BaseException | None:
        """Waits for the task's end; returns its exception, if it failed."""
        run(self._end())
        return self._task.exception()

    async def _end(self) -> None:
        await asyncio.wait((self._task,))


class Blocking(Generic[T]):
    """Wraps an object: its coroutine methods become blocking methods, and other attributes stay the same.

    Attributes:
        target: the wrapped object.
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
