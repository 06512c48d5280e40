"""The pure core: what is due when. Time is an argument here, so hours cost nothing."""

import dataclasses
import itertools
import tracemalloc

import pytest

from csr_exporter.csr import Stage
from csr_exporter.delivery.dispatcher import Scheduler
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.item import Change, WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import (
    FULFILMENT,
    HANG,
    LONGEST_FULFILMENT,
    LONGEST_RETRY,
    POISON_RETRY,
    SETTLING,
    SHORTEST_RETRY,
    TRUSTED_RETRY_AFTERS,
    Answer,
    Verdict,
)
from csr_exporter.queue.work_queue import WorkQueue
from tests.unit.exporter.support import SIGNER, reference

ACKNOWLEDGED = Answer(verdict=Verdict.ACKNOWLEDGED, status=200)
FAILED = Answer(verdict=Verdict.LATER, status=500)


def _queue(*numbers: int, stage: Stage = Stage.APPROVED, chance: float = 1.0) -> WorkQueue:
    queue = WorkQueue(chance=lambda: chance)
    for number in numbers:
        queue.see(reference(number), stage, now=0.0)
    return queue


def _taken(queue: WorkQueue, now: float) -> WorkItem:
    item = queue.take(now)
    assert item is not None
    return item


def _settle_late(queue: WorkQueue, item: WorkItem, answer: Answer, *, now: float, took: float) -> None:
    queue.settle(dataclasses.replace(item, sent_at=now - took), answer, now=now)


def _drain(queue: WorkQueue, now: float) -> list[int]:
    taken = []
    while (item := queue.take(now)) is not None:
        taken.append(int(item.reference.uid[:8]))
    return taken


def test_new_work_is_due_at_once() -> None:
    """A CSR that is seen for the first time is sent without delay, as attempt 1, not as a resend."""
    queue = _queue()
    assert queue.see(reference(), Stage.PENDING, now=5.0) is Change.ADDED
    assert queue.next_due() is not None
    assert _taken(queue, 5.0) == WorkItem(reference=reference(), stage=Stage.PENDING, attempt=1, resend=0)


def test_in_flight_is_not_taken_again() -> None:
    """At most one event of a CSR is in flight, however long the answer takes."""
    queue = _queue(1)
    _taken(queue, 0.0)
    assert queue.take(10_000.0) is None
    assert queue.next_due() is None


def test_a_lost_acknowledgement_is_retried_as_the_same_event() -> None:
    """A retry keeps stage and resend count, so that it has the same id; only the attempt counts."""
    queue = _queue(1)
    first = _taken(queue, 0.0)
    queue.settle(first, Answer(verdict=Verdict.SLOW), now=1.0)
    second = _taken(queue, 100.0)
    assert second == dataclasses.replace(first, attempt=2)


def test_an_hour_of_500_is_bounded_by_back_off() -> None:
    """Attempts per CSR in an hour of failures are few, and afterwards every CSR is still there to be sent."""
    queue = _queue(*range(1, 101), chance=0.5)
    now, attempts = 0.0, 0
    while (due := queue.next_due()) is not None and due < 3600.0:
        now = max(now, due)
        queue.settle(_taken(queue, now), FAILED, now=now)
        attempts += 1
    assert attempts <= 100 * (10 + 3600 / (SHORTEST_RETRY + LONGEST_RETRY) * 2)
    assert len(queue) == 100
    assert sorted(_drain(queue, now + LONGEST_RETRY)) == list(range(1, 101))


@pytest.mark.parametrize(("chance", "expected"), [(0.0, SHORTEST_RETRY), (1.0, LONGEST_RETRY)])
def test_the_back_off_stays_within_its_bounds(chance: float, expected: float) -> None:
    """After many failures a retry comes between the shortest and the longest pause."""
    queue, now, pause = _queue(1, chance=chance), 0.0, 0.0
    for _ in range(40):
        queue.settle(_taken(queue, now), FAILED, now=now)
        due = queue.next_due()
        assert due is not None
        pause, now = due - now, due
    assert pause == expected


