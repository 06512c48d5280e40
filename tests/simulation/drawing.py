"""Draws a plan from a seed: how often what happens."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tests.simulation.plan import (
    HOSTILE,
    SMALL_MOST,
    TINY_MOST,
    UNSEEN,
    USUAL_MOST,
    WAITING,
    Acts,
    Element,
    Fault,
    Files,
    Happens,
    Outage,
    Plan,
)

FAULTS: Final = {
    "api.read": ("unavailable", "item", "forbidden", "refused", "hang", "slow", "very slow"),
    "api.write": ("unavailable", "item", "forbidden", "refused", "hang", "slow", "lost", "lost", "late", "gone"),
    "api.event": ("item", "refused"),
    "kms.public_key": ("quota", "unavailable", "disabled", "slow"),
    "kms.sign": ("quota", "unavailable", "disabled", "slow", "lost", "late", "wrong", "another key's"),
    "audit": ("broken", "slow", "very slow"),
    "network": ("request lost", "answer lost", "late", "twice", "refused", "front door", "another function"),
    "list": ("refused", "unreachable", "expired", "unread", "unknown", "unpageable"),
    "watch": ("missed", "missed", "repeated", "old", "broken", "malformed", "expired", "refused"),
    "function": ("killed before", "killed after", "killed after", "stopped", "stopped late"),
    "exporter": ("killed", "killed", "frozen"),
}
"""What can go wrong at each site. A site counts its calls, in the whole world."""
CALLS: Final = {
    "api.read": 40,
    "api.write": 25,
    "api.event": 10,
    "kms.public_key": 4,
    "kms.sign": 15,
    "audit": 40,
    "network": 40,
    "list": 12,
    "watch": 60,
    "function": 120,
    "exporter": 250,
}
"""About how many calls a world has at each site before the trouble ends."""
OUTAGES: Final = (
    ("api.read", "unavailable"),
    ("api.write", "lost"),
    ("api.write", "item"),
    ("kms.sign", "quota"),
    ("kms.sign", "disabled"),
    ("kms.sign", "wrong"),
    ("audit", "broken"),
    ("audit", "slow"),
    ("network", "refused"),
    ("network", "request lost"),
    ("network", "answer lost"),
    ("network", "front door"),
    ("network", "another function"),
    ("network 0", "request lost"),
    ("network 1", "refused"),
    ("list", "refused"),
    ("watch", "missed"),
)
"""What can go wrong for a while."""
QUIET: Final = 0.15
"""The part of the seeds without faults."""
SEEN: Final = 0.4
"""The part of the seeds whose exporters see everything and have a place for it, so that more is promised."""


def draw(seed: int) -> Plan:
    """Returns the plan of a seed."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    approves = chance.random() < 0.8
    addresses = chance.random() < 0.3
    trouble = chance.uniform(60.0, 400.0)
    plan = Plan(
        seed=seed,
        trouble=trouble,
        instances=chance.choice((2, 3)),
        concurrency=chance.choice((1, 16)),
        signers=chance.choice((1, 1, 2)),
        approves=approves,
        addresses=addresses,
        replicas=chance.choice((2, 2, 2, 2, 1, 3)),
        most=chance.choice((USUAL_MOST, USUAL_MOST, SMALL_MOST, TINY_MOST)),
        lag=chance.choice((0.02, 0.5, 10.0)),
        drift=chance.choice((0.0, 0.001, 0.02)),
    )
    is_seen = chance.random() < SEEN
    elements = [*_requests(chance, plan, WAITING if plan.most == USUAL_MOST or not is_seen else ())]
    if chance.random() < QUIET:
        plan = replace(plan, trouble=0.0)
    else:
        elements += _faults(chance, trouble, [each for each in FAULTS if not is_seen or each not in UNSEEN])
    return replace(plan, elements=tuple(elements))


