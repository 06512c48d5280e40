"""Plans that once ended with a violation; `scripts/simulate --seed SEED --keep` adds one, and the tests run them."""

from typing import Final

from tests.simulation.crowd import Approved, Crowd, CrowdPlan, Downtime, Frozen, Hostile, Killed  # noqa: F401 - as below
from tests.simulation.plan import Acts, Fault, Files, Happens, Outage, Plan  # noqa: F401 - parts of plans

PLANS: Final[tuple[Plan | CrowdPlan, ...]] = (
    # The newest is the last.
)