def test_what_one_item_is_asked_to_wait_is_waited() -> None:
    """425 with Retry-After delays this CSR by at least as much, and no other CSR at all."""
    queue = _queue(1, 2, chance=0.0)
    queue.settle(_taken(queue, 0.0), Answer(verdict=Verdict.LATER, status=425, retry_after=30.0), now=0.0)
    assert _drain(queue, 0.0) == [2]
    assert _drain(queue, 29.9) == []
    assert _drain(queue, 30.0) == [1]


def test_a_deferral_is_resent_when_the_function_wants_it() -> None:
    """Many deferrals in a row do not grow into waits that outlast the pod; endless ones do grow."""
    queue, now, pauses = _queue(1), 0.0, []
    for _ in range(40):
        queue.settle(_taken(queue, now), Answer(verdict=Verdict.LATER, status=425, retry_after=2.0), now=now)
        due = queue.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses[:TRUSTED_RETRY_AFTERS] == [2.0] * TRUSTED_RETRY_AFTERS
    assert pauses[-1] == LONGEST_RETRY


def test_without_a_certificate_it_is_sent_again_with_another_id() -> None:
    """An acknowledged CSR is resent when its window is over; windows double up to an hour; resends are counted."""
    queue, now, window = _queue(1), 0.0, FULFILMENT
    for resend in range(9):
        item = _taken(queue, now)
        assert (item.resend, item.attempt) == (resend, 1)
        queue.settle(item, ACKNOWLEDGED, now=now)
        assert queue.take(now + window - 0.1) is None
        now += window
        window = min(LONGEST_FULFILMENT, window * 2)


def test_a_retry_of_a_resend_keeps_its_id() -> None:
    """When a resend fails, its retries are the same event; the next resend gets the next number."""
    queue = _queue(1)
    queue.settle(_taken(queue, 0.0), ACKNOWLEDGED, now=0.0)
    queue.settle(_taken(queue, 60.0), FAILED, now=60.0)
    assert _taken(queue, 1000.0).resend == 1


def test_a_poison_event_waits_an_hour_and_alone() -> None:
    """What the function will never accept is tried hourly; the 999 others are taken at once."""
    queue = _queue(*range(1, 1001))
    queue.settle(_taken(queue, 0.0), Answer(verdict=Verdict.POISON, status=400), now=0.0)
    assert _drain(queue, 0.0) == list(range(2, 1001))
    assert _drain(queue, POISON_RETRY - 1.0) == []
    assert _drain(queue, POISON_RETRY) == [1]


@pytest.mark.parametrize("verdict", [Verdict.CREDENTIAL, Verdict.ENDPOINT, Verdict.RETIRED])
def test_no_csr_is_blamed_for_credential_or_endpoint(verdict: Verdict) -> None:
    """401, 403, 404 and the like consume no attempt if the function is at fault: the limiter alone holds the CSR."""
    queue = _queue(1)
    item = _taken(queue, 0.0)
    queue.settle(item, Answer(verdict=verdict), now=0.0, costs_a_token=False)
    assert _taken(queue, 0.0) == item


@pytest.mark.parametrize("verdict", [Verdict.CREDENTIAL, Verdict.ENDPOINT, Verdict.RETIRED])
def test_a_csr_whose_requester_alone_gets_another_servers_answer_backs_off(verdict: Verdict) -> None:
    """Nothing shows a fault of the function, so that no pause holds the CSR: its own back-off does, and it grows."""
    queue = _queue(1)
    pauses, now = [], 0.0
    for attempt in range(1, 6):
        item = _taken(queue, now)
        assert item.attempt == attempt
        queue.settle(item, Answer(verdict=verdict), now=now)
        due = queue.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses == sorted(set(pauses))
    assert pauses[0] >= SHORTEST_RETRY


