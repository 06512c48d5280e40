"""The pure core: what is due when. Time is an argument here, so hours cost nothing."""

import dataclasses
import tracemalloc
from collections import Counter

import pytest

from csr_exporter.csr import Stage
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.delivery.scheduler import Scheduler
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.item import Change, WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import FULFILMENT, POISON_RETRY, SETTLING, Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue
from tests.unit.exporter.support import ACKNOWLEDGED, CREATED, SIGNER, reference

FAILED = Answer(verdict=Verdict.LATER, status=500)
DEFERRED = Answer(verdict=Verdict.LATER, status=425, retry_after=300.0)
POISON = Answer(verdict=Verdict.POISON, status=400)
UNREACHABLE = Answer(verdict=Verdict.SLOW)
FORBIDDEN = Answer(verdict=Verdict.CREDENTIAL, status=403)
OVERLOADED = Answer(verdict=Verdict.OVERLOADED, status=429)
OLD = "2026-11-24T09:00:00Z"


def _queue(*numbers: int, stage: Stage = Stage.APPROVED) -> WorkQueue:
    queue = WorkQueue(chance=lambda: 0.0)
    for number in numbers:
        queue.see(reference(number), stage, now=0.0)
    return queue


def _taken(queue: WorkQueue, now: float) -> WorkItem:
    item = queue.take(now)
    assert item is not None
    return item


def _drain(queue: WorkQueue, now: float) -> list[int]:
    taken = []
    while (item := queue.take(now)) is not None:
        taken.append(int(item.reference.uid[:8]))
    return taken


def test_a_retry_of_a_resend_keeps_its_id() -> None:
    """When a resend fails, its retries are the same event; only the attempt counts, from 1 for each resend."""
    queue, now, sent = _queue(1), 0.0, []
    for answer in (FAILED, ACKNOWLEDGED, FAILED, FAILED, ACKNOWLEDGED, FAILED):
        now = max(now, queue.next_due() or 0.0)
        item = _taken(queue, now)
        sent.append((item.resend, item.attempt))
        queue.settle(item, answer, now=now)
    assert sent == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (2, 1)]


@pytest.mark.parametrize("when", ["before", "in flight", "after a failure", "after an acknowledgement"])
def test_what_has_ended_is_not_sent(when: str) -> None:
    """Denied, failed, issued or deleted while queued: the entry is gone and nothing of it is sent any more."""
    queue = _queue(1)
    if when != "before":
        item = _taken(queue, 0.0)
        if when == "in flight":
            queue.see(reference(), None, now=0.5)
        queue.settle(item, FAILED if when == "after a failure" else ACKNOWLEDGED, now=1.0)
    queue.see(reference(), None, now=2.0)
    assert (len(queue), queue.in_flight, queue.take(1e9), queue.next_due()) == (0, {}, None, None)


@pytest.mark.parametrize(
    ("answers", "in_flight", "expected"),
    [
        pytest.param([], False, 0.0, id="nothing sent yet"),
        pytest.param([ACKNOWLEDGED], True, SETTLING, id="in flight, then acknowledged"),
        pytest.param([FAILED], True, 0.5, id="in flight, then failed"),
        pytest.param([DEFERRED], True, SETTLING, id="in flight, then deferred for minutes"),
        pytest.param([POISON], True, SETTLING, id="in flight, then malformed"),
        pytest.param([UNREACHABLE] * 9 + [DEFERRED], True, SETTLING, id="in flight again"),
        pytest.param([ACKNOWLEDGED], False, SETTLING, id="acknowledged"),
        pytest.param([FAILED], False, 0.5, id="failed"),
        pytest.param([DEFERRED], False, SETTLING, id="deferred for minutes"),
        pytest.param([POISON], False, SETTLING, id="malformed"),
        pytest.param([ACKNOWLEDGED] * 3, False, SETTLING, id="resent"),
    ],
)
def test_an_approval_is_an_event_of_its_own(answers: list[Answer], expected: float, *, in_flight: bool) -> None:
    """It waits a few seconds at most for what the pending event causes, and has its own attempts and resends."""
    queue, now = _queue(1, stage=Stage.PENDING), 0.0
    approved = dataclasses.replace(reference(), resource_version="999")
    for number, answer in enumerate(answers, 1):
        now = max(now, queue.next_due() or 0.0)
        item = _taken(queue, now)
        if in_flight and number == len(answers):
            queue.see(approved, Stage.APPROVED, now=now)
            assert queue.take(now) is None
        queue.settle(item, answer, now=now)
    queue.see(approved, Stage.APPROVED, now=now)
    queue.see(reference(), Stage.PENDING, now=now)  # an older list takes no stage back
    assert max(now, queue.next_due() or 0.0) == now + expected
    sent = _taken(queue, now + expected)
    assert (sent.reference, sent.stage, sent.attempt, sent.resend) == (approved, Stage.APPROVED, 1, 0)
    assert queue.next_due() is None


