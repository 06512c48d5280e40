"""A pod that never stops asking, on a real kube-apiserver."""

from collections.abc import Iterator

import pytest

from sandbox.calico.keys import KeyPool
from sandbox.calico.looper import Looper
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from tests.end_to_end import loaded
from tests.end_to_end.conftest import eventually, started

pytestmark = pytest.mark.real

OTHERS = 200
# The exporter's default rate limit of one requester: so many at once, then one in so many seconds.
AT_ONCE, SECONDS_EACH = 6, 30.0


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with a KMS that takes some time."""
    directory = tmp_path_factory.mktemp("busy")
    settings = Settings(
        directory=directory, plane="real", guards=True, kms_latency=0.03, concurrency=16, exporter=loaded.IMPATIENT
    )
    with started(settings) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def seen(busy: Deployment) -> Iterator[Observer]:
    """Sees how every CSR ends."""
    with Observer(busy.api, busy.signer.signer_name) as observer:
        yield observer


def test_a_looping_pod_delays_no_other_pod(busy: Deployment, seen: Observer, keys: KeyPool) -> None:
    """The pod files and deletes at full speed; 200 other pods are served, and it keeps its limit."""
    hostile = loaded.fleet_of(busy, keys, 1, "hostile")
    fleet = loaded.fleet_of(busy, keys, OTHERS, "others")
    before = busy.exporters[0].metrics()
    with Looper(hostile.apis[0], hostile.request(0)) as looper:
        assert looper.wait(50, loaded.LONG)
        fleet.submit()
        loaded.assert_all_issued(fleet, seen)
        eventually(lambda: len(looper.uids) > 10 * _budget(looper))
    after = busy.exporters[0].metrics()
    budget = _budget(looper)
    assert loaded.handled(busy, set(looper.uids)).total() <= budget
    # Nobody else's event had to be sent more often because of it.
    sent, again = (after.total(name) - before.total(name) for name in ("send_attempts_total", "retries_total"))
    assert sent - again <= OTHERS + budget
    assert loaded.repeated(loaded.signatures(busy, loaded.uids_of(fleet))) == 0
    assert after.total("throttled_total") > before.total("throttled_total")


def _budget(looper: Looper) -> float:
    """As many events as the rate limit lets through while the pod loops."""
    return AT_ONCE + looper.seconds / SECONDS_EACH + 1