@pytest.mark.parametrize("verdict", [Verdict.CREDENTIAL, Verdict.ENDPOINT, Verdict.RETIRED])
def test_a_csr_is_suspect_when_others_are_answered(verdict: Verdict) -> None:
    """It waits longer and longer then; an answer to what was sent before says nothing, and one of its own ends that."""
    odd, queue = Answer(verdict=verdict, status=403), _queue(1, 2, 3)
    first, second, third = (_taken(queue, 0.0) for _ in range(3))
    queue.settle(first, odd, now=1.0, costs_a_token=False)
    _settle_late(queue, second, FAILED, now=2.0, took=2.0)
    again = _taken(queue, 2.0)
    assert again == first
    queue.settle(again, odd, now=2.0, costs_a_token=False)
    _settle_late(queue, third, FAILED, now=3.0, took=1.5)
    again = _taken(queue, 3.0)
    assert again == dataclasses.replace(first, suspect=True)
    queue.settle(again, odd, now=3.0)
    again = _taken(queue, 100.0)
    while again.reference != first.reference:
        again = _taken(queue, 100.0)
    assert (again.attempt, again.suspect) == (2, True)
    queue.settle(again, FAILED, now=100.0)
    assert not _taken(queue, 200.0).suspect


@pytest.mark.parametrize("failure", [Answer(verdict=Verdict.UNAVAILABLE, status=503), Answer(verdict=Verdict.SLOW)])
def test_a_csr_is_suspect_only_while_others_are_answered(failure: Answer) -> None:
    """Only what was answered since its last 503 counts, so that an outage does not look like the fault of all CSRs."""
    queue = _queue(1, 2, chance=0.0)
    first, second = _taken(queue, 0.0), _taken(queue, 0.0)
    queue.settle(first, failure, now=1.0)
    _settle_late(queue, second, FAILED, now=2.0, took=0.5)
    suspects = []
    for now, answer in ((1.5, failure), (10.0, FAILED)):
        item = _taken(queue, now)
        suspects.append((item.reference, item.suspect))
        queue.settle(item, answer, now=now)
    assert suspects == [(first.reference, True), (first.reference, False)]


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
    assert len(queue) == 0
    assert queue.take(1e9) is None
    assert queue.next_due() is None


def test_the_same_name_again_is_new_work() -> None:
    """A CSR that is deleted and made again has another uid: it is sent at once, whatever happened to the first."""
    queue = _queue(1)
    queue.settle(_taken(queue, 0.0), FAILED, now=0.0)
    queue.see(reference(1), None, now=0.1)
    again = dataclasses.replace(reference(2), name=reference(1).name)
    queue.see(again, Stage.PENDING, now=0.1)
    assert _taken(queue, 0.1) == WorkItem(reference=again, stage=Stage.PENDING, attempt=1, resend=0)


def test_churn_is_one_piece_of_work() -> None:
    """A thousand modifications that change no stage lead to no send beyond the first, and never move a retry."""
    queue = _queue(1)
    item = _taken(queue, 0.0)
    for version in range(1000):
        queue.see(dataclasses.replace(reference(), resource_version=str(version)), Stage.APPROVED, now=0.0)
    queue.settle(item, FAILED, now=0.0)
    due = queue.next_due()
    queue.see(reference(), Stage.APPROVED, now=0.0)
    assert (queue.next_due(), len(queue), queue.take(0.1)) == (due, 1, None)
    assert _taken(queue, 100.0).reference == item.reference


def test_approval_in_flight_is_the_same_work() -> None:
    """The function's own approval, seen while its event is in flight, sends nothing; its retry is stage approved's."""
    queue = _queue(1, stage=Stage.PENDING)
    item = _taken(queue, 0.0)
    queue.see(reference(), Stage.APPROVED, now=0.1)
    assert queue.take(0.1) is None
    queue.settle(item, FAILED, now=0.2)
    retry = _taken(queue, 100.0)
    assert (retry.stage, retry.attempt, retry.resend) == (Stage.APPROVED, 2, 0)


@pytest.mark.parametrize("order", ["approved first", "acknowledged first"])
def test_approval_around_an_acknowledgement_is_given_time_to_settle(order: str) -> None:
    """An approval seen around the acknowledgement of stage pending is sent only if no certificate follows soon."""
    queue = _queue(1, stage=Stage.PENDING)
    item = _taken(queue, 0.0)
    if order == "approved first":
        queue.see(reference(), Stage.APPROVED, now=0.1)
    queue.settle(item, ACKNOWLEDGED, now=0.1)
    queue.see(reference(), Stage.APPROVED, now=0.1)
    assert queue.take(SETTLING) is None
    sent = _taken(queue, 0.1 + SETTLING)
    assert (sent.stage, sent.resend) == (Stage.APPROVED, 0)


