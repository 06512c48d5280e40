"""An API server for Calico's side alone: nobody approves or signs here but the tests themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import control_plane
from sandbox.api import Api
from sandbox.calico.components import components
from sandbox.calico.fleet import Fleet, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.world import World
from sandbox.pki import Authority
from tests.sandbox.calico.helpers import RELEASE, SIGNER


def _administrator(directory: Path) -> Iterator[Api]:
    with control_plane.start("embedded", directory) as plane, Api.from_kubeconfig(plane.kubeconfig) as api:
        yield api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The administrator of a double that the tests of a module share."""
    yield from _administrator(tmp_path_factory.mktemp("control-plane"))


@pytest.fixture
def own_api(tmp_path: Path) -> Iterator[Api]:
    """The administrator of a double of the test's own."""
    yield from _administrator(tmp_path / "control-plane")


@pytest.fixture
def world(api: Api) -> Iterator[World]:
    """Namespaces and accounts of the current release, and whatever the test adds, which is removed afterwards."""
    with World(api) as made:
        made.create(components(RELEASE))
        yield made
        made.remove(namespaces=False)


@pytest.fixture
def fleet(world: World) -> Iterator[Fleet]:
    """Four pods, two of them calico-node, with keys on a curve."""
    settings = managements(SIGNER, b"the CA certificate", [("ECDSAWithCurve256", "ECDSAWithSHA256")])
    members = plan(4, components=components(RELEASE), managements=settings)
    with KeyPool() as keys:
        made = Fleet(world, members, keys=keys)
        made.enter()
        yield made


@pytest.fixture(scope="session")
def certificate() -> bytes:
    """A certificate that has nothing to do with any request, which neither API server nor client minds."""
    return Authority.create("somebody").issue("anybody").certificate_pem
