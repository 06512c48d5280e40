"""The loop that hands due events to workers, within the limiter's bounds."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

from csr_exporter.clock import Clock, age_of
from csr_exporter.csr import Stage
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.delivery.misconfiguration import WRONG, Misconfiguration
from csr_exporter.delivery.scheduler import Scheduler
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics, record
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue

# How many CSRs the operator sees.
MOST_SHOWN = 100


@dataclass(kw_only=True, eq=False)
class Dispatcher:
    """Sends what the work queue holds; safe to use from several threads. `changed` guards the queue."""

    queue: WorkQueue
    changed: threading.Condition
    send: Callable[[WorkItem], Answer]
    clock: Clock
    log: Log
    metrics: Metrics
    limiter: Limiter = field(default_factory=Limiter)

    def __post_init__(self) -> None:
        self._scheduler = Scheduler(self.queue, self.limiter)
        self._work: SimpleQueue[WorkItem | None] = SimpleQueue()
        self._misconfiguration = Misconfiguration()
        self._draining = False

    def run(self) -> None:
        """Hands out what is due until `drain` is called.

        There are as many workers as events were ever in flight at once: starting a thread costs more than its work.
        """
        workers = 0
        while (item := self._next()) is not None:
            if workers < len(self.queue.in_flight):
                workers += 1
                threading.Thread(target=self._deliver, daemon=True, name="delivery").start()
            self._work.put(item)
        for _ in range(workers):
            self._work.put(None)

    def drain(self, seconds: float) -> tuple[int, int]:
        """Hands out nothing more, and waits for the events in flight.

        Returns:
            How many CSRs are left to the next start, and how many events are still in flight.
        """
        with self.changed:
            self._draining = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.queue.in_flight, seconds)
            return len(self.queue), len(self.queue.in_flight)

    @property
    def oldest_sending(self) -> float:
        """Seconds since the oldest event in flight was sent; 0 where there is none."""
        with self.changed:
            now = self.clock.now()
            return now - min((item.sent_at for item in self.queue.in_flight.values()), default=now)

    @property
    def misconfigured(self) -> list[str]:
        """The signerNames for which the function says that an operator must act."""
        with self.changed:
            return self._misconfiguration.signer_names(self.clock.now())

    def update_gauges(self) -> None:
        """Sets the gauges to what is to be done now, and how it goes."""
        it = self.metrics
        with self.changed:
            now = self.clock.now()
            pending, oldest = self.queue.pending(), self.queue.oldest_undelivered(now)
            for stage in Stage:
                it.csr_pending.labels(stage=stage.value).set(pending[stage])
            it.inflight.set(len(self.queue.in_flight))
            it.concurrency_limit.set(self.limiter.places)
            it.function_failing.set(self.limiter.is_failing or now < self.limiter.paused_until)
        it.oldest_undelivered.set(age_of(oldest) or 0.0)

    def snapshot(self, most: int = MOST_SHOWN) -> list[dict[str, object]]:
        """Returns the CSRs that the queue has held for longest, for an operator."""
        with self.changed:
            return self.queue.described(most, self.clock.now())

    def _next(self) -> WorkItem | None:
        with self.changed:
            while not self._draining:
                now = self.clock.now()
                item = self._scheduler.take(now)
                if item is not None:
                    return item
                self.changed.wait(self._scheduler.pause(now))
            return None

    def _deliver(self) -> None:
        """Sends events one by one: the body of a worker's thread."""
        while (item := self._work.get()) is not None:
            try:
                answer = self.send(item)
            except Exception as error:  # noqa: BLE001 - an internal error with one CSR must not stop the others
                answer = Answer(verdict=Verdict.LATER, reason=f"internal: {type(error).__name__}: {error}")
            # Before the next event of the CSR can be answered, and outside the lock: a log may block.
            record(item, answer, log=self.log, metrics=self.metrics)
            with self.changed:
                now, was_failing = self.clock.now(), self.limiter.is_failing
                if paused := self._scheduler.settle(item, answer, now=now):
                    self.metrics.paused_seconds.labels(reason=answer.verdict.value).inc(paused)
                self._log_changes(item, answer, was_failing=was_failing, now=now)
                self.changed.notify_all()

    def _log_changes(self, item: WorkItem, answer: Answer, *, was_failing: bool, now: float) -> None:
        if self.limiter.is_failing and not was_failing:
            self.log.error("CSRs of several requesters fail", code=answer.status, reason=answer.reason or None)
        elif was_failing and not self.limiter.is_failing:
            self.log.info("the function answers again", code=answer.status)
        change = self._misconfiguration.answered(item, answer, now=now)
        if change is not None:
            write = self.log.error if change == WRONG else self.log.info
            write(change, signer_name=item.reference.signer_name, code=answer.status)
