"""Runs one fetch at a time for many threads: other threads wait for it, and get its result or its failure.

With a lock around a network call, waits would add up: the tenth thread would wait for ten timeouts.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs at most one fetch at any time."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running: Future[T] | None = None

    def get(self, fetch: Callable[[], T]) -> T:
        """Returns the result of this fetch, or of one that already runs.

        Args:
            fetch: the fetch, which must have its own time limit.

        Raises:
            Exception: the fetch raised it.
        """
        with self._guard:
            mine = self._running is None
            running = self._running = self._running or Future()
        if mine:
            try:
                running.set_result(fetch())
            except BaseException as error:  # noqa: BLE001 - all waiting threads must get it; `result` raises it here too
                running.set_exception(error)
            finally:
                with self._guard:
                    self._running = None
        return running.result()
