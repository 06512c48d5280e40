"""Scenarios on a virtual clock: work queue, rate limits, replicas, limiter and pauses together."""

import dataclasses
import random
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from csr_exporter.csr import Stage
from csr_exporter.delivery.limiter import FAULT_PAUSE, LEAST, START, STUCK
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.item import Change, WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import (
    LONGEST_RETRY,
    POISON_RETRY,
    Answer,
    Verdict,
    verdict_of,
)
from csr_exporter.queue.work_queue import WorkQueue
from tests.simulation.delivery import ISSUED, Delivery
from tests.unit.exporter.support import reference

FAILED = Answer(verdict=Verdict.LATER, status=500)
FORBIDDEN = Answer(verdict=Verdict.CREDENTIAL, status=403)
UNREACHABLE = Answer(verdict=Verdict.SLOW)


def _queues(count: int, *, seed: int = 7) -> list[Callable[[], WorkQueue]]:
    chance = random.Random(seed).random  # noqa: S311 - no secret
    replicas = [Replicas(count=count, ordinal=ordinal) for ordinal in range(count)]
    return [partial(WorkQueue, replicas=each, chance=chance) for each in replicas]


def test_an_hour_of_500() -> None:
    """Attempts per CSR stay few, nothing more is held than the CSRs, and afterwards all are delivered soon."""
    simulation = Delivery(function=lambda _item, now: (0.05, ISSUED if now >= 3600 else FAILED))
    for number in range(50):
        simulation.create(number)
    simulation.run(3600.0)
    assert max(simulation.numbers.values()) <= 10 + 3600 / (LONGEST_RETRY / 2)
    assert len(simulation.queues[0]) == 50
    simulation.run(3600.0 + LONGEST_RETRY + 1)
    assert (len(simulation.issued), len(simulation.queues[0])) == (50, 0)


@pytest.mark.parametrize("asked", [30.0, 300.0])
def test_retry_after_of_429_is_everybodys(asked: float) -> None:
    """Within what 429 asks for nothing at all is sent, though new CSRs appear; then everything is."""
    overloaded = Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=asked)
    simulation = Delivery(function=lambda _item, now: (0.01, overloaded if now < 1 else ISSUED))
    simulation.create(1)
    for number in range(2, 20):
        simulation.at(float(number), partial(simulation.create, number))
    simulation.run(asked + LONGEST_RETRY)
    assert simulation.sent[1].at == pytest.approx(asked + 0.01)
    assert len(simulation.issued) == 19
    assert simulation.paused["overloaded"] == pytest.approx(asked)


def test_half_of_the_answers_are_503() -> None:
    """The concurrency falls to its least, and everything is delivered; without the 503 it grows again."""
    chance = random.Random(18).random  # noqa: S311 - no secret
    bad = Answer(verdict=Verdict.UNAVAILABLE, status=503, retry_after=0.5)
    simulation = Delivery(function=lambda _item, now: (0.08, bad if now < 30 and chance() < 0.5 else ISSUED))
    for number in range(2000):
        simulation.create(number)
    simulation.run(30.0)
    assert simulation.limiters[0].places == LEAST
    assert len(simulation.issued) > 20
    simulation.run(120.0)
    assert len(simulation.issued) == 2000
    assert simulation.limiters[0].places > START


def test_a_lost_acknowledgement_is_the_same_event() -> None:
    """What was processed but not acknowledged comes again under the same id, and only then as another attempt."""
    simulation = Delivery(function=lambda item, _now: (0.1, UNREACHABLE if item.attempt == 1 else ISSUED))
    simulation.create(1)
    simulation.run(60.0)
    assert [each.id for each in simulation.sent] == [f"{reference(1).uid}/approved"] * 2


def test_acknowledged_but_never_issued() -> None:
    """Resent after 60 s, then after twice as long each time up to an hour, each time under an id of its own."""
    simulation = Delivery(function=lambda _item, _now: (0.0, ISSUED), issues=False)
    simulation.create(1)
    simulation.run(86_400.0)
    times = [each.at for each in simulation.sent]
    assert [later - earlier for earlier, later in pairwise(times)][:7] == pytest.approx(
        [60, 120, 240, 480, 960, 1920, 3600], abs=0.1
    )
    assert [each.id.partition("/approved")[2] for each in simulation.sent[:3]] == ["", "/r1", "/r2"]
    assert set(simulation.ids.values()) == {1}