def test_the_next_stage_counts_its_resends_from_zero() -> None:
    """However often stage pending was resent, the first event of stage approved has its plain id."""
    queue = _queue(1, stage=Stage.PENDING)
    queue.settle(_taken(queue, 0.0), ACKNOWLEDGED, now=0.0)
    resent = _taken(queue, FULFILMENT)
    assert resent.resend == 1
    queue.settle(resent, ACKNOWLEDGED, now=FULFILMENT)
    queue.see(reference(), Stage.APPROVED, now=FULFILMENT)
    sent = _taken(queue, FULFILMENT + SETTLING)
    assert (sent.stage, sent.resend) == (Stage.APPROVED, 0)


@pytest.mark.parametrize(
    "answer",
    [Answer(verdict=Verdict.POISON, status=400), Answer(verdict=Verdict.LATER, status=425, retry_after=300.0)],
)
def test_an_approval_does_not_wait_for_what_the_pending_event_was_answered(answer: Answer) -> None:
    """Its event is another one: it is sent soon, though the other was to be tried again in minutes or an hour."""
    queue = _queue(1, stage=Stage.PENDING)
    queue.settle(_taken(queue, 0.0), answer, now=0.0)
    queue.see(reference(), Stage.APPROVED, now=100.0)
    assert queue.next_due() == 100.0 + SETTLING
    assert _taken(queue, 100.0 + SETTLING).stage is Stage.APPROVED
    assert queue.next_due() is None


def test_an_approval_is_left_to_the_owner_too() -> None:
    """Where both replicas have sent stage pending, an approval later on is the owner's to tell, as a new CSR is."""
    queues = [WorkQueue(replicas=Replicas(count=2, ordinal=ordinal)) for ordinal in range(2)]
    for queue in queues:
        queue.see(reference(), Stage.PENDING, now=0.0)
        queue.settle(_taken(queue, 15.0), ACKNOWLEDGED, now=15.0)
        queue.see(reference(), Stage.APPROVED, now=20.0)
    assert sorted(queue.next_due() or 0.0 for queue in queues) == [20.0 + SETTLING, 20.0 + SETTLING + 15.0]


def test_approved_never_becomes_pending_again() -> None:
    """A list that is older than the watch does not take a stage back."""
    queue = _queue(1, stage=Stage.APPROVED)
    queue.see(reference(), Stage.PENDING, now=0.0)
    assert _taken(queue, 0.0).stage is Stage.APPROVED


def test_new_work_goes_first_but_retries_do_not_starve() -> None:
    """With both due for long, three of four turns are new work's and one is a retry's."""
    queue = _queue(*range(1, 101), chance=0.0)
    for _ in range(100):
        queue.settle(_taken(queue, 0.0), FAILED, now=0.0)
    for number in range(101, 201):
        queue.see(reference(number), Stage.APPROVED, now=10.0)
    first = [int(_taken(queue, 10.0).reference.uid[:8]) for _ in range(40)]
    assert sum(1 for number in first if number <= 100) == 10


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


def test_seen_again_while_the_old_event_is_in_flight() -> None:
    """An entry that ended and came back is not sent beside the event that is still in flight."""
    queue = _queue(1)
    item = _taken(queue, 0.0)
    queue.see(reference(), None, now=0.1)
    queue.see(reference(), Stage.APPROVED, now=0.2)
    assert queue.take(100.0) is None
    queue.settle(item, FAILED, now=100.0)
    assert _taken(queue, 200.0).reference == item.reference


