"""The work queue behind a lock, and the loop that hands its items to the worker pool.

The reflectors only add what they see; they never wait for the function.
"""

import threading
from collections.abc import Callable, Iterable, Mapping

from csr_exporter.clock import Clock
from csr_exporter.csr import Seen, Stage, is_sendable
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.delivery.worker_pool import WorkerPool
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics, QueueStatus, Recorder
from csr_exporter.queue.item import Change, WorkItem
from csr_exporter.queue.missed import EVERYTHING, MissedEvents
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue

# How many CSRs the operator sees.
MOST_SHOWN = 100


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


class Dispatcher:
    """Owns the work queue and the limiter; safe to use from several threads."""

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
        """Starts nothing.

        Args:
            stages: the stages to send for each signerName.
            send: sends one event.
            clock: the time.
            log: the log.
            metrics: the metrics.
            queue: the work queue; by default a new one.
            limiter: the limiter; by default a new one.
        """
        self._stages = stages
        self._send = send
        self._clock = clock
        self._recorder = Recorder(log=log, metrics=metrics)
        self._queue = WorkQueue() if queue is None else queue
        self._limiter = Limiter() if limiter is None else limiter
        self._scheduler = Scheduler(self._queue, self._limiter)
        self._missed = MissedEvents()
        self._resyncing = False
        self._ended_meanwhile: set[str] = set()
        self._changed = threading.Condition()
        self._draining = False

    def watched(self, batch: Iterable[Seen], *, unread: Iterable[str] = ()) -> None:
        """Learns what the watch shows, or the list that it continues; `unread`: uids of CSRs that cannot be read."""
        with self._changed:
            self._missed.left_out(*unread)
            for seen in batch:
                stage = self._wanted(seen)
                if self._resyncing and stage is None:
                    self._ended_meanwhile.add(seen.reference.uid)
                self._missed.shown(seen.reference.uid, seen.stage, is_new=seen.is_new)
                self._see(seen, stage)
            self._changed.notify_all()

    def relisted(self, signer_name: str, present: set[str] | None, *, since: float) -> None:
        """Ends the CSRs that the reflector's list did not show; None: the list does not say."""
        with self._changed:
            self._missed.relisted(signer_name)
            ended = 0
            if present is not None:
                ended = self._queue.end_absent(signer_name, present, since=since, certain=True)
        self._recorder.ended(ended)

    def resync_begins(self) -> None:
        """Remembers from now on which CSRs the watch ends: the resync may be older."""
        with self._changed:
            self._resyncing = True
            self._missed.resync_begins()

    def resynced(self, batch: Iterable[Seen], *, unread: Iterable[str] = ()) -> None:
        """Adds what a resync shows and the queue lacks; ends nothing."""
        with self._changed:
            self._missed.left_out(*unread)
            for seen in batch:
                stage = self._wanted(seen)
                if stage is not None and seen.reference.uid not in self._ended_meanwhile:
                    self._repair(seen, stage)
            self._changed.notify_all()

    def missed(self, up_to_date: Mapping[str, float]) -> list[tuple[str, str]]:
        """Returns signerName and uid of the CSRs that the watch missed; `up_to_date`: as `MissedEvents.take`."""
        with self._changed:
            return self._missed.take(up_to_date)

    def resync_ends(self, present: Mapping[str, set[str]], *, since: float) -> None:
        """Ends the CSRs that two resyncs in a row did not show; `present` has the signerNames with a complete list."""
        with self._changed:
            self._resyncing = False
            self._ended_meanwhile.clear()
            self._missed.resync_ends(is_complete=len(present) == len(self._stages))
            ended = sum(
                self._queue.end_absent(signer_name, uids, since=since, certain=False)
                for signer_name, uids in present.items()
            )
        self._recorder.ended(ended)

    def capacity_returned(self) -> bool:
        """Returns once, after the queue was full, whether half of it is free again."""
        with self._changed:
            return self._queue.capacity_returned()

    def run(self) -> None:
        """Hands out what is due until `drain` is called."""
        pool = WorkerPool(self._deliver)
        while (item := self._next()) is not None:
            pool.start(item)
        pool.end()

    def drain(self, seconds: float) -> tuple[int, int]:
        """Hands out nothing more, and waits for the events in flight.

        Returns:
            How many CSRs are left to the next start, and how many events are still in flight.
        """
        with self._changed:
            self._draining = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._limiter.in_flight, seconds)
            return len(self._queue), len(self._limiter.in_flight)

    @property
    def waiting(self) -> int:
        """CSRs that may still get a certificate."""
        with self._changed:
            return len(self._queue)

    @property
    def oldest_sending(self) -> float:
        """Seconds since the oldest event in flight was sent; 0 where there is none."""
        with self._changed:
            now = self._clock.now()
            return now - min(self._limiter.in_flight.values(), default=now)

    def status(self) -> QueueStatus:
        """Returns what is to be done and how it goes."""
        with self._changed:
            now = self._clock.now()
            self._recorder.paused_seconds(self._limiter.paused_seconds(now))
            return self._scheduler.status(now)

    def snapshot(self, most: int = MOST_SHOWN) -> list[dict[str, object]]:
        """Returns the CSRs that the queue has held for longest, for an operator."""
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
        except Exception as error:  # noqa: BLE001 - an internal error with one CSR must not stop the others
            answer = Answer(verdict=Verdict.LATER, reason=f"internal: {type(error).__name__}: {error}")
        # Before the next event of the CSR can be answered, and outside the lock: a log may block.
        self._recorder.answered(item, answer)
        with self._changed:
            now = self._clock.now()
            self._scheduler.settle(item, answer, now=now)
            self._recorder.paused_seconds(self._limiter.paused_seconds(now))
            self._recorder.availability(answer, is_down=self._limiter.is_down)
            self._changed.notify_all()

    def _wanted(self, seen: Seen) -> Stage | None:
        if seen.stage in self._stages.get(seen.reference.signer_name, frozenset()):
            return seen.stage
        return None

    def _repair(self, seen: Seen, stage: Stage) -> None:
        earlier = self._queue.stage_of(seen.reference.uid)
        self._see(seen, stage)
        if stage is earlier or self._queue.stage_of(seen.reference.uid) is not stage:
            return
        # If the exporter sends no pending CSRs, the queue does not know whether the watch showed this one before.
        was_shown = earlier is not None or Stage.PENDING not in self._stages[seen.reference.signer_name]
        self._missed.added(seen.reference, stage, was_shown=was_shown, now=self._clock.now())

    def _see(self, seen: Seen, stage: Stage | None) -> None:
        if stage is not None and not is_sendable(seen.reference.name):
            self._recorder.refused_name()
            return
        change = self._queue.see(seen.reference, stage, now=self._clock.now())
        if change is Change.OVER_LIMIT:
            self._missed.left_out(seen.reference.requester)
        elif change is Change.FULL:
            self._missed.left_out(EVERYTHING)
        self._recorder.changed(change, seen)