def test_a_poison_csr_of_a_thousand() -> None:
    """The others are sent exactly as they would be without it; it comes back once an hour."""
    poison = Answer(verdict=Verdict.POISON, status=400)

    def function(item: WorkItem, _now: float) -> tuple[float, Answer]:
        return 0.08, poison if item.reference.uid == reference(500).uid else ISSUED

    simulations = Delivery(function=function), Delivery()
    for simulation in simulations:
        for number in range(1000):
            simulation.create(number)
        simulation.run(60.0)
    others = [[each.number for each in simulation.sent if each.number != 500] for simulation in simulations]
    assert others[0] == others[1]
    assert len(simulations[0].issued) == 999
    assert max(simulations[0].issued.values()) - max(simulations[1].issued.values()) <= 0.08 * 2
    simulations[0].run(86_400.0)
    assert simulations[0].numbers[500] == 1 + (86_400 - 60) // POISON_RETRY


@pytest.mark.parametrize(("pods", "longest"), [(1, 0.1), (2, STUCK + 0.1)])
def test_hanging_csrs_of_few_pods_hold_no_place_for_long(pods: int, longest: float) -> None:
    """CSRs that always time out give their places to others after STUCK seconds."""
    hanging = {reference(pod=pod).requester for pod in range(pods)}

    def function(item: WorkItem, _now: float) -> tuple[float, Answer]:
        return (45.0, UNREACHABLE) if item.reference.requester in hanging else (0.08, ISSUED)

    simulation = Delivery(function=function)
    for number in range(24):
        simulation.create(number, pod=number % pods)
    arrivals = {number: 0.1 + 1.7 * (number - 1000) for number in range(1000, 1600)}
    for number, when in arrivals.items():
        simulation.at(when, partial(simulation.create, number))
    simulation.run(1100.0)
    waits = [simulation.issued[number] - when for number, when in arrivals.items()]
    assert max(waits[:20]) <= longest
    assert max(waits) <= FAULT_PAUSE + 0.1


HONEST = range(101, 125)
UNAVAILABLE = Answer(verdict=verdict_of(503), status=503, retry_after=30.0)


def _with_hostile_pods(*pods: int, arrivals: dict[int, float]) -> Delivery:
    """Pods whose CSRs always get 503: six CSRs at once, then one each 30 s. Beside them honest pods with one CSR."""
    hostile = {reference(pod=pod).requester for pod in pods}
    simulation = Delivery(
        function=lambda item, _now: (0.08, UNAVAILABLE if item.reference.requester in hostile else ISSUED)
    )
    for pod in pods:
        for number in range(26):
            when = 0.0 if number < 6 else (number - 5) * 30.0
            simulation.at(when, partial(simulation.create, 1000 * pod + number, pod=pod))
    for number, when in arrivals.items():
        simulation.at(when, partial(simulation.create, number))
    simulation.run(600.0)
    return simulation


def _longest_wait(simulation: Delivery, arrivals: dict[int, float]) -> float:
    assert [each.number for each in simulation.sent if each.number in arrivals] == list(arrivals)
    assert set(simulation.issued) == set(arrivals)
    return max(simulation.issued[number] - when for number, when in arrivals.items())


@pytest.mark.parametrize(
    ("first", "interval"),
    [
        pytest.param(0.1, 0.0, id="all at once, after the attacker"),
        pytest.param(0.1, 1.0, id="one a second"),
        pytest.param(0.1, 20.0, id="one in 20 s"),
        pytest.param(400.0, 0.0, id="long after the attacker"),
        pytest.param(391.0, 1.0, id="while the attacker's next CSR is due"),
    ],
)
def test_a_pod_that_always_gets_503_holds_up_no_honest_pod(first: float, interval: float) -> None:
    """24 honest pods are sent at once, in order of arrival, each once; the attacker has what its rate limit allows."""
    arrivals = {number: first + place * interval for place, number in enumerate(HONEST)}
    simulation = _with_hostile_pods(1, arrivals=arrivals)
    assert _longest_wait(simulation, arrivals) <= 0.5
    assert {simulation.numbers[number] for number in HONEST} == {1}
    assert sum(1 for each in simulation.sent if each.number >= 1000) <= 6 + 600 / 30
    assert not sum(simulation.paused.values())
    assert simulation.limiters[0].limit >= START


