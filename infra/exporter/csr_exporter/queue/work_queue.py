"""The work queue: every CSR that may still get a certificate, and when its next event is due.

It is the whole state of the exporter, in memory only: the API server is the durable queue. Pure: time is an argument. A
CSR leaves only when the API server showed that nothing is left to do for it.

The way of a CSR: seen, left to the replica that owns it for a while, due, in flight, settled. Then it is due again:
soon after a failure, much later after an acknowledgement. Of those that are due, the fair queue says which is next.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from csr_exporter.csr import Reference, Stage
from csr_exporter.queue import retry_policy
from csr_exporter.queue.delay_queue import DelayQueue
from csr_exporter.queue.fair_queue import FairQueue, Lane, RateLimit
from csr_exporter.queue.item import Change, TrackedCsr, WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import FAILURES, Answer

# Bounds the memory, with the longest names and the heaviest CSRs too; a later resync finds the rest.
MOST_CSRS = 10_000


@dataclass(kw_only=True, eq=False)
class WorkQueue:
    """The CSRs by uid.

    Attributes:
        in_flight: the events in flight by uid. A CSR that ends meanwhile leaves its event here.
    """

    rate_limit: RateLimit = field(default_factory=RateLimit)
    replicas: Replicas = field(default_factory=Replicas)
    most: int = MOST_CSRS
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        self.in_flight: dict[str, WorkItem] = {}
        self._tracked: dict[str, TrackedCsr] = {}  # at most `most`
        self._later = DelayQueue(self._due_of, self._tracked)  # those with a time
        self._due = FairQueue(self.rate_limit)  # those without a time that are not in flight
        self._was_full = False  # since `capacity_returned` last returned True
        self._answered = float("-inf")  # when the exporter sent the latest event that the function dealt with

    def __len__(self) -> int:
        return len(self._tracked)

    def __contains__(self, uid: str) -> bool:
        return uid in self._tracked

    def pending(self) -> Counter[Stage]:
        """Returns the number of CSRs in each stage."""
        return Counter(tracked.stage for tracked in self._tracked.values())

    def oldest_undelivered(self, now: float) -> str:
        """Returns when the oldest CSR was created that the function should have acknowledged; "" where there is none.

        CSRs that wait for their requester's rate limit do not count, nor those of a requester whose events fail while
        the function answers others.
        """
        waiting = (each.reference.creation_timestamp for each in self._tracked.values() if self._is_overdue(each, now))
        return min(waiting, default="")

    def described(self, most: int, now: float) -> list[dict[str, object]]:
        """Returns the CSRs that the queue has held for longest, for an operator: without names, `due_in` in seconds."""
        return [
            {
                "uid": uid,
                "stage": tracked.stage.value,
                "attempts": 0 if tracked.last is None else tracked.last.attempt,
                "resends": 0 if tracked.last is None else tracked.last.resend,
                "in_flight": uid in self.in_flight,
                "due_in": None if tracked.due is None else round(tracked.due - now, 1),
                "code": None if tracked.answer is None else tracked.answer.status,
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
        returned = self._was_full and self._is_half_free
        self._was_full = self._was_full and not returned
        return returned

    def take(self, now: float) -> WorkItem | None:
        """Returns the next event that is due, if there is one. Only one event of a CSR is in flight at a time."""
        while (uid := self._later.pop(now)) is not None:
            self._becomes_due(self._tracked[uid], now)
        uid = self._due.take(now)
        return None if uid is None else self._send(self._tracked[uid], now)

    def next_due(self) -> float | None:
        """Returns when `take` can return an event, at the earliest."""
        times = [time for time in (self._later.next_due(), self._due.next_due()) if time is not None]
        return min(times, default=None)

    def settle(self, item: WorkItem, answer: Answer, *, now: float) -> None:
        """Schedules the CSR's next event after an answer."""
        del self.in_flight[item.reference.uid]
        is_failure = answer.verdict in FAILURES
        if is_failure or answer.is_about_the_csr:
            self._due.answered(item.reference.requester, is_failure=is_failure, now=now)
        if answer.is_about_the_csr:
            self._answered = max(self._answered, item.sent_at)
        tracked = self._tracked.get(item.reference.uid)
        if tracked is None:  # it ended while it was in flight
            return
        tracked.answer = answer
        if tracked.is_acknowledged:
            pause = retry_policy.fulfilment(item.resend)
        else:
            pause = retry_policy.pause(answer, item.attempt, self.chance)
        if item.stage is not tracked.stage:  # the answer is to another event than the next one
            pause = min(pause, retry_policy.SETTLING)
        self._delay(tracked, now + pause)

    def _is_overdue(self, tracked: TrackedCsr, now: float) -> bool:
        has_a_place = tracked.reference.uid in self.in_flight or self._due.available_at(_lane(tracked)) <= now
        failed_at = self._due.failed_at(tracked.reference.requester)
        fails_alone = failed_at is not None and self._answered > failed_at
        return has_a_place and not tracked.is_acknowledged and not fails_alone

    def _add(self, reference: Reference, stage: Stage, now: float) -> Change:
        if len(self._tracked) >= self.most:
            self._was_full = True
            return Change.FULL
        if not self._due.admit(reference.requester, now, is_scarce=not self._is_half_free):
            return Change.OVER_LIMIT
        tracked = self._tracked[reference.uid] = TrackedCsr(reference, stage, added_at=now)
        tracked.last = self.in_flight.get(reference.uid)  # if it came back while its event is in flight
        if tracked.last is not None:
            return Change.ADDED
        delay = self.replicas.delay(reference.uid)
        if delay:
            self._delay(tracked, now + delay)
            return Change.ADDED
        return Change.THROTTLED if self._becomes_due(tracked, now) else Change.ADDED

    def _end(self, tracked: TrackedCsr) -> Change:
        del self._tracked[tracked.reference.uid]
        self._due.release(_lane(tracked), tracked.reference.uid)
        return Change.ENDED

    def _approve(self, tracked: TrackedCsr, reference: Reference, now: float) -> None:
        tracked.stage = Stage.APPROVED
        # The rest never changes.
        tracked.reference = replace(tracked.reference, resource_version=reference.resource_version)
        # The next event is another one: it need not wait as long as the answer to the last one demands.
        soon = now + retry_policy.SETTLING + self.replicas.delay(reference.uid)
        if tracked.due is not None and tracked.due > soon:
            self._delay(tracked, soon)

    def _becomes_due(self, tracked: TrackedCsr, now: float) -> bool:
        tracked.due = None
        return self._due.add(_lane(tracked), tracked.reference.uid, now=now)

    def _delay(self, tracked: TrackedCsr, due: float) -> None:
        tracked.due = due
        self._later.add(due, tracked.reference.uid)

    def _send(self, tracked: TrackedCsr, now: float) -> WorkItem:
        takeover = tracked.last is None and self.replicas.delay(tracked.reference.uid) > 0
        item = tracked.next(now, takeover=takeover)
        tracked.last, tracked.answer = item, None
        self.in_flight[item.reference.uid] = item
        return item

    @property
    def _is_half_free(self) -> bool:
        return len(self._tracked) < max(1, self.most // 2)

    def _due_of(self, uid: str) -> float | None:
        tracked = self._tracked.get(uid)
        return None if tracked is None else tracked.due


def _lane(tracked: TrackedCsr) -> Lane:
    return Lane(tracked.last is not None, tracked.reference.signer_name, tracked.reference.requester)
