"""The work queue: every CSR that may still get a certificate, and when its next event is due.

It is the whole state of the exporter, in memory only: the API server is the durable queue. Pure: time is an argument. A
CSR leaves only when the API server showed that nothing is left to do for it.

The way of a CSR: seen, left to the replica that owns it for a while, queued, in flight, settled. Then it is due again:
soon after a failure, much later after an acknowledgement.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from csr_exporter.csr import Reference, Stage
from csr_exporter.queue import retry_policy
from csr_exporter.queue.delay_queue import DelayQueue
from csr_exporter.queue.fair_queue import FairQueue, RateLimit
from csr_exporter.queue.item import Change, TrackedCsr, WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import NOT_THE_FUNCTION, Answer, Verdict

# Bounds the memory, with the longest names and the heaviest CSRs too; a later resync finds the rest.
MOST_CSRS = 10_000
# Which source goes first, in turn: mostly new CSRs (0). Retries (1) and suspects (2) do too, so that none starves.
_GOES_FIRST = (0, 0, 0, 1, 0, 0, 0, 2)


@dataclass(kw_only=True, eq=False)
class WorkQueue:
    """The CSRs by uid. New ones wait in a fair queue; the exporter retries the others at a time of their own."""

    rate_limit: RateLimit = field(default_factory=RateLimit)
    replicas: Replicas = field(default_factory=Replicas)
    most: int = MOST_CSRS
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        self._tracked: dict[str, TrackedCsr] = {}
        self._new = FairQueue(self.rate_limit, self.most)
        self._staggered, self._retries, self._suspects = (DelayQueue(self._due_of) for _ in range(3))
        self._in_flight: set[str] = set()
        self._goes_first = itertools.cycle(_GOES_FIRST)
        self._answered = 0.0  # when the exporter sent the latest event that the function dealt with

    def __len__(self) -> int:
        return len(self._tracked)

    def __contains__(self, uid: str) -> bool:
        return uid in self._tracked

    def stage_of(self, uid: str) -> Stage | None:
        """Returns the stage of a CSR; None where the queue does not hold it."""
        tracked = self._tracked.get(uid)
        return None if tracked is None else tracked.stage

    def pending(self) -> Counter[Stage]:
        """Returns the number of CSRs in each stage."""
        return Counter(tracked.stage for tracked in self._tracked.values())

    def oldest_undelivered(self, now: float) -> str:
        """Returns when the oldest CSR was created that the function should have acknowledged; "" where there is none.

        A requester must not raise the alarm: its own rate limit and its suspect CSRs do not count.
        """
        waiting = (each.reference.creation_timestamp for each in self._tracked.values() if self._is_overdue(each, now))
        return min(waiting, default="")

    def described(self, most: int, now: float) -> list[dict[str, object]]:
        """Returns the CSRs that the queue has held for longest, for an operator: without names, `due_in` in seconds."""
        return [
            {
                "uid": uid,
                "stage": tracked.stage.value,
                "attempts": tracked.failures,
                "resends": tracked.resends,
                "in_flight": uid in self._in_flight,
                "due_in": None if tracked.due is None else round(tracked.due - now, 1),
                "code": tracked.code,
            }
            for uid, tracked in itertools.islice(self._tracked.items(), most)
        ]

    def see(self, reference: Reference, stage: Stage | None, *, now: float) -> Change:
        """Learns what a CSR looks like; stage None: nothing is left to do for it.

        Further observations of a known CSR change nothing, except a later stage: its next event is that stage's.
        """
        tracked = self._tracked.get(reference.uid)
        if stage is None:
            return Change.NONE if tracked is None else self._end(tracked)
        if tracked is None:
            return self._add(reference, stage, now)
        tracked.absences = 0
        if stage is Stage.APPROVED and tracked.stage is Stage.PENDING:
            self._approve(tracked, reference, now)
        return Change.NONE

    def end_absent(self, signer_name: str, present: Collection[str], *, since: float, certain: bool) -> int:
        """Ends a signerName's CSRs that a list taken since `since` did not show; returns how many.

        A resync may be older than the watch (`certain` False): then two lists in a row must not show the CSR.
        """
        absent = [
            tracked
            for uid, tracked in self._tracked.items()
            if tracked.reference.signer_name == signer_name and uid not in present and tracked.added_at < since
        ]
        for tracked in absent:
            tracked.absences += 1
        gone = [tracked for tracked in absent if certain or tracked.absences > 1]
        for tracked in gone:
            self._end(tracked)
        return len(gone)

    def capacity_returned(self) -> bool:
        """Returns once, after the queue was full, whether half of it is free again."""
        return self._new.capacity_returned()

    def take(self, now: float, *, suspects: bool = True) -> WorkItem | None:
        """Returns the next event that is due, if there is one; `suspects`: whether the CSR may be suspect.

        Only one event of a CSR is in flight at a time.
        """
        while (uid := self._staggered.pop(now)) is not None:
            self._enqueue(self._tracked[uid], now)
        sources, first = self._sources(suspects), next(self._goes_first)
        for source in (*sources[first:], *reversed(sources[:first])):
            uid = source.take(now) if isinstance(source, FairQueue) else self._take_retry(source, now)
            if uid is not None:
                return self._item(self._tracked[uid], now)
        return None

    def next_due(self, *, suspects: bool = True) -> float | None:
        """Returns when `take` can return an event, at the earliest."""
        times = [source.next_due() for source in (self._staggered, *self._sources(suspects))]
        return min((time for time in times if time is not None), default=None)

    def settle(self, item: WorkItem, answer: Answer, *, now: float, costs_a_token: bool = True) -> None:
        """Schedules the CSR's next event after an answer.

        `costs_a_token`: whether the next event costs the requester a token, as the first one did.
        """
        self._in_flight.discard(item.reference.uid)
        if answer.is_about_the_csr:
            self._answered = max(self._answered, item.sent_at)
        tracked = self._tracked.get(item.reference.uid)
        if tracked is None:  # it ended while it was in flight
            return
        tracked.code, tracked.costs_a_token = answer.status, costs_a_token
        tracked.suspect_after = retry_policy.suspect_after(
            answer, tracked.suspect_after, took=now - item.sent_at, now=now
        )
        if answer.verdict is Verdict.ACKNOWLEDGED:
            tracked.acknowledged, tracked.failures = item.stage, 0
            is_current = item.stage is tracked.stage
            pause = retry_policy.fulfilment(tracked.resends) if is_current else retry_policy.SETTLING
        elif answer.verdict in NOT_THE_FUNCTION and not item.suspect and not costs_a_token:
            pause = 0.0  # the limiter pauses everything
        else:
            tracked.failures += 1
            pause = retry_policy.pause(answer, tracked.failures, self.chance)
        self._retry(tracked, now + pause)

    def _is_overdue(self, tracked: TrackedCsr, now: float) -> bool:
        waits_for_a_token = (
            tracked.reference.uid not in self._in_flight
            and (not tracked.tried or self._retry_costs_a_token(tracked))
            and self._new.available_at(tracked.reference.requester) > now
        )
        return tracked.acknowledged is None and not self._is_suspect(tracked) and not waits_for_a_token

    def _retry_costs_a_token(self, tracked: TrackedCsr) -> bool:
        # If a requester has only one CSR, the back-off alone bounds its retries: Calico gives up after 90 seconds.
        return tracked.costs_a_token and not self._new.holds_one(tracked.reference.requester)

    def _is_suspect(self, tracked: TrackedCsr) -> bool:
        return tracked.suspect_after is not None and self._answered > tracked.suspect_after

    def _add(self, reference: Reference, stage: Stage, now: float) -> Change:
        change = self._new.admit(reference.requester, now)
        if change is not Change.ADDED:
            return change
        tracked = self._tracked[reference.uid] = TrackedCsr(reference, stage, added_at=now)
        if reference.uid in self._in_flight:  # it came back while its event is in flight
            tracked.tried = True
            return change
        delay = self.replicas.delay(reference.uid)
        if delay:
            tracked.due = now + delay
            self._staggered.add(tracked.due, reference.uid)
            return change
        return Change.THROTTLED if self._enqueue(tracked, now) else change

    def _end(self, tracked: TrackedCsr) -> Change:
        del self._tracked[tracked.reference.uid]
        self._new.release(tracked.reference.requester, tracked.reference.uid)
        return Change.ENDED

    def _approve(self, tracked: TrackedCsr, reference: Reference, now: float) -> None:
        tracked.stage, tracked.reference, tracked.resends = Stage.APPROVED, reference, 0
        # The next event is another one: it need not wait as long as the answer to the last one demands.
        soon = now + retry_policy.SETTLING + self.replicas.delay(reference.uid)
        if tracked.tried and tracked.due is not None and tracked.due > soon:
            self._retry(tracked, soon)

    def _enqueue(self, tracked: TrackedCsr, now: float) -> bool:
        tracked.due = None
        return self._new.add(tracked.reference.requester, tracked.reference.uid, now=now)

    def _retry(self, tracked: TrackedCsr, due: float) -> None:
        tracked.due = due
        (self._suspects if self._is_suspect(tracked) else self._retries).add(due, tracked.reference.uid)

    def _sources(self, suspects: bool) -> list[FairQueue | DelayQueue]:  # noqa: FBT001 - `take`'s own
        return [self._new, self._retries, self._suspects] if suspects else [self._new, self._retries]

    def _take_retry(self, source: DelayQueue, now: float) -> str | None:
        """Returns the uid of a retry that is due. A retry that costs a token waits until its requester has one."""
        while (uid := source.pop(now)) is not None:
            tracked = self._tracked[uid]
            requester = tracked.reference.requester
            if not self._retry_costs_a_token(tracked):
                return uid
            available_at = self._new.available_at(requester)
            if available_at <= now:
                self._new.spend(requester, now)
                return uid
            self._retry(tracked, available_at)
        return None

    def _item(self, tracked: TrackedCsr, now: float) -> WorkItem:
        if tracked.acknowledged is tracked.stage:
            tracked.resends += 1
        takeover = not tracked.tried and self.replicas.delay(tracked.reference.uid) > 0
        # Until the function acknowledges this event, further attempts are retries of it.
        tracked.acknowledged = tracked.due = None
        tracked.tried = True
        self._in_flight.add(tracked.reference.uid)
        return WorkItem(
            reference=tracked.reference,
            stage=tracked.stage,
            attempt=tracked.failures + 1,
            resend=tracked.resends,
            takeover=takeover,
            suspect=self._is_suspect(tracked),
            sent_at=now,
        )

    def _due_of(self, uid: str) -> float | None:
        tracked = self._tracked.get(uid)
        return None if tracked is None else tracked.due
