"""Crowds drawn from a seed: thousands of honest pods, hostile requesters, outages, kills and frozen replicas.

The judge knows what was planned, sent and issued, and the guarantees of docs/architecture.md; nothing of the exporter.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from csr_exporter.csr import requester_of
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import Answer, Verdict, verdict_of
from csr_exporter.queue.work_queue import WorkQueue
from tests.simulation.delivery import ISSUED, Delivery
from tests.unit.exporter.support import filed_by


def _answered(status: int, retry_after: float | None = None) -> tuple[float, Answer]:
    return 0.08, Answer(verdict=verdict_of(status), status=status, retry_after=retry_after)


HANGS: Final = (45.0, Answer(verdict=Verdict.SLOW))
ANSWERS: Final = {
    **{str(status): _answered(status) for status in (400, 401, 403, 404, 410, 425, 500, 502, 503)},
    "429": _answered(429, 5.0),
    "500 in 30 s": _answered(500, 30.0),
    "503 in 30 s": _answered(503, 30.0),
    "hang": HANGS,
    "slow": (20.0, Answer(verdict=Verdict.SLOW)),
}
"""The table of answers: the function's, and those of what stands between it and the exporter."""
OUTAGES: Final = ("401", "403", "404", "429", "500", "502", "503", "503 in 30 s", "hang")

HONEST_WAIT: Final = 10.0
"""Seconds for which hostile requesters delay an honest pod, at most."""
AFTER_OUTAGE: Final = 60.0
AFTER_KILL: Final = 5.0
"""The exporter has forgotten who is hostile, and learns it by one pause."""
TAKEOVER: Final = Replicas().delay_seconds
ONE_CSR: Final = 8.4 / 5000
"""Seconds that one of many CSRs takes, where nothing else happens; at first, the exporter is slower."""
SLOW_START: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """So many honest pods file one CSR each, from `at` on, evenly within `seconds`."""

    at: float
    number: int
    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A pod files six CSRs at once and then one each half a minute; the answer is always the same."""

    at: float
    pod: int
    answer: str
    csrs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """For some seconds, all honest CSRs get an answer like this too."""

    at: float
    seconds: float
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A replica is killed and starts again."""

    at: float
    replica: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A replica neither sees, sends nor hears anything for some seconds."""

    at: float
    seconds: float
    replica: int


Element: TypeAlias = Crowd | Hostile | Outage | Killed | Frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens to a number of replicas; `seed` is that of the exporter's jitter."""

    seed: int
    replicas: int
    elements: tuple[Element, ...]