def test_the_number_of_csrs_is_bounded() -> None:
    """What does not fit is refused, and fits again as soon as something has ended."""
    queue = WorkQueue(most=2)
    changes = [queue.see(reference(number), Stage.APPROVED, now=0.0) for number in (1, 2, 3)]
    assert changes == [Change.ADDED, Change.ADDED, Change.FULL]
    queue.see(reference(1), None, now=1.0)
    assert queue.see(reference(3), Stage.APPROVED, now=1.0) is Change.ADDED


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
    queue.settle(_taken(queue, 0.0), Answer(verdict=Verdict.POISON, status=400), now=0.0)
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


def test_a_requester_beyond_its_rate_limit_waits_alone() -> None:
    """Six at once, then one per half minute; others are not concerned, and the first of what waits goes first."""
    queue = WorkQueue()
    changes = [queue.see(reference(number, pod=1), Stage.PENDING, now=0.0) for number in range(1, 11)]
    assert changes == [Change.ADDED] * 6 + [Change.THROTTLED] * 4
    queue.see(reference(11), Stage.PENDING, now=0.0)
    assert _drain(queue, 0.0) == [1, 11, 2, 3, 4, 5, 6]
    assert queue.next_due() == 30.0
    assert [_drain(queue, now) for now in (29.9, 30.0, 59.9, 60.0, 90.0)] == [[], [7], [], [8], [9]]


def test_retries_of_an_only_csr_cost_no_tokens() -> None:
    """An honest pod has one CSR at a time: its back-off alone bounds how often that is sent."""
    queue = WorkQueue(rate_limit=RateLimit(burst=1, seconds=3600), chance=lambda: 0.0)
    queue.see(reference(1), Stage.APPROVED, now=0.0)
    queue.settle(_taken(queue, 0.0), FAILED, now=0.0)
    queue.settle(_taken(queue, 1.0), ACKNOWLEDGED, now=1.0)
    assert _taken(queue, 1.0 + FULFILMENT).resend == 1


def test_a_deferred_csr_is_sent_often_enough_within_calicos_patience() -> None:
    """An honest pod's only CSR, deferred by 425 with Retry-After 2, is sent every 2 s at first, at least every 30 s."""
    queue, now, sent = WorkQueue(chance=lambda: 0.5), 0.0, []
    queue.see(reference(1), Stage.PENDING, now=0.0)
    while now <= 90.0:
        sent.append(now)
        queue.settle(_taken(queue, now), Answer(verdict=Verdict.LATER, status=425, retry_after=2.0), now=now)
        now = queue.next_due() or 0.0
    assert sent[:17] == [2.0 * number for number in range(17)]
    assert max(later - earlier for earlier, later in itertools.pairwise([*sent, 90.0])) <= 31.0


CAUSED_BY_THE_CSR = [
    pytest.param(Answer(verdict=Verdict.LATER, status=425, retry_after=2.0), id="deferred"),
    pytest.param(FAILED, id="500"),
    pytest.param(Answer(verdict=Verdict.POISON, status=400), id="poison"),
    pytest.param(ACKNOWLEDGED, id="acknowledged, not issued"),
    pytest.param(Answer(verdict=Verdict.UNAVAILABLE, status=503, retry_after=30.0), id="503"),
]


@pytest.mark.parametrize("answer", CAUSED_BY_THE_CSR)
def test_a_requesters_retries_cost_tokens(answer: Answer) -> None:
    """A pod whose CSRs fail by their own fault causes no more events than its budget allows; each CSR has its turn."""
    queue = WorkQueue(rate_limit=RateLimit(burst=3, seconds=3000), chance=lambda: 0.0)
    scheduler = Scheduler(queue, Limiter())
    for number in range(1, 4):
        queue.see(reference(number, pod=1), Stage.PENDING, now=0.0)
    sent, now = list[tuple[float, int]](), 0.0
    while len(sent) < 7:
        while (item := scheduler.take(now)) is not None:
            sent.append((now, int(item.reference.uid[:8])))
            scheduler.settle(item, answer, now=now)
        pause = scheduler.pause(now)
        assert pause is not None
        assert pause > 0.0
        now += pause
    assert [place for place, (now, _) in enumerate(sent, 1) if place > 3 + now / 3000] == []
    assert sorted(number for _, number in sent[3:6]) == [1, 2, 3]


