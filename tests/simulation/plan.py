"""What happens in a world, as data: who files what, which call goes wrong, which process is killed.

A plan is drawn from a seed before the world begins. Each of its elements can be left out without a change of the
others, so a violation can be shrunk to the few elements that cause it. Its `repr` is Python.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeAlias

from tests.simulation.history import Due

HOSTILE: Final = ("another pod's name", "wrong names", "a CA", "no pod", "other namespace")
"""Kinds of CSRs that must be refused; `requesters` makes them."""
WAITING: Final = ("hangs", "poison", "unsendable")
"""Kinds of CSRs that never end, and must not keep others waiting."""

FAULTS: Final = {
    "api.read": ("unavailable", "item", "forbidden", "refused", "hang", "slow", "very slow"),
    "api.write": ("unavailable", "item", "forbidden", "refused", "hang", "slow", "lost", "lost", "late"),
    "api.event": ("item", "refused"),
    "kms.public_key": ("quota", "unavailable", "disabled", "slow"),
    "kms.sign": ("quota", "unavailable", "disabled", "slow", "lost", "late", "wrong", "another key's"),
    "audit": ("broken", "slow", "very slow"),
    "network": ("request lost", "answer lost", "late", "twice", "refused", "front door"),
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
    ("list", "refused"),
    ("watch", "missed"),
)
"""What can go wrong for a while."""


QUIET: Final = 0.15
"""The part of the seeds without faults."""
SEEN: Final = 0.4
"""The part of the seeds whose exporters see everything and have a place for it, so that more is promised."""
UNSEEN: Final = frozenset({"list", "watch", "exporter"})
"""Sites whose faults may keep a CSR from being seen."""
USUAL_MOST: Final = 10_000
SMALL_MOST: Final = 4
AT_ONCE, AFTER_FAULTS, SHOWS_ADDRESSES, CAPACITY, RESYNCED = 5.0, 120.0, 10.0, 60.0, 780.0
"""Seconds: a CSR takes so long without faults, and after them; a node shows its addresses so late; a full queue lists
so soon after it has capacity again; and a resync comes so late, with a clock that drifts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The pod of that number files a CSR of some kind; `csr` is its number in the plan."""

    at: float
    csr: int
    pod: int
    kind: str = "honest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """Somebody does something about a CSR: `approves`, `denies`, `edits`, `issues`, `deletes`, or `removes its pod`."""

    at: float
    csr: int
    does: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Happens:
    """Something happens to the whole cluster: `compaction` of the history, or another `configuration`."""

    at: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The call of that number at a site goes wrong."""

    site: str
    number: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """All calls at a site go wrong for some seconds."""

    site: str
    at: float
    seconds: float
    what: str