def _requests(chance: random.Random, plan: Plan, waiting: Sequence[str]) -> Iterator[Element]:
    numbers = iter(range(1000))
    spread = chance.choice((1.0, 60.0, 60.0))  # seconds: the nodes start together, or not
    for pod in range(chance.randint(3, 8)):
        yield from _pod(chance, plan, numbers, pod, at=chance.uniform(0.0, spread))
    hostile = (*HOSTILE, *waiting, *(("hidden address",) if plan.addresses else ()))
    for pod in range(20, 20 + chance.randint(0, 3)):
        kind = chance.choice(hostile)
        yield Files(at=chance.uniform(0.0, 60.0), csr=next(numbers), pod=pod, kind=kind)
    at = chance.uniform(0.0, 60.0)
    if chance.random() < (0.5 if plan.most == SMALL_MOST else 0.15):
        yield from (Files(at=at, csr=next(numbers), pod=30, kind="flood") for _ in range(chance.choice((7, 18))))
    if chance.random() < 0.03:
        yield Files(at=at, csr=next(numbers), pod=40, kind="large")
    if chance.random() < 0.1:  # the pod goes after it was read, and all that follows is slow
        csr = next(numbers)
        yield Files(at=at, csr=csr, pod=50)
        yield Acts(at=at + 8.0 * plan.addresses + plan.lag + chance.uniform(0.1, 3.0), csr=csr, does="removes its pod")
        yield from (Outage(site=site, at=at, seconds=60.0, what="very slow") for site in ("api.write", "audit"))


def _pod(chance: random.Random, plan: Plan, numbers: Iterator[int], pod: int, *, at: float) -> Iterator[Element]:
    """A pod with one CSR, and what others do about it; sometimes it files another one under the same name."""
    csr = next(numbers)
    yield Files(at=at, csr=csr, pod=pod, kind="RSA" if chance.random() < 0.02 else "honest")
    if chance.random() < (0.2 if plan.approves else 0.9):
        yield Acts(at=at + chance.expovariate(0.2), csr=csr, does="approves")
    if chance.random() < 0.1:
        yield Acts(at=at + chance.expovariate(5.0), csr=csr, does="denies")
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        yield Acts(at=at + chance.expovariate(1.0), csr=csr, does="edits")
    if chance.random() < 0.03:
        yield Acts(at=at + chance.uniform(0.0, 2 * plan.lag), csr=csr, does="issues")
    if chance.random() < 0.03:
        yield Acts(at=at + chance.expovariate(2.0), csr=csr, does="removes its pod")
    if chance.random() < 0.2:
        soon = plan.lag * chance.random() + chance.uniform(0.05, 0.4)  # while the function deals with it
        gone = at + chance.choice((soon, soon, chance.uniform(0.0, 100.0)))
        again, kind = next(numbers), chance.choice(("honest", "honest", "wrong names", "other signer"))
        yield Acts(at=gone, csr=csr, does="deletes")
        yield Files(at=gone + chance.uniform(0.0, 2.0), csr=again, pod=pod, kind=kind)
        if not plan.approves:
            yield Acts(at=gone + 10.0 + chance.expovariate(0.2), csr=again, does="approves")


def _faults(chance: random.Random, trouble: float, sites: Sequence[str]) -> Iterator[Element]:
    for site in chance.sample(sites, chance.randint(0, len(sites))):
        for _ in range(chance.choice((1, 2, 4))):
            yield Fault(site=site, number=chance.randrange(CALLS[site]), what=chance.choice(FAULTS[site]))
    for _ in range(chance.choice((0, 0, 1, 2))):
        site, what = chance.choice([each for each in OUTAGES if each[0].split()[0] in sites])
        at = chance.uniform(0.0, 60.0)
        yield Outage(site=site, at=at, seconds=min(trouble - at, chance.uniform(1.0, 200.0)), what=what)
    for _ in range(chance.choice((0, 0, 1, 3))):
        yield Happens(at=chance.uniform(0.0, trouble), what="compaction")
    if chance.random() < 0.3:
        yield Happens(at=chance.uniform(0.0, 60.0), what="configuration")
