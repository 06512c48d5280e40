"""The threads that deliver: as many as were ever needed at once, and kept; to start one costs more than its work."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class WorkerPool(Generic[Job]):
    """Does every job at once, in a thread that has nothing else to do; whoever gives the jobs bounds their number.

    `start` and `end` belong to one thread.
    """

    def __init__(self, do: Callable[[Job], None]) -> None:
        self._do = do
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0
        self._size = 0

    @property
    def idle(self) -> int:
        """Threads that wait for a job."""
        return self._free

    def start(self, job: Job) -> None:
        """Has the job done, by a thread that waits or by a new one."""
        with self._lock:
            is_short = self._free == 0
            self._free -= 0 if is_short else 1
        if is_short:
            self._size += 1
            threading.Thread(target=self._run, daemon=True, name="delivery").start()
        self._jobs.put(job)

    def end(self) -> None:
        """Ends the threads, each after the job that it has."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            with self._lock:
                self._free += 1
