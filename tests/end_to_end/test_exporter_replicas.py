"""Two exporters at once, which know nothing of each other: one event per CSR, and none is left to nobody."""

import json
from collections.abc import Iterator

import pytest

from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from tests.end_to_end import loaded
from tests.end_to_end.conftest import eventually, started


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with two replicas."""
    settings = Settings(directory=tmp_path_factory.mktemp("pair"), replicas=2)
    with started(settings) as deployment:
        for exporter in deployment.exporters:
            eventually(lambda exporter=exporter: exporter.page("/readyz")[0] == 200)  # type: ignore[misc]
        yield deployment


@pytest.fixture(scope="module")
def seen(pair: Deployment) -> Iterator[Observer]:
    """Sees how every CSR ends."""
    with Observer(pair.api, pair.signer.signer_name) as observer:
        yield observer


def test_two_healthy_replicas_share_the_work(pair: Deployment, seen: Observer, keys: KeyPool) -> None:
    """Both send, hardly anything is sent twice, and nothing is signed twice."""
    fleet = loaded.fleet_of(pair, keys, 200, "shared")
    before = loaded.total(pair, "retries_total") + loaded.total(pair, "takeovers_total")
    fleet.submit()
    loaded.assert_all_issued(fleet, seen)
    loaded.wait_until_idle(pair)
    sent = [exporter.metrics().total("send_attempts_total") for exporter in pair.exporters]
    assert all(count > 50 for count in sent)
    # On a busy machine the function is slow, so that one replica may take over from the other.
    again = loaded.total(pair, "retries_total") + loaded.total(pair, "takeovers_total") - before
    assert sum(sent) - again < 1.01 * 200
    assert set(loaded.signatures(pair, loaded.uids_of(fleet)).values()) == {1}


def test_a_frozen_replica_is_stood_in_for(pair: Deployment, seen: Observer, keys: KeyPool) -> None:
    """While its owner does nothing the other sends its CSRs; when it wakes up it changes nothing any more."""
    fleet = loaded.fleet_of(pair, keys, 40, "frozen")
    frozen, awake = pair.exporters
    before = awake.metrics().total("takeovers_total")
    with frozen.frozen():
        fleet.submit()
        loaded.assert_all_issued(fleet, seen)
        assert awake.metrics().total("takeovers_total") > before
    loaded.wait_until_idle(pair)
    assert set(loaded.signatures(pair, loaded.uids_of(fleet)).values()) == {1}


def test_replicas_that_disagree_on_their_number_leave_no_orphan(
    pair: Deployment, seen: Observer, keys: KeyPool
) -> None:
    """One counts two of them and one three, as during a change of their number: every CSR is somebody's."""
    path = pair.directory / "exporter.json"
    document = json.loads(path.read_text())
    document["replicas"]["count"] = 3
    path.write_text(json.dumps(document))
    pair.exporters[1].stop()
    pair.exporters[1].start()
    fleet = loaded.fleet_of(pair, keys, 40, "disagreeing")
    fleet.submit()
    loaded.assert_all_issued(fleet, seen)
    loaded.wait_until_idle(pair)
    assert len(loaded.signatures(pair, loaded.uids_of(fleet))) == 40
