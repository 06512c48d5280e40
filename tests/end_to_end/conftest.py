"""A whole deployment of real processes, on the API double and on a real kube-apiserver: the same stories on both."""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.calico.components import components
from sandbox.calico.fleet import MIXED, Fleet, managements, plan
from sandbox.calico.keys import KeyPool, known
from sandbox.calico.observer import Observer
from sandbox.control_plane import NotAvailableError
from sandbox.deployment import Deployment, Settings
from tests.patience import PATIENCE

__all__ = ["PATIENCE"]

KEYS = [("ECDSAWithCurve256", "ECDSAWithSHA256")]


@pytest.fixture(scope="session", params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Control plane, KMS, Google's doubles, CA, function and exporter; on the real one with the guards."""
    real = request.param == "real"
    running = started(Settings(directory=tmp_path_factory.mktemp(request.param), plane=request.param, guards=real))
    yield running
    running.stop()


def started(settings: Settings) -> Deployment:
    """A deployment that runs; without a real control plane the test is skipped, or fails in CI."""
    try:
        return Deployment(settings).start()
    except NotAvailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and a real control plane is needed: {error}")
        pytest.skip(f"NOT TESTED on a real control plane: {error}")


@pytest.fixture(scope="session")
def observer(deployment: Deployment) -> Iterator[Observer]:
    """Sees how every CSR ends."""
    with Observer(deployment.api, deployment.signer.signer_name) as observer:
        yield observer


@pytest.fixture(scope="session")
def keys() -> Iterator[KeyPool]:
    """Keys for all fleets."""
    with KeyPool(make=known) as pool:
        yield pool


@pytest.fixture(scope="session")
def make_fleet(deployment: Deployment, keys: KeyPool) -> Callable[..., Fleet]:
    """Pods with tokens and prepared requests; `submit` files them."""
    return fleet_maker(deployment, keys)


def fleet_maker(deployment: Deployment, keys: KeyPool) -> Callable[..., Fleet]:
    """What makes a deployment's fleets, each of other pods than the one before."""
    numbers = itertools.count(1)

    def make(count: int, *, mixed: bool = False, signer_name: str = "") -> Fleet:
        number = next(numbers)
        members = plan(
            count,
            components=components(deployment.settings.release),
            managements=managements(signer_name or deployment.signer.signer_name, algorithms=MIXED if mixed else KEYS),
            seed=number,
            prefix=f"fleet{number}",
        )
        fleet = Fleet(deployment.world, members, keys=keys)
        fleet.enter()
        fleet.prepare()
        return fleet

    return make


def audit_records(log: Path) -> list[dict[str, object]]:
    """The function's audit records; lines of the framework, and one that is just being written, are passed over."""
    lines = log.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"severity"')]


def eventually(
    condition: Callable[[], bool], *, missing: object = "", period: float = 0.01, patience: float = PATIENCE
) -> None:
    """Waits until something holds, and fails where it does not in time; the failure shows what is `missing` then.

    Args:
        condition: What must hold.
        missing: What the failure shows.
        period: Seconds between two looks.
        patience: Seconds until it fails.
    """
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"it did not come about: {missing}"
        time.sleep(period)
