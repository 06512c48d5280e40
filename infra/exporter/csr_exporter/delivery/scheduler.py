"""Which event is sent now, and what its answer changes: work queue and limiter together. Pure: time is an argument."""

from csr_exporter.delivery.limiter import Limiter
from csr_exporter.metrics import QueueStatus
from csr_exporter.queue.retry_policy import Answer
from csr_exporter.queue.work_queue import WorkItem, WorkQueue


class Scheduler:
    """Takes from the work queue what is due, while the limiter allows it."""

    def __init__(self, queue: WorkQueue, limiter: Limiter) -> None:
        self._queue = queue
        self._limiter = limiter

    def take(self, now: float) -> WorkItem | None:
        """Returns the event that a worker sends now, if there is one."""
        if self._limiter.admits_at(now) != now:
            return None
        item = self._queue.take(now, suspects=self._limiter.admits_suspects)
        if item is not None:
            self._limiter.sent(item, now)
        return item

    def pause(self, now: float) -> float | None:
        """Returns the seconds until `take` may return an event; None: until an answer or an observation."""
        due = self._queue.next_due(suspects=self._limiter.admits_suspects)
        admitted_at = self._limiter.admits_at(now)
        return None if due is None or admitted_at is None else max(due, admitted_at) - now

    def settle(self, item: WorkItem, answer: Answer, *, now: float) -> None:
        """Decides what an answer means for its CSR and for all others. Only the requester's own faults cost tokens."""
        took = now - self._limiter.in_flight[item.reference.uid]
        is_functions_fault = self._limiter.answered(item, answer, now=now)
        self._queue.settle(item, answer, now=now, took=took, costs_a_token=not is_functions_fault)

    def status(self, now: float) -> QueueStatus:
        """Returns what is to be done and how it goes."""
        return QueueStatus(
            pending=self._queue.pending(),
            oldest_undelivered=self._queue.oldest_undelivered(now),
            in_flight=len(self._limiter.in_flight),
            limit=self._limiter.limit,
            circuit=self._limiter.state(now),
        )