def test_an_approval_is_left_to_the_owner_too() -> None:
    """Where both replicas have sent stage pending, an approval later on is the owner's to tell, as a new CSR is."""
    queues = [WorkQueue(replicas=Replicas(count=2, ordinal=ordinal)) for ordinal in range(2)]
    for queue in queues:
        queue.see(reference(), Stage.PENDING, now=0.0)
        queue.settle(_taken(queue, 15.0), ACKNOWLEDGED, now=15.0)
        queue.see(reference(), Stage.APPROVED, now=20.0)
    assert sorted(queue.next_due() or 0.0 for queue in queues) == [20.0 + SETTLING, 20.0 + SETTLING + 15.0]


def test_a_replica_takes_over_once() -> None:
    """Only the first event of a CSR stands for the owner's."""
    queues = [WorkQueue(replicas=Replicas(count=2, ordinal=ordinal)) for ordinal in range(2)]
    events = []
    for queue in queues:
        queue.see(reference(), Stage.PENDING, now=0.0)
        for now in (15.0, 100.0):
            item = _taken(queue, now)
            events.append((item.takeover, item.attempt))
            queue.settle(item, FAILED, now=now)
    assert sorted(events) == [(False, 1), (False, 2), (False, 2), (True, 1)]


def test_a_complete_list_ends_what_it_does_not_show() -> None:
    """The list that a watch continues ends its signerName's absent entries, except those added since it was started."""
    queue = _queue(1, 2)
    queue.see(reference(3, signer_name="example.com/other"), Stage.APPROVED, now=0.0)
    queue.see(reference(4), Stage.APPROVED, now=7.0)
    assert queue.end_absent(SIGNER, {reference(1).uid}, since=5.0, certain=True) == 1
    assert sorted(_drain(queue, 7.0)) == [1, 3, 4]


def test_a_list_beside_the_watch_ends_only_what_is_absent_twice() -> None:
    """One absence may be the list's being old; a sighting between two absences starts the count anew."""
    queue = _queue(1, 2)
    absent = {reference(1).uid}
    assert queue.end_absent(SIGNER, absent, since=5.0, certain=False) == 0
    queue.see(reference(2), Stage.APPROVED, now=6.0)
    assert queue.end_absent(SIGNER, absent, since=7.0, certain=False) == 0
    assert queue.end_absent(SIGNER, absent, since=9.0, certain=False) == 1
    assert (reference(1).uid in queue, reference(2).uid in queue) == (True, False)


def test_a_csr_that_comes_back_is_not_sent_beside_its_event_in_flight() -> None:
    """It ended, and came back approved. The answer still counts, and its next event is no takeover."""
    queue = WorkQueue(replicas=Replicas(count=2, ordinal=0), chance=lambda: 0.0)
    queue.see(reference(), Stage.PENDING, now=0.0)
    item = _taken(queue, 15.0)
    assert item.takeover
    queue.see(reference(), None, now=15.1)
    assert (len(queue), len(queue.in_flight)) == (0, 1)
    queue.see(reference(), Stage.APPROVED, now=15.2)
    assert (queue.take(100.0), queue.next_due()) == (None, None)
    queue.settle(item, DEFERRED, now=100.0)
    assert queue.described(1, 100.0)[0]["code"] == 425
    again = _taken(queue, 100.0 + SETTLING)
    assert (again.stage, again.attempt, again.takeover) == (Stage.APPROVED, 1, False)


def test_returned_capacity_is_noticed_once() -> None:
    """Once half of the room is free again after something was left out: then a list finds it."""
    queue = WorkQueue(most=4)
    for number in range(4):
        queue.see(reference(number), Stage.APPROVED, now=0.0)
    queue.see(reference(0), None, now=1.0)
    assert not queue.capacity_returned()  # nothing was left out
    queue.see(reference(4), Stage.APPROVED, now=1.0)
    assert queue.see(reference(5), Stage.APPROVED, now=1.0) is Change.FULL
    came = []
    for number in (1, 2, 3, 4):
        queue.see(reference(number), None, now=2.0)
        came.append(queue.capacity_returned())
    assert came == [False, False, True, False]
    assert queue.see(reference(5), Stage.APPROVED, now=2.0) is Change.ADDED