@pytest.mark.parametrize("first", [0.1, 3.0, 31.0, 392.0])
@pytest.mark.parametrize("pods", [2, 6])
def test_pods_that_always_get_503_hold_up_honest_pods_for_seconds(pods: int, first: float) -> None:
    """Together they look like an outage until an honest CSR is answered: one pause at most."""
    arrivals = {number: first + 0.01 * place for place, number in enumerate(HONEST)}
    simulation = _with_hostile_pods(*range(1, pods + 1), arrivals=arrivals)
    assert _longest_wait(simulation, arrivals) <= FAULT_PAUSE + 0.5


@pytest.mark.parametrize("answer", [UNAVAILABLE, UNREACHABLE, FORBIDDEN])
def test_a_function_that_fails_gets_a_few_events_per_pause(answer: Answer) -> None:
    """As many as have a place, every FAULT_PAUSE seconds; when it is well, all are issued."""
    simulation = Delivery(function=lambda _item, now: (0.08, answer if now < 300 else ISSUED))
    for number in range(1000):
        simulation.create(number)
    simulation.run(300.0)
    assert 300 / FAULT_PAUSE <= len(simulation.sent) <= START + LEAST * 300 / FAULT_PAUSE
    assert simulation.paused[answer.verdict.value] == pytest.approx(300.0, abs=FAULT_PAUSE)
    simulation.run(350.0)
    assert len(simulation.issued) == 1000


def test_a_csr_that_ends_during_a_pause_is_not_sent() -> None:
    """Denied, deleted or issued while it could not be sent: nothing of it is sent; the same name again is new work."""
    overloaded = Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=60.0)
    simulation = Delivery(function=lambda _item, now: (0.01, overloaded if now < 1 else ISSUED))
    simulation.create(1)
    simulation.run(0.5)
    for number in range(2, 50):
        simulation.create(number)
    simulation.run(30.0)
    for number in range(1, 50):
        simulation.end(number)
    again = dataclasses.replace(reference(50), name=reference(2).name)
    simulation.show(again, Stage.PENDING)
    simulation.run(600.0)
    assert [each.number for each in simulation.sent] == [1, 50]


def test_two_healthy_replicas() -> None:
    """Each CSR is sent by its owner alone: below 1 % are sent by both, and both do their share."""
    simulation = Delivery(*_queues(2))
    for number in range(2000):
        simulation.at(number / 500, partial(simulation.create, number))
    simulation.run(60.0)
    assert len(simulation.issued) == 2000
    assert len(simulation.sent) - 2000 < 20
    assert 0.4 < sum(each.replica for each in simulation.sent) / len(simulation.sent) < 0.6


def test_equal_work_has_equal_ids() -> None:
    """What both replicas send, since the function is slow, is the same event with the same id."""
    simulation = Delivery(*_queues(2), function=lambda _item, _now: (40.0, ISSUED))
    for number in range(8):
        simulation.create(number)
    simulation.run(120.0)
    twice = [each for each in simulation.sent if simulation.numbers[each.number] > 1]
    assert twice
    assert len({each.id for each in twice}) == len({each.number for each in twice})
    assert {each.item.takeover for each in twice if each.at >= 15.0} == {True}


def test_a_frozen_owner() -> None:
    """Its CSRs are sent by the other after the delay; when it goes on it does no harm, and no CSR is left over."""
    simulation = Delivery(*_queues(2))
    simulation.at(1.0, lambda: simulation.frozen.add(0))
    for number in range(200):
        simulation.at(2.0, partial(simulation.create, number))
    simulation.at(61.0, lambda: simulation.thaw(0))
    simulation.run(60.0)
    assert len(simulation.issued) == 200
    taken_over = [each for each in simulation.sent if each.item.takeover]
    assert {each.at >= 17.0 for each in taken_over} == {True}
    assert len(taken_over) == sum(1 for number in range(200) if Replicas(count=2).delay(reference(number).uid) == 0)
    simulation.run(300.0)
    assert len(simulation.sent) == 200
    assert [len(queue) for queue in simulation.queues] == [0, 0]


