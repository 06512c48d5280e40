"""A figure, the pods for measuring it, and the other revision that it is compared with."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.calico.components import components
from sandbox.calico.fleet import QUICK, Fleet, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment
from sandbox.function_runtime import ROOT, FunctionError
from sandbox.process import PartError

PATIENCE: Final = 600.0
_PATIENCE_WITH_ANOTHER: Final = 60.0
_MAX_LINE_LENGTH: Final = 500


class RevisionError(Exception):
    """Another revision does not run here: its programs and this tree's sandbox do not fit."""


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


@contextmanager
def running(tree: Path) -> Iterator[None]:
    """Says that another revision does not run here, if one of its programs does not start in the block.

    Raises:
        RevisionError: A program of another tree than this one did not start.
    """
    try:
        yield
    except (FunctionError, PartError) as error:
        if tree == ROOT:
            raise
        program = "function" if isinstance(error, FunctionError) else "exporter"
        raise RevisionError(f"its {program} does not start here; its log:\n{_reason(str(error))}") from error


def wait(observer: Observer, uids: Collection[str], tree: Path, log: Path, patience: float | None = None) -> int:
    """Waits until all CSRs have ended, or until none has ended for a while; returns how many are issued.

    Args:
        observer: Sees the CSRs.
        uids: The CSRs.
        tree: The source tree of function and exporter.
        log: The exporter's log.
        patience: Seconds; None for ten minutes, or for one minute with another tree than this one.

    Raises:
        RevisionError: Another tree than this one issued nothing.
    """
    patience = patience or (PATIENCE if tree == ROOT else _PATIENCE_WITH_ANOTHER)
    before = 0
    while not observer.wait(uids, patience):
        ended = sum(seen.ended is not None for uid, seen in observer.observations().items() if uid in uids)
        if ended <= before:
            break
        before = ended
    issued = sum(seen.issued for uid, seen in observer.observations().items() if uid in uids)
    if not issued and tree != ROOT:
        text = log.read_text(encoding="utf-8", errors="replace")
        raise RevisionError(f"it issues no certificate here; the exporter's log:\n{_reason(text)}")
    return issued


def _reason(text: str) -> str:
    """Returns the last line about an error; without one, the last line."""
    lines = [line for line in text.splitlines() if line.strip()] or ["(empty)"]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines)[-1][:_MAX_LINE_LENGTH]