def test_the_second_half_of_the_capacity_is_for_requesters_with_few_csrs() -> None:
    """However many pods file as much as they may, each other one still has room for its burst."""
    queue, rate_limit = WorkQueue(most=1000), RateLimit()
    numbers = iter(range(10_000))
    for pod in range(80):
        for _ in range(rate_limit.most_held):
            queue.see(reference(next(numbers), pod=pod), Stage.PENDING, now=0.0)
    assert len(queue) < 1000
    changes = {queue.see(reference(next(numbers), pod=1000), Stage.PENDING, now=0.0) for _ in range(rate_limit.burst)}
    assert changes == {Change.ADDED}
    assert queue.see(reference(next(numbers), pod=1000), Stage.PENDING, now=0.0) is Change.OVER_LIMIT


def test_what_has_passed_leaves_nothing_behind() -> None:
    """Ten thousand CSRs that came, were acknowledged and issued take no memory, though their windows are not over."""
    queue, now = _queue(10_001), 0.0  # waits before all of them, so that they are not found by chance
    queue.settle(_taken(queue, 0.0), POISON, now=0.0)
    tracemalloc.start()
    try:
        for number in range(10_000):
            now += 0.3
            queue.see(reference(number), Stage.APPROVED, now=now)
            queue.settle(_taken(queue, now), ACKNOWLEDGED, now=now)
            queue.see(reference(number), None, now=now)
        assert tracemalloc.get_traced_memory()[0] < 128 << 10
    finally:
        tracemalloc.stop()
    assert _drain(queue, POISON_RETRY) == [10_001]


@pytest.mark.parametrize("answer", [FAILED, DEFERRED, POISON, ACKNOWLEDGED, UNREACHABLE, FORBIDDEN, OVERLOADED])
def test_a_requesters_retries_cost_tokens(answer: Answer) -> None:
    """A pod causes no more events than its rate limit allows, whatever answers them; each of its CSRs has its turn.

    New CSRs of others do not wait for them.
    """
    queue = WorkQueue(rate_limit=RateLimit(burst=3, seconds=7200), chance=lambda: 0.0)
    scheduler, sent, now = Scheduler(queue, Limiter()), list[tuple[float, int]](), 0.0
    for number in range(1, 4):
        queue.see(reference(number, pod=1), Stage.PENDING, now=0.0)
    while len(sent) < 9:
        while (item := scheduler.take(now)) is not None:
            sent.append((now, int(item.reference.uid[:8])))
            scheduler.settle(item, answer, now=now)
        pause = scheduler.pause(now)
        assert pause is not None
        assert pause > 0.0
        now += pause
    assert [place for place, (now, _) in enumerate(sent, 1) if place > 3 + now / 7200] == []
    assert min(Counter(number for _, number in sent).values()) >= 2
    queue.see(reference(4), Stage.PENDING, now=now)
    assert _taken(queue, now).reference == reference(4)


def test_retries_of_an_only_csr_cost_no_tokens() -> None:
    """An honest pod has one CSR at a time: its back-off alone bounds how often that is sent."""
    queue = WorkQueue(rate_limit=RateLimit(burst=1, seconds=3600), chance=lambda: 0.0)
    queue.see(reference(1), Stage.APPROVED, now=0.0)
    queue.settle(_taken(queue, 0.0), FAILED, now=0.0)
    queue.settle(_taken(queue, 1.0), ACKNOWLEDGED, now=1.0)
    assert _taken(queue, 1.0 + FULFILMENT).resend == 1


def test_a_csr_that_must_wait_for_a_token_is_throttled() -> None:
    """Seen so where it is added: six at once, then one per half minute."""
    queue = WorkQueue()
    changes = [queue.see(reference(number, pod=1), Stage.PENDING, now=0.0) for number in range(1, 11)]
    assert changes == [Change.ADDED] * 6 + [Change.THROTTLED] * 4
    assert [_drain(queue, now) for now in (0.0, 29.9, 30.0, 60.0)] == [[1, 2, 3, 4, 5, 6], [], [7], [8]]


