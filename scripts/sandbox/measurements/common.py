"""A figure, and the pods for measuring it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.calico.components import components
from sandbox.calico.fleet import QUICK, Fleet, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.deployment import Deployment

PATIENCE: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the output."""

    name: str
    figure: str


def fleet(
    deployment: Deployment,
    keys: KeyPool,
    count: int,
    prefix: str,
    *,
    algorithms: Sequence[tuple[str, str]] = QUICK,
) -> Fleet:
    """Creates pods with tokens and prepared requests, P-256 by default; `submit` files them."""
    members = plan(
        count,
        components=components(deployment.settings.release),
        managements=managements(deployment.signer.signer_name, algorithms=algorithms),
        seed=sum(prefix.encode()),
        prefix=prefix,
    )
    made = Fleet(deployment.world, members, keys=keys)
    made.enter()
    made.prepare()
    return made
