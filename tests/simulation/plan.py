"""What happens in a world, as data: who files what, which call goes wrong, which process is killed.

`drawing` makes a plan of a seed before the world begins. Each of its elements can be left out without a change of the
others, so a violation can be shrunk to the few elements that cause it. Its `repr` is Python.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeAlias, TypeVar

from tests.simulation.history import Due

HOSTILE: Final = ("another pod's name", "wrong names", "a CA", "no pod", "other namespace")
"""Kinds of CSRs that must be refused; `requesters` makes them."""
WAITING: Final = ("hangs", "poison", "unsendable")
"""Kinds of CSRs that never end, and must not keep others waiting."""

UNSEEN: Final = frozenset({"list", "watch", "exporter", "another function"})
"""Sites and faults that may keep a CSR from being seen, or from being done: a resync or a resend finds it."""
USUAL_MOST: Final = 10_000
SMALL_MOST, TINY_MOST = 12, 4
REPLICAS: Final = 2
AT_ONCE, AFTER_FAULTS, SHOWS_ADDRESSES = 5.0, 120.0, 10.0
"""Seconds that a CSR takes without faults, and after them; and until a node shows its addresses."""
TAKEN_OVER, CAPACITY, RESYNCED = 45.0, 75.0, 780.0
"""Seconds until another replica sends an event, until a queue that was full lists, and until a resync."""


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
        replicas: how many exporters each of the two takes for granted.
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
    replicas: int = REPLICAS
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
        faults. A CSR that the exporters did not see, had no place for, or take for done may wait for the next resync,
        or be sent again as late.
        """
        if due is not Due.CERTIFICATE:
            return math.inf
        acts = (each for each in self.elements if isinstance(each, Acts) and each.csr == filed.csr)
        approved = 0.0 if self.approves else min(each.at for each in acts if each.does == "approves")
        faults = [text for each in self.elements if isinstance(each, Fault | Outage) for text in (each.site, each.what)]
        kinds = {each.kind for each in self.elements if isinstance(each, Files)}
        if self.most == TINY_MOST and not kinds.isdisjoint((*WAITING, "flood")):
            return math.inf  # they may hold all places
        is_left_out = not UNSEEN.isdisjoint(faults) or (self.most < USUAL_MOST and not kinds.isdisjoint(WAITING))
        usual = self.lag + (SHOWS_ADDRESSES if self.addresses else 0.0) + (AFTER_FAULTS if faults else AT_ONCE)
        usual += 0.0 if self.replicas == REPLICAS else TAKEN_OVER
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


AnyPlan = TypeVar("AnyPlan", bound=Any)


def shrink(plan: AnyPlan, fails: Callable[[AnyPlan], bool]) -> AnyPlan:
    """Returns a plan with as few elements as possible that still fails (delta debugging).

    Args:
        plan: a plan of either mode that fails.
        fails: whether a plan fails; False once there is no time left.
    """
    size = len(plan.elements)
    while size:
        for start in range(0, len(plan.elements), size):
            kept = (*plan.elements[:start], *plan.elements[start + size :])
            if len(kept) < len(plan.elements) and fails(smaller := replace(plan, elements=kept)):
                return shrink(smaller, fails)
        size //= 2
    for setting in fields(plan):
        usual = {} if setting.name in ("seed", "elements") else {setting.name: setting.default}
        simpler = replace(plan, **usual)
        if simpler != plan and fails(simpler):
            return shrink(simpler, fails)
    return plan