def test_attack_a_pod_beyond_its_rate_limit_pages_nobody() -> None:
    """A CSR that waits for its own requester's token is no sign that the exporter does not reach the function."""
    queue = WorkQueue(chance=lambda: 0.0)
    for number in range(1, 9):
        hostile = dataclasses.replace(reference(number, pod=1), creation_timestamp=OLD)
        queue.see(hostile, Stage.PENDING, now=0.0)
    assert _drain(queue, 0.0) == [1, 2, 3, 4, 5, 6]
    assert queue.oldest_undelivered(0.0) == OLD  # these are in flight
    for item in list(queue.in_flight.values()):
        queue.settle(item, ACKNOWLEDGED, now=0.0)
    assert queue.oldest_undelivered(0.0) == ""
    assert queue.oldest_undelivered(30.0) == OLD


@pytest.mark.parametrize(
    ("answer", "others", "sent_at", "pages"),
    [
        pytest.param(FORBIDDEN, FAILED, 1.5, False, id="fails alone"),
        pytest.param(UNREACHABLE, FAILED, 1.5, False, id="hangs alone"),
        pytest.param(FORBIDDEN, FORBIDDEN, 1.5, True, id="all fail"),
        pytest.param(FORBIDDEN, FAILED, 0.5, True, id="others were answered before"),
        pytest.param(OVERLOADED, FAILED, 1.5, False, id="gets 429 alone"),
        pytest.param(FAILED, FAILED, 1.5, True, id="the function answers about it"),
    ],
)
def test_attack_a_csr_that_fails_alone_pages_nobody(
    answer: Answer, others: Answer, sent_at: float, *, pages: bool
) -> None:
    """While the function answers others, sent after it first failed, its age does not count. An answer ends that."""
    queue = _queue()
    queue.see(dataclasses.replace(reference(1), creation_timestamp=OLD), Stage.APPROVED, now=0.0)
    queue.settle(_taken(queue, 0.0), answer, now=1.0)
    queue.see(reference(2), Stage.APPROVED, now=sent_at)
    queue.settle(_taken(queue, sent_at), others, now=1.8)
    assert (queue.oldest_undelivered(2.0) == OLD) == pages
    for now, again in ((20.0, answer), (40.0, FAILED)):
        assert (queue.oldest_undelivered(now) == OLD) == pages
        while (item := _taken(queue, now)).reference.uid != reference(1).uid:
            pass
        queue.settle(item, again, now=now)
    assert queue.oldest_undelivered(40.0) == OLD


def test_what_an_operator_is_told() -> None:
    """Counts by stage, the oldest of which nothing is acknowledged, and the first entries without their names."""
    queue = _queue(1, 2)
    queue.see(dataclasses.replace(reference(3), creation_timestamp=OLD), Stage.PENDING, now=0.0)
    assert queue.pending() == {Stage.APPROVED: 2, Stage.PENDING: 1}
    assert (queue.oldest_undelivered(0.0), WorkQueue().oldest_undelivered(0.0)) == (OLD, "")
    item = _taken(queue, 0.0)
    assert [(each["in_flight"], each["due_in"]) for each in queue.described(1, 0.2)] == [(True, None)]
    queue.settle(item, FAILED, now=0.0)
    assert queue.described(1, 0.2) == [
        {
            "uid": reference(1).uid,
            "stage": "approved",
            "attempts": 1,
            "resends": 0,
            "in_flight": False,
            "due_in": 0.3,
            "code": 500,
        }
    ]
    assert len(_drain(queue, 1.0)) == 3
    described = [(each["in_flight"], each["due_in"], each["code"]) for each in queue.described(9, 1.0)]
    assert described == [(True, None, None)] * 3
    queue.settle(queue.in_flight[reference(3).uid], ACKNOWLEDGED, now=1.0)
    assert queue.oldest_undelivered(1.0) == CREATED


def test_five_thousand_csrs_are_small() -> None:
    """What one waiting CSR takes, everything counted that is kept for it, with texts of usual length."""
    references = [dataclasses.replace(reference(number), name=f"node-certs:node-{number}") for number in range(5000)]
    tracemalloc.start()
    try:
        queue = WorkQueue()
        for it in references:
            queue.see(it, Stage.APPROVED, now=0.0)
        assert tracemalloc.get_traced_memory()[0] / 5000 < 640
    finally:
        tracemalloc.stop()
