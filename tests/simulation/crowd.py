"""Crowds drawn from a seed: thousands of honest pods, hostile requesters, outages, kills and frozen replicas.

The judge knows what was planned, sent and issued, and the guarantees of docs/architecture.md.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from csr_exporter.csr import Stage, requester_of
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import Answer, Verdict, verdict_of
from csr_exporter.queue.work_queue import MOST_CSRS, WorkQueue
from tests.simulation.delivery import ISSUED, Delivery, Sent
from tests.unit.exporter.support import filed_by


def answer_with(status: int, retry_after: float | None = None) -> tuple[float, Answer]:
    """Returns a status as the function answers it, after 0.08 s."""
    return 0.08, Answer(verdict=verdict_of(status), status=status, retry_after=retry_after)


HANGS: Final = (45.0, Answer(verdict=Verdict.SLOW))
ANSWERS: Final = {
    **{str(status): answer_with(status) for status in (400, 401, 403, 404, 410, 425, 500, 502, 503)},
    "425 in 2 s": answer_with(425, 2.0),
    "429": answer_with(429, 5.0),
    "500 in 30 s": answer_with(500, 30.0),
    "503 in 30 s": answer_with(503, 30.0),
    "hang": HANGS,
    "own fault": (0.0, Answer(verdict=Verdict.LATER)),
    "slow": (20.0, Answer(verdict=Verdict.SLOW)),
}
"""The table of answers: the function's, those of what stands between it and the exporter, and the exporter's own."""
OUTAGES: Final = ("401", "403", "404", "429", "500", "502", "503", "503 in 30 s", "hang")

HONEST_WAIT: Final = 10.0
"""Seconds for which hostile requesters delay an honest pod, at most; one alone delays nobody."""
AFTER_OUTAGE: Final = 60.0
LEARNS: Final = 55.0
"""An event that hung in an outage ends so long after it at most, with a pause."""
AFTER_DEFERRAL: Final = 5.0
"""The function knows best when a deferred CSR is worth another event."""
AFTER_APPROVAL: Final = 5.0
"""The function itself normally approves: its certificate is on the way."""
BESIDE_HOSTILE: Final = 30.0
"""After an outage all have failed, and wait as those of the hostile do."""
OWN_FAILURE: Final = 8.0
"""A CSR whose own event failed waits among those of the hostile: up to 18 s in all."""
SMALL_QUEUE: Final = 128
REFILL: Final = 15.0
"""How often an exporter whose queue was full looks whether it has capacity again."""
AFTER_KILL: Final = 5.0
"""The exporter has forgotten who is hostile, and learns it by one pause. It also waits for the other replica again."""
TAKEOVER: Final = 15.0
ONE_CSR: Final = 8.4 / 5000
"""Seconds that one of many CSRs takes, where nothing else happens; at first, the exporter is slower."""
SLOW_START: Final = 1.5
END: Final = 5400.0
RECREATES: Final = 300.0
CSRS_OF_ONE: Final = 100
"""The most CSRs of one hostile pod: a CSR's number tells the pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """So many honest pods file one CSR each, from `at` on, evenly within `seconds`."""

    at: float
    number: int
    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A pod files six CSRs at once and then one each half a minute; the answer is always the same.

    If it recreates, it replaces each of them as soon as the event is answered, for some minutes.
    """

    at: float
    pod: int
    answer: str
    csrs: int
    recreates: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """So many pods file one CSR each; the answer to the pending ones is always the same, until an approver approves."""

    at: float
    number: int
    count: int
    answer: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Downtime:
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


Element: TypeAlias = Crowd | Approved | Hostile | Downtime | Killed | Frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdPlan:
    """What happens to a number of replicas; `seed` is that of the exporter's jitter, `most` what a queue holds."""

    seed: int
    replicas: int = 1
    most: int = MOST_CSRS
    elements: tuple[Element, ...] = ()


