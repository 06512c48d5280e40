"""Between the watch and the sender: the work queue behind a lock, and the loop that hands out its items.

The reflectors only add what they see; they never wait for the function. Each delivery has a thread of the pool, and
the limiter says how many there may be.
"""

import threading
from collections.abc import Callable, Iterable, Mapping

from csr_exporter.clock import Clock
from csr_exporter.csr import Seen, Stage, is_sendable
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.delivery.scheduler import Scheduler
from csr_exporter.delivery.worker_pool import WorkerPool
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics, QueueStatus, Recorder
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import WorkItem, WorkQueue

# What an operator is shown of the work.
MOST_SHOWN = 100


class Dispatcher:
    """Owns `WorkQueue` and `Scheduler`; safe to use from several threads.

    `stages` says for each signerName which stages are sent; `send` delivers one event.
    """

    def __init__(
        self,
        *,
        stages: Mapping[str, frozenset[Stage]],
        send: Callable[[WorkItem], Answer],
        clock: Clock,
        log: Log,
        metrics: Metrics,
        queue: WorkQueue | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self._stages = stages
        self._send = send
        self._clock = clock
        self._recorder = Recorder(log=log, metrics=metrics)
        self._queue = WorkQueue() if queue is None else queue
        self._scheduler = Scheduler(self._queue, Limiter() if limiter is None else limiter)
        self._resyncing = False
        self._ended_meanwhile: set[str] = set()
        self._changed = threading.Condition()
        self._draining = False

    # What the API server showed.

    def watched(self, batch: Iterable[Seen]) -> None:
        """The watch, or the list that it continues, showed these CSRs."""
        with self._changed:
            for seen in batch:
                stage = self._wanted(seen)
                if self._resyncing and stage is None:
                    self._ended_meanwhile.add(seen.reference.uid)
                self._see(seen, stage)
            self._changed.notify_all()

    def listed(self, signer_name: str, present: set[str], *, since: float) -> None:
        """The list that the watch continues was complete: what it did not show is gone."""
        with self._changed:
            ended = self._queue.end_absent(signer_name, present, since=since, certain=True)
        self._recorder.ended(ended)

    def resync_begins(self) -> None:
        """A list beside the watch is started."""
        with self._changed:
            self._resyncing = True

    def resynced(self, batch: Iterable[Seen]) -> None:
        """The list beside the watch showed these CSRs: it adds what is missing and ends nothing."""
        with self._changed:
            for seen in batch:
                stage = self._wanted(seen)
                if stage is not None and seen.reference.uid not in self._ended_meanwhile:
                    self._see(seen, stage)
            self._changed.notify_all()

    def resync_ends(self, present: Mapping[str, set[str]], *, since: float) -> None:
        """The list beside the watch is over; `present` has the signerNames for which it was complete."""
        with self._changed:
            self._resyncing = False
            self._ended_meanwhile.clear()
            ended = sum(
                self._queue.end_absent(signer_name, uids, since=since, certain=False)
                for signer_name, uids in present.items()
            )
        self._recorder.ended(ended)

    def capacity_returned(self) -> bool:
        """Returns once whether a list would find what had to be left out, because there is capacity again."""
        with self._changed:
            return self._queue.capacity_returned()

    # What is sent.

    def run(self) -> None:
        """Hands out what is due until `drain` is called."""
        pool = WorkerPool(self._deliver)
        while (item := self._next()) is not None:
            pool.start(item)
        pool.end()

    def drain(self, seconds: float) -> tuple[int, int]:
        """Hands out nothing more and waits for what is in flight.

        Returns how many CSRs are left to the next start, and how many deliveries are still in flight.
        """
        with self._changed:
            self._draining = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._scheduler.in_flight, seconds)
            return len(self._queue), len(self._scheduler.in_flight)

    @property
    def waiting(self) -> int:
        """CSRs that may still get a certificate."""
        with self._changed:
            return len(self._queue)

    @property
    def oldest_sending(self) -> float:
        """Seconds since the oldest delivery in flight was started; 0 where there is none."""
        with self._changed:
            now = self._clock.now()
            return now - min(self._scheduler.in_flight.values(), default=now)

    def status(self) -> QueueStatus:
        """What is to be done and how it goes."""
        with self._changed:
            now = self._clock.now()
            self._recorder.paused_seconds(self._scheduler.paused_seconds(now))
            return self._scheduler.status(now)

    def snapshot(self, most: int = MOST_SHOWN) -> list[dict[str, object]]:
        """The CSRs that are held for longest, for an operator."""
        with self._changed:
            return self._queue.described(most, self._clock.now())

    def _next(self) -> WorkItem | None:
        with self._changed:
            while not self._draining:
                now = self._clock.now()
                item = self._scheduler.take(now)
                if item is not None:
                    return item
                self._changed.wait(self._scheduler.pause(now))
            return None

    def _deliver(self, item: WorkItem) -> None:
        try:
            answer = self._send(item)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one CSR must not stop the others
            answer = Answer(verdict=Verdict.LATER, reason=f"internal: {type(error).__name__}: {error}")
        with self._changed:
            now = self._clock.now()
            self._scheduler.settle(item, answer, now=now)
            self._recorder.paused_seconds(self._scheduler.paused_seconds(now))
            self._recorder.circuit(answer, is_closed=self._scheduler.is_closed(now))
            self._changed.notify_all()
        self._recorder.answered(item, answer)

    def _wanted(self, seen: Seen) -> Stage | None:
        if seen.stage in self._stages.get(seen.reference.signer_name, frozenset()):
            return seen.stage
        return None

    def _see(self, seen: Seen, stage: Stage | None) -> None:
        if stage is not None and not is_sendable(seen.reference.name):
            self._recorder.refused_name()
            return
        change = self._queue.see(seen.reference, stage, now=self._clock.now())
        self._recorder.changed(change, seen)
