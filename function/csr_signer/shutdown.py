"""Shuts the process down after SIGTERM, which Cloud Run sends 10 seconds before SIGKILL."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

from csr_signer.errors import ShutdownError

GRACE_SECONDS: Final = 8.0
"""Time for requests in flight. In the other 2 of Cloud Run's 10 seconds, the function records interrupted requests."""


class Shutdown:
    """Refuses new requests after SIGTERM, and cancels requests in flight after GRACE_SECONDS.

    The server's own signal handler runs too. It closes the listening sockets, and waits for open requests without a
    time limit.

    Attributes:
        began: whether the shutdown has begun.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self.began = False

    def listen(self) -> None:
        """Installs a handler for SIGTERM, which then calls the server's handler."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python allows signal handlers only in the main thread
        loop, served = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def terminate(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            if callable(served):
                served(number, frame)

        signal.signal(signal.SIGTERM, terminate)

    def begin(self) -> None:
        """Refuses new requests, and cancels requests that do not end within GRACE_SECONDS."""
        self.began = True
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._cancel)

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Counts the running task as a request in flight.

        Raises:
            ShutdownError: the shutdown has begun already, or it cancelled the task.
        """
        task = asyncio.current_task()
        if self.began or task is None:
            raise ShutdownError("the function is shutting down")
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError as error:
            raise ShutdownError("the shutdown interrupted the request") from error
        finally:
            self._tasks.discard(task)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