def draw(seed: int) -> CrowdPlan:
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
        elements.append(Downtime(at=chance.uniform(0.0, 600.0), seconds=seconds, answer=chance.choice(OUTAGES)))
    kills = [chance.uniform(0.0, 900.0) for _ in range(chance.choice((0, 0, 1, 3)))]
    elements.extend(Killed(at=at, replica=chance.randrange(replicas)) for at in kills)
    if chance.random() < 0.25:
        at, seconds = chance.uniform(0.0, 900.0), chance.choice((2.0, 40.0, 200.0))
        elements.append(Frozen(at=at, seconds=seconds, replica=chance.randrange(replicas)))
    if chance.random() < 0.3:
        answer, seconds = (
            chance.choice(("400", "410", "425", "500 in 30 s", "503 in 30 s")),
            chance.choice((0.5, 10.0, 99.0)),
        )
        at, count = chance.uniform(0.0, 900.0), chance.choice((1, 5))
        elements.append(Approved(at=at, number=90_000, count=count, answer=answer, seconds=seconds))
    if chance.random() < 0.3 and not any(isinstance(each, Downtime) for each in elements):
        at = chance.choice([each.at for each in elements if isinstance(each, Crowd)]) - chance.uniform(0.0, 5.0)
        elements.append(Downtime(at=at, seconds=chance.choice((5.0, 25.0)), answer="425 in 2 s"))
    most = chance.choice((MOST_CSRS, MOST_CSRS, SMALL_QUEUE))
    if most == SMALL_QUEUE:
        elements = list(_around_a_small_queue(elements, is_flooded=chance.random() < 0.5))
    others = random.Random(f"{seed} recreates")  # noqa: S311 - no secret
    if others.random() < 0.15:
        elements = [*(each for each in elements if not isinstance(each, Hostile)), *_recreating(others)]
    return CrowdPlan(seed=seed, replicas=replicas, elements=tuple(elements), most=most)


def _around_a_small_queue(elements: list[Element], *, is_flooded: bool) -> Iterator[Element]:
    """Yields few honest CSRs beside hostile ones that could fill the queue, or many honest ones that do."""
    for each in elements:
        if isinstance(each, Crowd):
            yield replace(each, count=min(each.count, 3 if is_flooded else 300))
        elif not isinstance(each, Hostile):
            yield each
    if is_flooded:
        yield from (Hostile(at=0.0, pod=100_000 + pod, answer="500 in 30 s", csrs=30) for pod in range(8))


def _recreating(chance: random.Random) -> Iterator[Element]:
    """Yields pods that recreate their only CSR, which is as urgent as an honest one, and honest pods meanwhile."""
    at, answer = chance.uniform(0.0, 900.0), chance.choice(sorted(ANSWERS))
    for pod in range(chance.choice((1, 8))):
        yield Hostile(at=at, pod=100_000 + pod, answer=answer, csrs=1, recreates=True)
    yield Crowd(at=at, number=50_000, count=chance.choice((60, 600)), seconds=600.0)


def run(plan: CrowdPlan) -> Delivery:
    """Lets the plan happen, and then an hour pass."""
    chance = random.Random(plan.seed).random  # noqa: S311 - no secret
    replicas = [Replicas(count=plan.replicas, ordinal=ordinal) for ordinal in range(plan.replicas)]
    new = [partial(WorkQueue, replicas=each, chance=chance, most=plan.most) for each in replicas]
    delivery = Delivery(*new, function=_function(plan))
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
            case Approved(seconds=seconds):
                for when, number, pod in _filed(element):
                    delivery.at(when, partial(delivery.create, number, pod=pod, stage=Stage.PENDING))
                    delivery.at(when + seconds, partial(delivery.create, number, pod=pod))
            case Downtime():
                pass  # `function` looks for it
    if plan.most == SMALL_QUEUE:
        _refill(delivery)
    delivery.answered = _recreation(plan, delivery)
    delivery.run(END)
    return delivery


