"""The worker pool: as many threads as were ever busy at once, reused because starting one costs more than its work."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class WorkerPool(Generic[Job]):
    """Does every job at once; the caller bounds their number. `start` and `end` belong to one thread."""

    def __init__(self, do: Callable[[Job], None]) -> None:
        self._do = do
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._size = 0

    @property
    def idle(self) -> int:
        """Workers that wait for a job."""
        return self._idle

    def start(self, job: Job) -> None:
        """Gives the job to an idle worker, or to a new one."""
        with self._lock:
            needs_worker = self._idle == 0
            self._idle -= not needs_worker
        if needs_worker:
            self._size += 1
            threading.Thread(target=self._run, daemon=True, name="delivery").start()
        self._jobs.put(job)

    def end(self) -> None:
        """Ends the workers, each after its job."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            with self._lock:
                self._idle += 1
