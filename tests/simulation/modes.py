"""The two modes of the simulation: a seed gives a plan in each, and a plan gives a judgement."""

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.simulation import crowd, drawing, world
from tests.simulation.checker import violations
from tests.simulation.crowd import CrowdPlan
from tests.simulation.plan import Plan


class Mode(enum.Enum):
    """What is real, and how many CSRs there are."""

    WHOLE = "whole"
    """The real pipeline and exporter core, with about ten CSRs (`world`), judged by `checker`."""
    DELIVERY = "delivery"
    """The exporter's queue and limiter with a table of answers, with up to thousands of CSRs (`crowd`), judged by the
    exporter's guarantees."""


AnyPlan: TypeAlias = Plan | CrowdPlan
DRAW: Final[dict[Mode, Callable[[int], AnyPlan]]] = {Mode.WHOLE: drawing.draw, Mode.DELIVERY: crowd.draw}
"""Draws a mode's plan from a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of a plan.

    Attributes:
        broken: the broken rules, each with a sentence for people.
        timeline: time, who, what; for people.
        met: how often each kind of trouble happened.
    """

    broken: dict[str, str]
    timeline: Callable[[], list[tuple[float, str, str]]]
    met: Counter[str]


def judge(plan: AnyPlan) -> Judgement:
    """Lets a plan happen, and judges its history."""
    if isinstance(plan, CrowdPlan):
        delivery = crowd.run(plan)
        return Judgement(
            broken=crowd.shortcomings(plan, delivery),
            timeline=delivery.timeline,
            met=Counter(crowd.kind_of(each) for each in plan.elements),
        )
    run = world.simulate(plan)
    broken: dict[str, str] = {}
    for violation in violations(run.history):
        broken.setdefault(str(violation.rule), _shortened(str(violation), run))
    return Judgement(broken=broken, timeline=lambda: run.timeline, met=run.met)


def _shortened(text: str, run: world.Run) -> str:
    for uid, name in run.names.items():
        text = text.replace(uid, name)
    return text
