"""Plans that once ended with a violation; `scripts/simulate --seed SEED --keep` adds one, and the tests run them."""

from typing import Final

from tests.simulation.plan import Acts, Fault, Files, Happens, Outage, Plan  # noqa: F401 - parts of plans

PLANS: Final[tuple[Plan, ...]] = (
    # The newest is the last.
)
