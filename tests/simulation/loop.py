"""An event loop without sockets and threads. Its time is virtual: it jumps to the next timer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class _Jump:
    """Stands where a loop has its selector: instead of waiting for sockets, lets the time pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise RuntimeError("the world stands still: every task waits, and no timer is set")
        self.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs timers in the order of their times. One program gives one order, but equal times have none of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Jump()
        self._clock_resolution = 1e-6  # adding up waits has errors of rounding

    def time(self) -> float:
        """Returns the virtual time: seconds since the world began."""
        return self._selector.now

    def _process_events(self, events: list[object]) -> None:
        """Does nothing: there are no sockets."""

    def _write_to_self(self) -> None:
        """Does nothing: no other thread wakes the loop."""


class InlineExecutor(Executor):
    """Runs everything at once in the calling thread, so that the order is always the same."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Returns a future that is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)
        return future