def drawn(seed: int) -> Plan:
    """Draws a plan."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    replicas = chance.choice((1, 2))
    elements: list[Element] = []
    for place in range(chance.randint(1, 4)):
        count = chance.choice((1, 1, 5, 20, 60, 300, 1500))
        seconds = chance.choice((0.0, 1.0, 60.0, 600.0))
        elements.append(Crowd(at=chance.uniform(0.0, 900.0), number=10_000 * place, count=count, seconds=seconds))
    kinds = chance.sample(sorted(ANSWERS), chance.choice((1, 1, 2)))
    for pod in range(chance.choice((0, 1, 2, 3, 8))):
        answer = chance.choice(kinds)
        at = chance.choice((0.0, chance.uniform(0.0, 900.0)))
        elements.append(Hostile(at=at, pod=100_000 + pod, answer=answer, csrs=chance.choice((1, 6, 30))))
    if chance.random() < 0.4:
        seconds = chance.choice((5.0, 40.0, 600.0))
        elements.append(Outage(at=chance.uniform(0.0, 600.0), seconds=seconds, answer=chance.choice(OUTAGES)))
    kills = [chance.uniform(0.0, 900.0) for _ in range(chance.choice((0, 0, 1, 3)))]
    elements.extend(Killed(at=at, replica=chance.randrange(replicas)) for at in kills)
    if chance.random() < 0.25:
        at, seconds = chance.uniform(0.0, 900.0), chance.choice((2.0, 40.0, 200.0))
        elements.append(Frozen(at=at, seconds=seconds, replica=chance.randrange(replicas)))
    return Plan(seed=seed, replicas=replicas, elements=tuple(elements))


def run(plan: Plan) -> Delivery:
    """Lets the plan happen, and then an hour pass."""
    hostile = {_requester(each.pod): ANSWERS[each.answer] for each in plan.elements if isinstance(each, Hostile)}
    outages = [each for each in plan.elements if isinstance(each, Outage)]

    def function(item: WorkItem, now: float) -> tuple[float, Answer]:
        if (answer := hostile.get(item.reference.requester)) is not None:
            return answer
        ongoing = (ANSWERS[each.answer] for each in outages if each.at <= now < each.at + each.seconds)
        return next(ongoing, (0.08, ISSUED))

    chance = random.Random(plan.seed).random  # noqa: S311 - no secret
    replicas = [Replicas(count=plan.replicas, ordinal=ordinal) for ordinal in range(plan.replicas)]
    delivery = Delivery(*(partial(WorkQueue, replicas=each, chance=chance) for each in replicas), function=function)
    for element in plan.elements:
        match element:
            case Crowd() | Hostile():
                for when, number, pod in _filed(element):
                    delivery.at(when, partial(delivery.create, number, pod=pod))
            case Killed(at=at, replica=replica):
                delivery.at(at, partial(delivery.kill, replica))
            case Frozen(at=at, seconds=seconds, replica=replica):
                delivery.at(at, partial(delivery.frozen.add, replica))
                delivery.at(at + seconds, partial(delivery.thaw, replica))
            case Outage():
                pass  # `function` looks for it
    delivery.run(5400.0)
    return delivery


def shortcomings(plan: Plan, delivery: Delivery) -> list[str]:
    """Returns the guarantees that do not hold, each with what was seen; one CSR stands for all."""
    return [
        text for rule in (_waited, _sent_twice_at_once, _too_many, _sent_in_a_pause) for text in rule(plan, delivery)
    ]


def _waited(plan: Plan, delivery: Delivery) -> Iterator[str]:
    for crowd in (each for each in plan.elements if isinstance(each, Crowd)):
        for when, number, _ in _filed(crowd):
            most = _longest_wait(plan, when)
            if (waited := delivery.issued.get(number, float("inf")) - when) > most:
                yield f"CSR {number} of {when:.1f} s waited for {waited:.1f} s: must be at most {most:.1f} s"
                return


def _longest_wait(plan: Plan, filed: float) -> float:
    """Returns how long an honest CSR may wait: for the hostile, the others, an outage, and a replica that is frozen."""
    crowds = [each for each in plan.elements if isinstance(each, Crowd)]
    wait = HONEST_WAIT + SLOW_START + ONE_CSR * sum(each.count for each in crowds)
    ends, until = filed + wait, float("-inf")
    troubles = [each for each in plan.elements if isinstance(each, Outage | Frozen | Killed)]
    while until < ends:  # a later end may be within another trouble
        until = ends
        for each in [each for each in troubles if each.at <= ends and _end(each) > filed]:
            troubles.remove(each)
            if isinstance(each, Outage):
                ends = max(ends, _end(each) + AFTER_OUTAGE + wait)
            elif isinstance(each, Killed):
                ends += AFTER_KILL
            else:
                ends += _end(each) - max(filed, each.at) if plan.replicas == 1 else TAKEOVER
    return ends - filed


def _end(trouble: Outage | Frozen | Killed) -> float:
    return trouble.at + (AFTER_KILL if isinstance(trouble, Killed) else trouble.seconds)


def _sent_twice_at_once(_: Plan, delivery: Delivery) -> Iterator[str]:
    """A process sends a CSR again only after the answer; another replica may send it meanwhile."""
    until: dict[tuple[int, int], float] = {}
    for each in delivery.sent:
        if each.at < until.get((each.process, each.number), 0.0):
            yield f"CSR {each.number} was sent at {each.at:.1f} s while its event was in flight"
            return
        until[each.process, each.number] = each.ends_at


def _too_many(plan: Plan, delivery: Delivery) -> Iterator[str]:
    """A requester causes as many events as its token bucket allows; the retries of an only CSR are free."""
    limit = RateLimit()
    for hostile in (each for each in plan.elements if isinstance(each, Hostile) and each.csrs > 1):
        events: defaultdict[int, list[float]] = defaultdict(list)
        for each in delivery.sent:
            if each.number // 100 == hostile.pod:
                events[each.process].append(each.at)
        for times in events.values():
            allowed = limit.burst + (times[-1] - times[0]) / limit.seconds + 1
            if ANSWERS[hostile.answer][1].verdict is not Verdict.ACKNOWLEDGED and len(times) > allowed:
                yield f"pod {hostile.pod} caused {len(times)} events of one replica: must be at most {allowed:.0f}"
                return


def _sent_in_a_pause(_: Plan, delivery: Delivery) -> Iterator[str]:
    """After 429, a process sends nothing for as long as the function asks."""
    pauses: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for each in delivery.sent:
        if each.answer.verdict is Verdict.OVERLOADED:
            pauses[each.process].append((each.ends_at, each.ends_at + (each.answer.retry_after or 0.0)))
    for each in delivery.sent:
        for begins, ends in pauses[each.process]:
            if begins < each.at < ends - 1e-6:
                yield f"CSR {each.number} was sent at {each.at:.1f} s: 429 of {begins:.1f} s asked for {ends:.1f} s"
                return


def _filed(element: Crowd | Hostile) -> Iterator[tuple[float, int, int]]:
    """Yields time, number and pod of the CSRs."""
    if isinstance(element, Crowd):
        for place in range(element.count):
            number = element.number + place
            yield element.at + element.seconds * place / element.count, number, number
    else:
        for place in range(element.csrs):
            yield element.at + 30.0 * max(0, place - 5), 100 * element.pod + place, element.pod


def _requester(pod: int) -> str:
    return requester_of(filed_by(pod))
