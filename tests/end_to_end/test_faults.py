"""Whatever breaks between the parts: every CSR is issued once, and a fault that passes refuses none."""

from collections.abc import Callable, Iterator

import pytest

from sandbox.api import csr_path
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Link, Settings
from sandbox.proxy import Fault, HttpFault
from tests.end_to_end.conftest import PATIENCE, audit_records, eventually, fleet_maker, started
from tests.end_to_end.events import assert_issued_once

LINKS: frozenset[Link] = frozenset({"api-server-for-function", "api-server-for-exporter", "kms", "function"})


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator["Proxied"]:
    """A deployment with a fault proxy on every way between its parts, which has worked once without faults."""
    settings = Settings(directory=tmp_path_factory.mktemp("proxied"), proxies=LINKS)
    with started(settings) as deployment, Observer(deployment.api, deployment.signer.signer_name) as observer:
        proxied = Proxied(deployment, observer, fleet_maker(deployment, keys))
        fleet = proxied.fleet(2)
        fleet.submit()
        proxied.assert_all_issued(fleet)
        yield proxied


@pytest.fixture(autouse=True)
def _healed(proxied: "Proxied") -> Iterator[None]:
    """No fault of one story is left to the next."""
    yield
    for proxy in proxied.deployment.proxies.values():
        proxy.clear()


class Proxied:
    """The deployment, what is seen of it, and what makes its pods."""

    def __init__(self, deployment: Deployment, observer: Observer, fleet: Callable[[int], Fleet]) -> None:
        self.deployment = deployment
        self.observer = observer
        self.fleet = fleet
        self.function_api = deployment.proxies["api-server-for-function"]
        self.exporter_api = deployment.proxies["api-server-for-exporter"]
        self.kms = deployment.proxies["kms"]
        self.function = deployment.proxies["function"]

    def assert_all_issued(self, fleet: Fleet) -> None:
        """Every CSR of a fleet ends as Approved,Issued, with one TBSCertificate and one certificate."""
        assert len(fleet.submissions) == len(fleet.members)
        assert self.observer.wait([submission.uid for submission in fleet.submissions], PATIENCE)
        assert_issued_once(self.deployment, self.observer, fleet.submissions)

    def statuses(self, fleet: Fleet) -> list[dict[str, object]]:
        """The status of every CSR of a fleet as the API server has it."""
        return [self.deployment.api.get(csr_path(submission.name))["status"] for submission in fleet.submissions]

    def audited(self, fleet: Fleet, **facts: object) -> list[dict[str, object]]:
        """The function's audit records of a fleet that have these fields."""
        uids = {submission.uid for submission in fleet.submissions}
        return [
            record
            for record in audit_records(self.deployment.log("function"))
            if record.get("csr_uid") in uids and facts.items() <= record.items()
        ]


def test_api_server_resets_the_function_at_every_step(proxied: Proxied) -> None:
    """Connections cut within handshake, read, approval and write, answers of done writes lost: all are issued."""
    fleet = proxied.fleet(12)
    before = proxied.function_api.counts
    proxied.function_api.set(Fault(reset_after_down=1), only=proxied.function_api.connections)
    for limit in range(1000, 17000, 2000):
        proxied.function_api.add(Fault(reset_after_down=limit))
    fleet.submit()
    assert proxied.function_api.wait(lambda counts: (counts - before).resets >= 3, PATIENCE)
    proxied.assert_all_issued(fleet)
    # Whether a probe got through in between is chance.
    assert proxied.audited(fleet, fault="ApiServerUnavailableError") or proxied.audited(
        fleet, fault="ItemUnavailableError"
    )


@pytest.mark.parametrize("fault", [Fault(reset_after_down=3000), Fault(truncate_after_down=3000)], ids=["RST", "FIN"])
def test_watch_of_the_exporter_is_cut_within_an_event(proxied: Proxied, fault: Fault) -> None:
    """What the watch had shown is not lost, what it had not shown is seen by the next one."""
    fleet = proxied.fleet(8)
    before = proxied.exporter_api.counts
    proxied.exporter_api.set(fault, only=proxied.exporter_api.connections)
    fleet.submit()
    proxied.assert_all_issued(fleet)
    cut = proxied.exporter_api.counts - before
    assert cut.resets + cut.truncated >= 1
    assert cut.connections >= 1


