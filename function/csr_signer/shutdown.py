"""What SIGTERM starts: Cloud Run sends it 10 seconds before it ends a process."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

from csr_signer.errors import ShutdownError

GRACE_SECONDS: Final = 8.0
"""The rest of Cloud Run's 10 seconds is for the records of what was interrupted."""


class Shutdown:
    """After SIGTERM, later requests are refused, and requests in flight have GRACE_SECONDS to end.

    The server's own handler runs too: it closes the listening sockets and waits for open requests without a limit.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self.began = False

    def listen(self) -> None:
        """Hears SIGTERM from now on, before the server's handler does."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals reach only the main thread; a server in another one has no SIGTERM to handle
        loop, served = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def terminate(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            if callable(served):
                served(number, frame)

        signal.signal(signal.SIGTERM, terminate)

    def begin(self) -> None:
        """Refuses further requests, and cancels those that do not end within GRACE_SECONDS."""
        self.began = True
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._cancel)

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Holds the running task's place among those that have a time of grace.

        Raises:
            ShutdownError: the shutdown began earlier, or cancelled the task.
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