def _recreation(plan: CrowdPlan, delivery: Delivery) -> Callable[[Sent], None]:
    """Returns what replaces the CSR of an answered event, if its requester does that."""
    hostile = {each.pod: each for each in plan.elements if isinstance(each, Hostile) and each.recreates}
    unused = {pod: iter(range(CSRS_OF_ONE * pod + each.csrs, CSRS_OF_ONE * (pod + 1))) for pod, each in hostile.items()}
    replaced = set[int]()

    def answered(sent: Sent) -> None:
        pod = sent.number // CSRS_OF_ONE
        if pod in hostile and delivery.now < hostile[pod].at + RECREATES and sent.number not in replaced:
            replaced.add(sent.number)
            delivery.end(sent.number, pod=pod)
            if (number := next(unused[pod], None)) is not None:
                delivery.create(number, pod=pod)

    return answered


def _refill(delivery: Delivery) -> None:
    for moment in range(int(END / REFILL)):
        for replica in range(len(delivery.queues)):
            delivery.at(moment * REFILL, partial(delivery.refill, replica))


def _function(plan: CrowdPlan) -> Callable[[WorkItem, float], tuple[float, Answer]]:
    hostile = {_requester(each.pod): ANSWERS[each.answer] for each in plan.elements if isinstance(each, Hostile)}
    outages = [each for each in plan.elements if isinstance(each, Downtime)]
    approved = [each for each in plan.elements if isinstance(each, Approved)]
    pending = {_requester(pod): ANSWERS[each.answer] for each in approved for _, _, pod in _filed(each)}

    def function(item: WorkItem, now: float) -> tuple[float, Answer]:
        answers = hostile if item.stage is Stage.APPROVED else pending
        if (answer := answers.get(item.reference.requester)) is not None:
            return answer
        ongoing = (ANSWERS[each.answer] for each in outages if each.at <= now < each.at + each.seconds)
        return next(ongoing, (0.08, ISSUED))

    return function


def kind_of(element: Element) -> str:
    """Returns the kind of an element, for a summary."""
    kind, answer = type(element).__name__.lower(), getattr(element, "answer", "")
    return f"delivery: {kind}" + (f", {answer}" if answer else "")


def shortcomings(plan: CrowdPlan, delivery: Delivery) -> dict[str, str]:
    """Returns the guarantees that do not hold, each with what was seen; one CSR stands for all."""
    rules = {
        "an honest CSR is issued in time": _waited,
        "one event of a CSR at a time": _sent_twice_at_once,
        "the rate limit": _too_many,
        "the Retry-After of 429": _sent_in_a_pause,
    }
    return {name: text for name, rule in rules.items() for text in rule(plan, delivery)}


def _waited(plan: CrowdPlan, delivery: Delivery) -> Iterator[str]:
    for crowd in (each for each in plan.elements if isinstance(each, Crowd | Approved)):
        asked = crowd.seconds if isinstance(crowd, Approved) else 0.0
        for filed, number, _ in _filed(crowd):
            when = filed + asked
            most = _longest_wait(plan, when) + (
                AFTER_APPROVAL + OWN_FAILURE + (TAKEOVER if plan.replicas > 1 else 0.0) if asked else 0.0
            )
            if (waited := delivery.issued.get(number, float("inf")) - when) > most:
                yield f"CSR {number} of {when:.1f} s waited for {waited:.1f} s: must be at most {most:.1f} s"
                return


