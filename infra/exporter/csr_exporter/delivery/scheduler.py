"""Which event is sent now, and what its answer changes: work queue and limiter together. Pure: time is an argument."""

from csr_exporter.delivery.limiter import MOST, Limiter, State
from csr_exporter.metrics import QueueStatus
from csr_exporter.queue.retry_policy import HANG, Answer
from csr_exporter.queue.work_queue import WorkItem, WorkQueue

# Of what may be under way, suspects that hung before get one in so many, so that they leave slots for the others.
_HUNG = 4


class Scheduler:
    """Gives out what is due while the limiter allows it.

    Attributes:
        in_flight: when the events under way were given out, by the CSR's uid.
    """

    def __init__(self, queue: WorkQueue, limiter: Limiter) -> None:
        self._queue = queue
        self._limiter = limiter
        self._suspects: set[str] = set()
        self.in_flight: dict[str, float] = {}

    def take(self, now: float) -> WorkItem | None:
        """The event that is to be sent now, or None."""
        if self._admitted_at(now) != now:
            return None
        item = self._queue.take(now, hung=self._admits_hung())
        if item is not None:
            self._limiter.sent(now)
            self.in_flight[item.reference.uid] = now
            if item.suspect:
                self._suspects.add(item.reference.uid)
        return item

    def pause(self, now: float) -> float | None:
        """Seconds until `take` may give something; None where that takes an answer or an observation."""
        due = self._queue.next_due(hung=self._admits_hung())
        admitted_at = self._admitted_at(now)
        return None if due is None or admitted_at is None else max(due, admitted_at) - now

    def settle(self, item: WorkItem, answer: Answer, *, now: float) -> None:
        """The event was answered: the limiter says whether the function is at fault. If not, a retry costs a token."""
        uid, requester = item.reference.uid, item.reference.requester
        sent_at = self.in_flight.pop(uid)
        self._suspects.discard(uid)
        is_functions = self._limiter.answered(
            answer, requester=requester, suspect=item.suspect, sent_at=sent_at, now=now
        )
        self._queue.settle(item, answer, now=now, took=now - sent_at, costs_a_token=not is_functions)

    def is_closed(self, now: float) -> bool:
        """Whether the function is taken to be there."""
        return self._limiter.state(now) is State.CLOSED

    def paused_seconds(self, now: float) -> dict[str, float]:
        """Seconds in which nothing was sent since this was asked before, by reason."""
        return self._limiter.paused_seconds(now)

    def status(self, now: float) -> QueueStatus:
        """What is to be done and how it goes."""
        return QueueStatus(
            pending=self._queue.pending(),
            oldest_undelivered=self._queue.oldest_undelivered(),
            in_flight=len(self.in_flight),
            limit=self._limiter.limit,
            circuit=int(self._limiter.state(now)),
        )

    def _admitted_at(self, now: float) -> float | None:
        """As `Limiter` says. Where all events are under way for long, one more may be: it may be the fault of a few."""
        number = len(self.in_flight)
        admitted_at = self._limiter.admits_at(number, now)
        if admitted_at is not None or number >= MOST:
            return admitted_at
        stuck_at = next(reversed(self.in_flight.values())) + HANG
        return stuck_at if stuck_at > now else self._limiter.admits_at(0, now)

    def _admits_hung(self) -> bool:
        return len(self._suspects) < max(1, self._limiter.limit // _HUNG)