GLOBAL_FAULTS = [
    pytest.param(Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=1.0), id="overload"),
    pytest.param(Answer(verdict=Verdict.CREDENTIAL, status=403), id="credential"),
    pytest.param(Answer(verdict=Verdict.ENDPOINT, status=404), id="endpoint"),
    pytest.param(Answer(verdict=Verdict.SLOW), id="connection lost"),
]


@pytest.mark.parametrize("answer", GLOBAL_FAULTS)
def test_retries_after_a_fault_of_the_function_cost_no_tokens(answer: Answer) -> None:
    """Overload, credential, endpoint, connection: a pod's CSRs that fail after another's are resent without tokens."""
    queue = WorkQueue(rate_limit=RateLimit(burst=2, seconds=3600), chance=lambda: 0.0)
    scheduler = Scheduler(queue, Limiter())
    for number, pod in ((3, 2), (1, 1), (2, 1)):
        queue.see(reference(number, pod=pod), Stage.PENDING, now=0.0)
    items = [item for _ in range(3) if (item := scheduler.take(0.0)) is not None]
    assert items[0].reference == reference(3, pod=2)
    for item in items:
        scheduler.settle(item, answer, now=0.5)
    sent = []
    while (again := scheduler.take(60.0)) is not None:
        sent.append(int(again.reference.uid[:8]))
        scheduler.settle(again, ACKNOWLEDGED, now=60.0)
    assert sorted(sent) == [1, 2, 3]


def test_retries_that_wait_for_a_token_delay_no_other_csr() -> None:
    """Others' retries and new CSRs are sent at once; those that wait follow one by one, in the order of waiting."""
    queue = WorkQueue(rate_limit=RateLimit(burst=3, seconds=30), chance=lambda: 0.0)
    for number in (3, 1, 2):
        queue.see(reference(number, pod=1), Stage.PENDING, now=0.0)
    queue.see(reference(4), Stage.PENDING, now=0.0)
    for _ in range(4):
        queue.settle(_taken(queue, 0.0), FAILED, now=0.0)
    queue.see(reference(5), Stage.PENDING, now=1.0)
    assert sorted(_drain(queue, 1.0)) == [4, 5]
    assert queue.next_due() == 30.0
    order = []
    for now in (30.0, 60.0, 90.0, 120.0):
        item = _taken(queue, now)
        order.append(int(item.reference.uid[:8]))
        queue.settle(item, FAILED, now=now)
        assert queue.take(now + 1) is None
    assert order == [3, 1, 2, 3]


def test_a_csr_that_ends_returns_its_capacity() -> None:
    """A requester holds so many CSRs and no more; each that ends makes room for another."""
    most = RateLimit().most_held
    queue = WorkQueue()
    changes = [queue.see(reference(number, pod=1), Stage.PENDING, now=0.0) for number in range(most + 1)]
    assert changes[-1] is Change.OVER_LIMIT
    for number in range(most):
        assert queue.see(reference(number, pod=1), None, now=0.0) is Change.ENDED
        assert queue.see(reference(most + number, pod=1), Stage.PENDING, now=0.0) is not Change.OVER_LIMIT
    assert queue.see(reference(9999, pod=1), Stage.PENDING, now=0.0) is Change.OVER_LIMIT


def test_a_csr_of_another_replica_is_left_to_it_for_a_while() -> None:
    """The owner sends at once; the other one after the delay, as a takeover, and only if nothing has ended it."""
    queues = [WorkQueue(replicas=Replicas(count=2, ordinal=ordinal), chance=lambda: 0.0) for ordinal in range(2)]
    for queue in queues:
        for number in range(100):
            queue.see(reference(number), Stage.APPROVED, now=0.0)
    mine = [set(_drain(queue, 14.9)) for queue in queues]
    assert (mine[0] | mine[1], mine[0] & mine[1]) == (set(range(100)), set())
    for number in range(50):
        queues[0].see(reference(number), None, now=14.9)
    assert queues[0].next_due() == 15.0
    late = []
    while (item := queues[0].take(15.0)) is not None:
        assert item.takeover
        late.append(int(item.reference.uid[:8]))
        queues[0].settle(item, FAILED, now=15.0)
    assert sorted(late) == sorted(number for number in mine[1] if number >= 50)
    assert not _taken(queues[0], 16.0).takeover


