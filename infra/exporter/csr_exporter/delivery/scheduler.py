"""The one admission: which event is sent next, and when. Pure: time is an argument."""

from csr_exporter.delivery.limiter import Limiter
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer
from csr_exporter.queue.work_queue import WorkQueue


class Scheduler:
    """Takes from the work queue what is due, while the limiter allows it."""

    def __init__(self, queue: WorkQueue, limiter: Limiter) -> None:
        self._queue = queue
        self._limiter = limiter

    def take(self, now: float) -> WorkItem | None:
        """Returns the event that a worker sends now, if there is one."""
        return self._queue.take(now) if self._admitted_at(now) == now else None

    def pause(self, now: float) -> float | None:
        """Returns the seconds until `take` may return an event; None: until an answer or an observation."""
        due, admitted_at = self._queue.next_due(), self._admitted_at(now)
        return None if due is None or admitted_at is None else max(due, admitted_at) - now

    def settle(self, item: WorkItem, answer: Answer, *, now: float) -> float:
        """Decides what an answer means for its CSR and for all others; returns by how long it prolongs the pause."""
        self._queue.settle(item, answer, now=now)
        return self._limiter.answered(item, answer, now=now)

    def _admitted_at(self, now: float) -> float | None:
        return self._limiter.admits_at(now, self._queue.in_flight.values())