def _longest_wait(plan: CrowdPlan, filed: float) -> float:
    """Returns how long an honest CSR may wait: for the hostile, the others, an outage, and a replica that is frozen."""
    count = sum(each.count for each in plan.elements if isinstance(each, Crowd))
    wait = _longest_wait_for_the_hostile(plan) + SLOW_START + ONE_CSR * count
    if plan.most == SMALL_QUEUE:
        wait += REFILL * (1 + count // (plan.most // 4))
    ends, until = filed + wait, float("-inf")
    troubles = [each for each in plan.elements if isinstance(each, Downtime | Frozen | Killed)]
    while until < ends:  # a later end may be within another trouble
        until = ends
        for each in [each for each in troubles if each.at <= ends and _known_end(each) > filed]:
            troubles.remove(each)
            if isinstance(each, Downtime):
                after = AFTER_DEFERRAL if "425" in each.answer else AFTER_OUTAGE
                ends = max(ends, _end(each) + wait + after + (BESIDE_HOSTILE if _is_attacked(plan) else 0.0))
            elif isinstance(each, Killed):
                ends += AFTER_KILL + (TAKEOVER if plan.replicas > 1 else 0.0)
            else:
                ends += wait + (_end(each) - max(filed, each.at) if plan.replicas == 1 else TAKEOVER)
    return ends - filed


def _is_attacked(plan: CrowdPlan) -> bool:
    return any(isinstance(each, Hostile) for each in plan.elements)


def _longest_wait_for_the_hostile(plan: CrowdPlan) -> float:
    counts = {
        each: each.count if isinstance(each, Approved) else 1
        for each in plan.elements
        if isinstance(each, Hostile | Approved)
    }
    return HONEST_WAIT if sum(counts.values()) > 1 or any(each.answer == "429" for each in counts) else 0.0


def _end(trouble: Downtime | Frozen | Killed) -> float:
    return trouble.at + (AFTER_KILL if isinstance(trouble, Killed) else trouble.seconds)


def _known_end(trouble: Downtime | Frozen | Killed) -> float:
    return _end(trouble) + (LEARNS if isinstance(trouble, Downtime) else 0.0)


def _sent_twice_at_once(_: CrowdPlan, delivery: Delivery) -> Iterator[str]:
    """A process sends a CSR again only after the answer; another replica may send it meanwhile."""
    until: dict[tuple[int, int], float] = {}
    for each in delivery.sent:
        if each.at < until.get((each.process, each.number), 0.0):
            yield f"CSR {each.number} was sent at {each.at:.1f} s while its event was in flight"
            return
        until[each.process, each.number] = each.ends_at


def _too_many(plan: CrowdPlan, delivery: Delivery) -> Iterator[str]:
    """A requester causes as many events as its token bucket allows; of an only CSR, the back-off bounds the retries."""
    limit, only = RateLimit(), RateLimit(seconds=2.0)
    for hostile in (each for each in plan.elements if isinstance(each, Hostile)):
        events: defaultdict[int, list[float]] = defaultdict(list)
        for each in delivery.sent:
            if each.number // CSRS_OF_ONE == hostile.pod:
                events[each.process].append(each.at)
        for times in events.values():
            rate = limit if hostile.csrs > 1 else only
            allowed = rate.burst + (times[-1] - times[0]) / rate.seconds + 1
            if ANSWERS[hostile.answer][1].verdict is not Verdict.ACKNOWLEDGED and len(times) > allowed:
                yield f"pod {hostile.pod} caused {len(times)} events of one replica: must be at most {allowed:.0f}"
                return


def _sent_in_a_pause(_: CrowdPlan, delivery: Delivery) -> Iterator[str]:
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


def _filed(element: Crowd | Approved | Hostile) -> Iterator[tuple[float, int, int]]:
    """Yields time, number and pod of the CSRs."""
    match element:
        case Hostile(pod=pod):
            for place in range(element.csrs):
                yield element.at + 30.0 * max(0, place - 5), CSRS_OF_ONE * pod + place, pod
        case Approved(at=at, number=first):
            for number in range(first, first + element.count):
                yield at, number, number
        case Crowd(at=at, number=first, count=count):
            for place in range(count):
                yield at + element.seconds * place / count, first + place, first + place


def _requester(pod: int) -> str:
    return requester_of(filed_by(pod))