@pytest.mark.parametrize("answer", [Answer(verdict=Verdict.SLOW), Answer(verdict=Verdict.UNAVAILABLE, status=503)])
def test_a_csr_that_hung_is_suspect(answer: Answer) -> None:
    """A CSR whose event was not answered for long is taken only where that is allowed, until it is answered."""
    queue = _queue(1, 2, chance=0.0)
    _settle_late(queue, _taken(queue, 0.0), answer, now=HANG, took=HANG)
    _settle_late(queue, _taken(queue, 0.0), answer, now=HANG, took=HANG - 1)
    assert queue.next_due(suspects=False) == queue.next_due() == HANG + SHORTEST_RETRY
    assert not _taken(queue, 20.0).suspect
    assert (queue.take(20.0, suspects=False), queue.next_due(suspects=False)) == (None, None)
    item = _taken(queue, 20.0)
    assert item.suspect
    _settle_late(queue, item, Answer(verdict=Verdict.LATER, status=425), now=50.0, took=30.0)
    assert not _taken(queue, 60.0).suspect


def test_suspects_do_not_starve() -> None:
    """While others are always due, one turn in four is its own."""
    queue = _queue(1, chance=0.0)
    _settle_late(queue, _taken(queue, 0.0), Answer(verdict=Verdict.SLOW), now=HANG, took=HANG)
    for number in range(2, 20):
        queue.see(reference(number), Stage.APPROVED, now=20.0)
    assert 1 in [int(_taken(queue, 20.0).reference.uid[:8]) for _ in range(4)]


def test_attack_a_pod_beyond_its_rate_limit_pages_nobody() -> None:
    """A CSR that waits for its own requester's token is no sign that the exporter does not reach the function."""
    queue = WorkQueue(chance=lambda: 0.0)
    for number in range(1, 9):
        hostile = dataclasses.replace(reference(number, pod=1), creation_timestamp="2026-11-24T09:00:00Z")
        queue.see(hostile, Stage.PENDING, now=0.0)
    assert queue.oldest_undelivered(0.0) == "2026-11-24T09:00:00Z"
    while (item := queue.take(0.0)) is not None:
        queue.settle(item, ACKNOWLEDGED, now=0.0)
    assert queue.oldest_undelivered(0.0) == ""
    assert queue.oldest_undelivered(30.0) == "2026-11-24T09:00:00Z"


def test_what_an_operator_is_told() -> None:
    """Counts by stage, the oldest of which nothing is acknowledged, and the first entries without their names."""
    queue = _queue(1, 2, chance=0.0)
    queue.see(dataclasses.replace(reference(3), creation_timestamp="2026-11-24T09:00:00Z"), Stage.PENDING, now=0.0)
    assert queue.pending() == {Stage.APPROVED: 2, Stage.PENDING: 1}
    assert queue.oldest_undelivered(0.0) == "2026-11-24T09:00:00Z"
    assert WorkQueue().oldest_undelivered(0.0) == ""
    item = _taken(queue, 0.0)
    assert [(each["in_flight"], each["due_in"]) for each in queue.described(1, 0.2)] == [(True, None)]
    queue.settle(item, FAILED, now=0.0)
    described = queue.described(1, 0.2)
    assert described == [
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
    while queue.take(1.0) is not None:
        pass  # the retry too, which was due at a time
    assert [(each["in_flight"], each["due_in"]) for each in queue.described(9, 1.0)] == [(True, None)] * 3


def test_five_thousand_csrs_are_small() -> None:
    """What one waiting CSR takes, everything counted that is kept for it, with texts of usual length."""
    references = [dataclasses.replace(reference(number), name=f"node-certs:node-{number}") for number in range(5000)]
    tracemalloc.start()
    try:
        queue = WorkQueue()
        for it in references:
            queue.see(it, Stage.APPROVED, now=0.0)
        assert tracemalloc.get_traced_memory()[0] / 5000 < 512
    finally:
        tracemalloc.stop()
