"""Many requests, deaths in the middle of them, and a pod that never stops asking, on a real kube-apiserver."""

import threading
from collections.abc import Callable, Iterator

import pytest

from sandbox.calico.keys import KeyPool
from sandbox.calico.looper import Looper
from sandbox.calico.observer import Observer
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Deployment, Settings
from sandbox.patient_api import PatientApi
from tests.end_to_end import loaded
from tests.end_to_end.conftest import eventually, started

pytestmark = pytest.mark.real

BURST = 1000
DEATHS = 10
OTHERS = 200
# The exporter's default rate limit of one requester: so many at once, then one in so many seconds.
AT_ONCE, SECONDS_EACH = 6, 30.0


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An exporter that proves every few seconds what it claims, and a KMS that takes some time.

    What is signed and not yet written when the function is killed is signed again: at most what it works on at once,
    here what `infra/modules/function` lets it.
    """
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


def test_a_burst_survives_ten_deaths_of_the_function_and_two_of_the_api_server(
    busy: Deployment, seen: Observer, keys: KeyPool, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """1,000 pods at once: every CSR is issued, and a death repeats what was in flight."""
    assert isinstance(busy.plane, RealControlPlane)
    with PatientApi.from_kubeconfig(busy.plane.kubeconfig) as api:
        fleet = loaded.fleet_of(busy, keys, BURST, "burst", api=api)
        before = _issued(seen)
        filing = threading.Thread(target=fleet.submit)
        filing.start()
        for death in range(1, DEATHS + 1):
            goal = before + BURST * death // (DEATHS + 2)
            eventually(lambda goal=goal: _issued(seen) >= goal, period=0.1, patience=loaded.LONG)  # type: ignore[misc]
            busy.function.kill()
            if death in {2, 7}:
                busy.plane.restart_api_server()
            busy.function.start()
        filing.join()
    loaded.assert_all_issued(fleet, seen)
    loaded.wait_until_idle(busy)
    assert len(loaded.logged(busy, "resynced")) > 2  # beside the watch, again and again
    signed = loaded.signatures(busy, loaded.uids_of(fleet))
    record_testsuite_property("signatures that were not needed", loaded.repeated(signed))
    assert len(signed) == BURST
    assert loaded.repeated(signed) <= busy.settings.concurrency * DEATHS


def _budget(looper: Looper) -> float:
    """As many events as the rate limit lets through while the pod loops."""
    return AT_ONCE + looper.seconds / SECONDS_EACH + 1


def _issued(observer: Observer) -> int:
    return sum(each.ended is not None for each in observer.observations().values())
