"""The proof that nothing is lost is worth something only if it fails where something is."""

import json
from collections.abc import Iterator

import pytest

from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from sandbox.proxy.lossy import LossyApiServer
from tests.scenarios import loaded
from tests.scenarios.conftest import eventually, started

FLEET, EVERY = 200, 100


@pytest.fixture(scope="module", params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Its exporter relists every few seconds."""
    directory = tmp_path_factory.mktemp(request.param)
    real = request.param == "real"
    with started(
        Settings(directory=directory, plane=request.param, guards=real, exporter=loaded.IMPATIENT)
    ) as deployment:
        yield deployment


@pytest.fixture
def lossy(deployment: Deployment) -> Iterator[LossyApiServer]:
    """The exporter watches through it from now on."""
    plane, path = deployment.plane, deployment.directory / "exporter.json"
    deployment.kill_exporter()
    with LossyApiServer(plane.server, plane.certificate_authority, deployment.directory, every=EVERY) as lossy:
        document = json.loads(path.read_text())
        document["api_server"] |= {"server": lossy.server, "certificate_authority": str(lossy.certificate_authority)}
        path.write_text(json.dumps(document))
        deployment.start_exporter()
        eventually(lambda: loaded.total(deployment, "watches_total") >= 1)
        yield lossy
        deployment.kill_exporter()


def test_a_watch_that_skips_one_event_of_a_hundred_raises_the_alarm(
    deployment: Deployment, lossy: LossyApiServer, keys: KeyPool
) -> None:
    """The relist finds what the watch did not show: it is issued, counted, and told in the log as an error."""
    fleet = loaded.fleet_of(deployment, keys, FLEET, "skipped")
    with Observer(deployment.api, deployment.signer.signer_name) as observer:
        fleet.submit()
        loaded.assert_all_issued(fleet, observer)
    skipped = {json.loads(line)["object"]["metadata"]["uid"] for line in lossy.swallowed}
    assert len(skipped) == FLEET // EVERY
    eventually(lambda: loaded.total(deployment, "resync_missed_total") >= len(skipped))
    lines = map(json.loads, deployment.log("exporter").read_text().splitlines())
    assert {line["uid"] for line in lines if line["severity"] == "ERROR"} == skipped
    assert loaded.total(deployment, "resync_missed_total") == len(skipped)