def test_a_frozen_owner_with_events_under_way() -> None:
    """Answers that a frozen replica could not hear are heard later: at most the same events again."""
    simulation = Delivery(*_queues(2), function=lambda _item, _now: (5.0, ISSUED))
    for number in range(8):
        simulation.create(number)
    simulation.at(1.0, lambda: simulation.frozen.add(0))
    simulation.at(61.0, lambda: simulation.thaw(0))
    simulation.run(300.0)
    assert len(simulation.issued) == 8
    assert len({each.id for each in simulation.sent}) == 8
    assert [len(queue) for queue in simulation.queues] == [0, 0]


@pytest.mark.parametrize("beliefs", [[(1, 0), (2, 1)], [(2, 0), (3, 1)], [(3, 2), (2, 1)], [(2, 0), (2, 0)], [(2, 5)]])
def test_replicas_that_disagree_on_their_number(beliefs: list[tuple[int, int]]) -> None:
    """Whatever each takes for the number and its own place: no CSR is left over, duplicates have the same id."""
    replicas = [Replicas(count=count, ordinal=ordinal) for count, ordinal in beliefs]
    queues = [partial(WorkQueue, replicas=each) for each in replicas]
    simulation = Delivery(*queues)
    for number in range(300):
        simulation.create(number)
    simulation.run(120.0)
    assert len(simulation.issued) == 300
    assert len(simulation.ids) == 300
    assert max(simulation.ids.values()) <= len(beliefs)


def test_a_hundred_modifications_a_second() -> None:
    """A minute of churn on one CSR, deferred meanwhile: one piece of work, and no event that a quiet one has not."""
    deferred = Answer(verdict=Verdict.LATER, status=425, retry_after=2.0)

    def sent(*, churn: bool) -> list[float]:
        simulation = Delivery(function=lambda _item, now: (0.05, ISSUED if now > 60 else deferred))
        simulation.create(1)
        for version in range(6000 if churn else 0):
            changed = dataclasses.replace(reference(1), resource_version=str(version))
            simulation.at(version / 100, partial(simulation.show, changed, Stage.APPROVED))
        simulation.run(120.0)
        assert len(simulation.ids) == 1
        return [each.at for each in simulation.sent]

    assert sent(churn=True) == pytest.approx(sent(churn=False), abs=0.1)


def test_a_looping_pod_delays_no_other_csr() -> None:
    """One pod creates and deletes 260 CSRs a second: it gets its rate limit, and 500 others what they get otherwise."""
    simulations = Delivery(), Delivery()
    for looping, simulation in enumerate(simulations):
        for number in range(500):
            simulation.at(5 + number / 50, partial(simulation.create, number))
        for number in range(10_000 if looping else 0):
            simulation.at(number / 260, partial(simulation.create, 10_000 + number, pod=7_000))
            simulation.at((number + 1) / 260, partial(simulation.end, 10_000 + number, pod=7_000))
        simulation.run(60.0)
    quiet, noisy = simulations
    mine = [each for each in noisy.sent if each.number >= 10_000]
    assert len(mine) <= 6 + 38 / 30 + 1
    assert [each.number for each in noisy.sent if each.number < 10_000] == [each.number for each in quiet.sent]
    assert max(noisy.issued[number] - quiet.issued[number] for number in range(500)) <= 0.08


def test_a_pod_that_files_without_end_fills_nothing() -> None:
    """10,000 CSRs of one pod are not held, 5,000 of other pods are; and each of these is sent before its seventh."""
    simulation = Delivery()
    changes = [
        simulation.queues[0].see(reference(100_000 + number, pod=1), Stage.PENDING, now=0.0) for number in range(10_000)
    ]
    assert changes.count(Change.OVER_LIMIT) == 10_000 - RateLimit().most_held
    for number in range(5000):
        simulation.create(number, pod=number + 2)
    simulation.run(30.0)
    assert sum(1 for each in simulation.sent if each.number >= 100_000) <= 6 + 1
    assert sum(1 for number in simulation.issued if number < 100_000) == 5000
    assert [each.number >= 100_000 for each in simulation.sent[:10]].count(True) == 0
