"""The exporter's memory limit with several signerNames, which `test_memory` leaves out."""

from collections.abc import Iterator

import pytest

from sandbox.api import CSRS
from sandbox.calico import attackers, twists
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.stories import Story
from sandbox.deployment import Deployment, Settings, UserProfile
from sandbox.usage import Usage
from tests.end_to_end import loaded
from tests.end_to_end.conftest import PATIENCE, started
from tests.paths import FUNCTION
from tests.unit.exporter.heavy import HEAVY, exporter_limit

HONEST = Story(name="honest", description="honest", wrong="nothing", twist=twists.nothing, expected_codes=())
PROFILE = FUNCTION / "csr_signer" / "profiles" / "calico.yaml"
KINDS = ("held as four times its size", "wide", "as deep as the API server takes", "request")
SIGNERS = 4


@pytest.fixture
def four_signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One exporter that reads four signerNames, each by a thread of its own."""
    profiles = {
        f"s{number}.example.com/calico": UserProfile(file=PROFILE, release="3.31") for number in range(1, SIGNERS)
    }
    settings = Settings(directory=tmp_path_factory.mktemp("four"), plane="real", release="3.31", profiles=profiles)
    with started(settings) as running:
        running.kill_exporter()
        yield running


@pytest.mark.real
def test_attack_one_heavy_csr_for_each_of_four_signers(four_signers: Deployment, keys: KeyPool) -> None:
    """Each reader reads its own at once; together they stay below the manifest's limit."""
    deployment = four_signers
    names = [signer.signer_name for signer in deployment.signers]
    stories = [HONEST] * len(names) * len(KINDS)
    pods = iter(attackers.prepare(deployment.world, names[0], release="3.31", stories=stories, seed=77))
    for kind in KINDS:
        for name, pod in zip(names, pods, strict=False):
            csr = {**pod.csr, "spec": {**pod.csr["spec"], "signerName": name}}
            deployment.api.with_token(pod.token).post(CSRS, HEAVY[kind](csr))
    with Observer(deployment.api, names[0]) as observer:
        deployment.start_exporter()
        fleet = loaded.fleet_of(deployment, keys, 4, "honest")
        fleet.submit()
        loaded.assert_all_issued(fleet, observer, timeout=PATIENCE)
    peak = Usage.of(deployment.exporter_pid).peak
    assert peak < exporter_limit(), peak