Element: TypeAlias = Files | Acts | Happens | Fault | Outage


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One world.

    Attributes:
        seed: of what is random within the world: latencies, jitter, routes.
        trouble: seconds until all faults end.
        instances: of the function.
        concurrency: requests that an instance serves at once, by its configuration.
        signers: configured signers.
        approves: whether the function approves.
        addresses: whether the profile certifies addresses.
        most: CSRs that an exporter's queue holds.
        lag: seconds that a watch is behind, at most.
        drift: parts by which a process's clock is fast or slow, at most.
        elements: what happens.
    """

    seed: int
    trouble: float = 0.0
    instances: int = 2
    concurrency: int = 16
    signers: int = 1
    approves: bool = True
    addresses: bool = False
    most: int = USUAL_MOST
    lag: float = 0.1
    drift: float = 0.0
    elements: tuple[Element, ...] = ()

    def due(self, filed: Files) -> Due:
        """Returns what a CSR must end with."""
        if filed.kind in (*HOSTILE, "flood", "hidden address", "large"):
            is_at_risk = self._is_done(filed.csr, "deletes") or not self._is_sent(filed)
            return Due.ANYTHING if is_at_risk else Due.REFUSAL
        is_at_risk = self._is_done(filed.csr, "denies", "deletes", "issues") or self.pod_goes_at(filed.pod) < math.inf
        if filed.kind not in ("honest", "RSA") or is_at_risk:
            return Due.ANYTHING
        return Due.CERTIFICATE if self._is_sent(filed) else Due.ANYTHING

    def within(self, filed: Files, due: Due) -> float:
        """Returns the seconds within which a CSR must end; infinite without a promise.

        They count from when nothing keeps the CSR any more: it is filed, approved if an approver must, and there are no
        faults. A CSR that the exporters did not see, or had no place for, may wait for the next resync.
        """
        if due is not Due.CERTIFICATE:
            return math.inf
        acts = (each for each in self.elements if isinstance(each, Acts) and each.csr == filed.csr)
        approved = 0.0 if self.approves else min(each.at for each in acts if each.does == "approves")
        faults = [each.site for each in self.elements if isinstance(each, Fault | Outage)]
        kinds = {each.kind for each in self.elements if isinstance(each, Files)}
        is_left_out = not UNSEEN.isdisjoint(faults) or (self.most < USUAL_MOST and not kinds.isdisjoint(WAITING))
        usual = self.lag + (SHOWS_ADDRESSES if self.addresses else 0.0) + (AFTER_FAULTS if faults else AT_ONCE)
        most = usual + (RESYNCED if is_left_out else CAPACITY if self.most < USUAL_MOST else 0.0)
        return max(filed.at, approved, self.trouble) - filed.at + most

    def _is_sent(self, filed: Files) -> bool:
        return self.approves or self._is_done(filed.csr, "approves")

    def pod_goes_at(self, pod: int) -> float:
        """Returns when a pod is removed; infinite if it stays."""
        filed = [each.csr for each in self.elements if isinstance(each, Files) and each.pod == pod]
        acts = (each for each in self.elements if isinstance(each, Acts) and each.csr in filed)
        return min((each.at for each in acts if each.does == "removes its pod"), default=math.inf)

    def _is_done(self, csr: int, *does: str) -> bool:
        return any(isinstance(each, Acts) and each.csr == csr and each.does in does for each in self.elements)


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
        most=chance.choice((USUAL_MOST, USUAL_MOST, SMALL_MOST)),
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
    for pod in range(chance.randint(3, 7)):
        yield from _pod(chance, plan, numbers, pod)
    hostile = (*HOSTILE, *waiting, *(("hidden address",) if plan.addresses else ()))
    for pod in range(20, 20 + chance.randint(0, 3)):
        kind = chance.choice(hostile)
        yield Files(at=chance.uniform(0.0, 60.0), csr=next(numbers), pod=pod, kind=kind)
    at = chance.uniform(0.0, 60.0)
    if chance.random() < (0.2 if plan.most == USUAL_MOST else 0.5):
        yield from (Files(at=at, csr=next(numbers), pod=30, kind="flood") for _ in range(chance.randint(2, 15)))
    if chance.random() < 0.03:
        yield Files(at=at, csr=next(numbers), pod=40, kind="large")
    if chance.random() < 0.1:  # the pod goes after it was read, and all that follows is slow
        csr = next(numbers)
        yield Files(at=at, csr=csr, pod=50)
        yield Acts(at=at + 8.0 * plan.addresses + plan.lag + chance.uniform(0.1, 3.0), csr=csr, does="removes its pod")
        yield from (Outage(site=site, at=at, seconds=60.0, what="very slow") for site in ("api.write", "audit"))


def _pod(chance: random.Random, plan: Plan, numbers: Iterator[int], pod: int) -> Iterator[Element]:
    """A pod with one CSR, and what others do about it; sometimes it files another one under the same name."""
    csr, at = next(numbers), chance.uniform(0.0, 60.0)
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
        gone = at + chance.choice((chance.expovariate(5.0), chance.uniform(0.0, 100.0)))
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
        site, what = chance.choice([each for each in OUTAGES if each[0] in sites])
        at = chance.uniform(0.0, 60.0)
        yield Outage(site=site, at=at, seconds=min(trouble - at, chance.uniform(1.0, 200.0)), what=what)
    for _ in range(chance.choice((0, 0, 1, 3))):
        yield Happens(at=chance.uniform(0.0, trouble), what="compaction")
    if chance.random() < 0.3:
        yield Happens(at=chance.uniform(0.0, 60.0), what="configuration")


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Returns a plan with as few elements as possible that still fails (delta debugging).

    Args:
        plan: a plan that fails.
        fails: whether a plan fails; False once there is no time left.
    """
    size = len(plan.elements)
    while size:
        for start in range(0, len(plan.elements), size):
            kept = (*plan.elements[:start], *plan.elements[start + size :])
            if len(kept) < len(plan.elements) and fails(smaller := replace(plan, elements=kept)):
                return shrink(smaller, fails)
        size //= 2
    for setting in fields(Plan):
        usual: dict[str, Any] = {} if setting.name in ("seed", "elements") else {setting.name: setting.default}
        simpler = replace(plan, **usual)
        if simpler != plan and fails(simpler):
            return shrink(simpler, fails)
    return plan