def test_api_server_is_gone_for_the_exporter(proxied: Proxied) -> None:
    """The watch is reset and no new connection accepted while a fleet asks: it is served when that is over."""
    fleet = proxied.fleet(8)
    log = proxied.deployment.log("exporter")
    before = log.read_text().count("Connection refused")
    proxied.exporter_api.refuse()
    proxied.exporter_api.set(Fault(reset_after_down=0))
    eventually(lambda: log.read_text().count("Connection refused") > before)
    fleet.submit()
    assert proxied.statuses(fleet) == [{}] * 8
    proxied.exporter_api.clear()
    proxied.assert_all_issued(fleet)


def test_kms_hangs_and_recovers(proxied: Proxied) -> None:
    """While answers of KMS do not arrive, attempts end and are made again; nobody is refused, and all are issued."""
    fleet = proxied.fleet(6)
    before = proxied.kms.counts
    proxied.kms.set(Fault(hold_down=True))
    fleet.submit()
    # The function connects anew only after it has given up the first attempt.
    assert proxied.kms.wait(lambda counts: (counts - before).connections >= 1, PATIENCE)
    assert all(set(status) <= {"conditions"} for status in proxied.statuses(fleet))
    proxied.kms.clear()
    proxied.assert_all_issued(fleet)
    assert any(int(str(record["kms_attempts"])) > 1 for record in proxied.audited(fleet, event="issued"))


def test_connections_to_kms_are_reset(proxied: Proxied) -> None:
    """A reset while the key is used: the attempt is repeated over the same TBSCertificate."""
    fleet = proxied.fleet(12)
    before = proxied.kms.counts
    proxied.kms.set(Fault(reset_after_up=200), only=proxied.kms.connections)
    proxied.kms.add(Fault(reset_after_down=300), times=2)
    fleet.submit()
    proxied.assert_all_issued(fleet)
    assert (proxied.kms.counts - before).resets >= 1


def test_answers_of_the_function_are_lost(proxied: Proxied) -> None:
    """The work is done, its answer lost, and the exporter does not see the certificate: it sends again, harmlessly."""
    fleet = proxied.fleet(8)
    before = proxied.function.counts
    proxied.function.set(Fault(hold_up=True))
    proxied.function.add_http(HttpFault(lose_answer=True), times=8)
    fleet.submit()
    assert proxied.function.wait(lambda counts: (counts - before).requests >= 1, PATIENCE)
    proxied.exporter_api.set(Fault(hold_down=True))
    proxied.function.set(Fault())
    eventually(lambda: bool(proxied.audited(fleet, event="ignored", reason="issued")))
    proxied.exporter_api.clear()
    proxied.assert_all_issued(fleet)
    assert (proxied.function.counts - before).lost >= 1


def test_requests_to_the_function_are_duplicated(proxied: Proxied) -> None:
    """Every event arrives twice at the same time."""
    fleet = proxied.fleet(16)
    before = proxied.function.counts
    proxied.function.add_http(HttpFault(duplicate=True), times=0)
    fleet.submit()
    proxied.assert_all_issued(fleet)
    # The certificate is seen before the duplicate's answer has come.
    assert proxied.function.wait(lambda counts: (counts - before).duplicated >= 16, PATIENCE)
    assert proxied.audited(fleet, event="deferred", reason="busy")


def test_function_is_unavailable_for_a_while(proxied: Proxied) -> None:
    """503 with Retry-After: nothing is lost, nobody refused, and the function is not flooded meanwhile."""
    fleet = proxied.fleet(12)
    before = proxied.function.counts
    proxied.function.add_http(HttpFault(status=503, headers=(("Retry-After", "1"),)), times=0)
    fleet.submit()
    assert proxied.function.wait(lambda counts: (counts - before).answered >= 2, PATIENCE)
    assert proxied.statuses(fleet) == [{}] * 12
    proxied.function.clear()
    proxied.assert_all_issued(fleet)
