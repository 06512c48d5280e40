"""One CSR whose name the API server cannot carry from one page of a list to the next, on a real kube-apiserver.

A continue token is JSON in base64 in the URL, and it holds the name of the page's last CSR. Without guards a name is
any path segment. A CSR of more than a megabyte has a page to itself, so that its name is in a token.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sandbox import protobuf
from sandbox.api import CSRS
from sandbox.calico import attackers, twists
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.stories import Story
from sandbox.deployment import Deployment, Settings
from tests.end_to_end import loaded
from tests.end_to_end.conftest import PATIENCE, started

pytestmark = pytest.mark.real

HONEST = Story(name="honest", description="honest", wrong="nothing", twist=twists.nothing, expected_codes=())
NAMES = {
    "a token that leads back": b"node-certs:\xff",
    "a token longer than the API server reads": b"!" + b"<" * 180_000,
}


@pytest.fixture
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Without guards and, for now, without exporter."""
    settings = Settings(directory=tmp_path_factory.mktemp("lists"), plane="real", release="3.31", replicas=2)
    with started(settings) as running:
        running.kill_exporter()
        yield running


def padded(csr: Mapping[str, Any], size: int) -> dict[str, Any]:
    """With text before the PEM block, which the API server reads over."""
    request = base64.b64encode(b"x" * size + b"\n" + base64.b64decode(csr["spec"]["request"])).decode()
    return {**csr, "spec": {**csr["spec"], "request": request}}


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_attack_one_csr_whose_name_no_continue_token_can_carry(
    deployment: Deployment, keys: KeyPool, name: bytes
) -> None:
    """Exporters that list it, at their start or anew, tell the function of all others."""
    world, signer_name = deployment.world, deployment.signer.signer_name
    (pod,) = attackers.prepare(world, signer_name, release="3.31", stories=[HONEST], seed=9)
    body = protobuf.certificate_signing_request(padded(pod.csr, 1_200_000 - 4 * len(name)), name=name)
    deployment.api.with_token(pod.token).post_protobuf(CSRS, body)
    with Observer(deployment.api, signer_name) as observer:
        before = loaded.fleet_of(deployment, keys, 6, "before")
        before.submit()
        deployment.start_exporter()
        after = loaded.fleet_of(deployment, keys, 6, "after")
        after.submit()
        for fleet in (before, after):
            loaded.assert_all_issued(fleet, observer, timeout=PATIENCE)
