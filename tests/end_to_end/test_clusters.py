"""Several clusters at one process of the function: what one of them does wrong delays no other.

The process runs under functions-framework, and its concurrency is set as Terraform sets it. The hostile cluster's API
server never answers, or its answers cost as much as possible; the honest one has the real exporter.
"""

import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import pytest

from csr_signer.cluster.api_server import OF_ITEM
from sandbox import capacity
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Settings
from sandbox.documents import SOURCE
from sandbox.hostile_api import COSTLY, HostileApiServer, post_event
from sandbox.kms import Fault, KmsServer, connect
from sandbox.usage import MEBIBYTE, Usage
from tests.end_to_end.conftest import PATIENCE, started
from tests.end_to_end.issuing import SIGN, Issuing
from tests.unit.signerctl.stage import Stage

CONCURRENCY: Final = capacity.concurrency(2)
SHARE: Final = CONCURRENCY // 2
HOSTILE: Final = f"{SOURCE}-hostile"
MANY: Final = 64


@pytest.fixture(scope="module")
def issuing(tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator[Issuing]:
    """The honest cluster with its exporter and the function; KMS is in this process."""
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        directory = tmp_path_factory.mktemp("clusters")
        settings = Settings(directory=directory, kms=server.endpoint, concurrency=CONCURRENCY, front_door=False)
        with started(settings) as deployment, Observer(deployment.api) as observer:
            yield Issuing(deployment, Stage(server=server, client=client), keys, observer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A cluster whose API server never answers, and its exporter."""

    url: str
    api: HostileApiServer
    before: int

    def send(self, uid: str) -> tuple[int, str, str]:
        """Sends the event of a CSR; gives status, Retry-After and reason of the answer."""
        return send(self.url, HOSTILE, f"node-certs:{uid}", uid)

    def holds(self, places: int) -> None:
        """Waits until the function has asked the API server so often in this test, and fails where it asks more."""
        assert self.api.wait(self.before + places, PATIENCE) - self.before == places

    def holds_at_most(self, places: int, since: float) -> None:
        """Fails where the function has asked more often than so many places allow: each asks again once it gives up."""
        asked = self.api.wait(0, 0) - self.before
        assert asked <= places * (1 + (time.monotonic() - since) // OF_ITEM.read)


def send(url: str, source: str, name: str, uid: str) -> tuple[int, str, str]:
    """Sends the event of a CSR; gives status, Retry-After and reason of the answer."""
    answer = post_event(url, source, name, uid, seconds=PATIENCE)
    return answer.status, answer.headers.get("Retry-After", ""), answer.json()["reason"]


@pytest.fixture(scope="module")
def silent(issuing: Issuing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileApiServer]:
    """The API server of a second cluster of the same function, which has a CA of its own."""
    with HostileApiServer(tmp_path_factory.mktemp("hostile")) as api:
        join(issuing, api)
        yield api
        issuing.deployment.function.kill()  # nobody waits for what it waits for


def join(issuing: Issuing, api: HostileApiServer) -> None:
    """Starts the function with a second cluster, which has this API server and a CA of its own."""
    document = issuing.document
    if "hostile" not in document["clusters"]:
        issuer = issuing.authority("Hostile")
        document["signers"].append({**document["signers"][0], "cluster": "hostile", "issuer": issuer})
    authentication = {"kubeconfig": str(api.kubeconfig)}
    document["clusters"]["hostile"] = {"source": HOSTILE, "authentication": authentication}
    issuing.redeploy(document)


@pytest.fixture
def hostile(issuing: Issuing, silent: HostileApiServer) -> Hostile:
    """That cluster, of which nothing is in flight: each test waits for its answers."""
    return Hostile(url=issuing.deployment.function.url, api=silent, before=silent.wait(0, 0))


def assert_issued(issuing: Issuing, fleet: Fleet) -> None:
    """Every pod of the honest cluster gets its certificate."""
    assert len(fleet.submissions) == len(fleet.members)
    issuing.issued(fleet.submissions)


def assert_within_memory(issuing: Issuing, *, clusters: int) -> None:
    """Both processes of the function have stayed within Terraform's memory for so many clusters, with a reserve."""
    parent = psutil.Process(issuing.deployment.function.pid)
    (worker,) = parent.children(recursive=True)
    used = Usage.of(worker.pid).peak + parent.memory_full_info().uss / MEBIBYTE
    print(f"{clusters} clusters: {used:.0f} MiB at most")  # noqa: T201 - what it is about
    assert used <= 0.8 * capacity.memory(clusters)


@contextlib.contextmanager
def sending(hostile: Hostile, uids: list[str]) -> Iterator[list[Future[tuple[int, str, str]]]]:
    """Events in flight at once, until they are answered."""
    with ThreadPoolExecutor(len(uids)) as executor:
        yield [executor.submit(hostile.send, uid) for uid in uids]


@contextlib.contextmanager
def flooding(hostile: Hostile) -> Iterator[Counter[int]]:
    """Events in flight at once, each followed by the next; gives the answers' statuses."""
    over = threading.Event()
    answers: Counter[int] = Counter()

    def flood() -> None:
        while not over.is_set():
            status, *_ = hostile.send(str(uuid.uuid4()))
            answers[status] += 1

    with ThreadPoolExecutor(MANY) as executor:
        floods = [executor.submit(flood) for _ in range(MANY)]
        try:
            yield answers
        finally:
            over.set()
    for each in floods:
        each.result()


def test_a_cluster_whose_api_server_hangs_delays_no_other(issuing: Issuing, hostile: Hostile) -> None:
    """64 events of it: 16 wait for its API server, 48 are told at once to slow down; meanwhile others are issued."""
    fleet = issuing.fleet(2)  # few, because the function gives the 16 up after some seconds
    with sending(hostile, [str(uuid.uuid4()) for _ in range(MANY)]) as answers:
        hostile.holds(SHARE)
        fleet.submit()
        assert_issued(issuing, fleet)
        hostile.holds(SHARE)
        assert sum(not answer.done() for answer in answers) == SHARE
    assert Counter(answer.result() for answer in answers) == {
        (429, "1", "ConcurrencyLimitError"): MANY - SHARE,
        (503, "2", "ApiServerUnavailableError"): SHARE,
    }


def test_an_exporter_that_floods_delays_no_other_cluster(issuing: Issuing, hostile: Hostile) -> None:
    """It sends without end and heeds no answer: it holds its share and no more, and all others are issued."""
    fleet = issuing.fleet(24)
    since = time.monotonic()
    with flooding(hostile) as answers:
        hostile.holds(SHARE)
        fleet.submit()
        assert_issued(issuing, fleet)
        hostile.holds_at_most(SHARE, since)
    assert answers[429] > MANY
    assert answers.keys() <= {429, 503}


def test_a_uid_in_one_cluster_delays_no_csr_of_another(issuing: Issuing, hostile: Hostile) -> None:
    """An attacker sends a victim's uid from its own hanging cluster; the function still serves the victim."""
    with issuing.without_exporter():
        (victim,) = issuing.fleet(1).submit()
        with sending(hostile, [victim.uid]) as (squat,):
            hostile.holds(1)
            assert send(hostile.url, SOURCE, victim.name, victim.uid)[0] == 200
            assert not squat.done(), "it did not hang meanwhile"
    issuing.issued([victim])


def test_duplicates_of_one_event_hold_no_thread(issuing: Issuing, hostile: Hostile) -> None:
    """64 events of one CSR, whose signature hangs: 63 are told at once that it is busy, and another one is issued."""
    fleet = issuing.fleet(2)
    faults = issuing.stage.server.faults
    with issuing.without_exporter():
        duplicated, waiting = fleet.submit()
        faults.add(Fault(method=SIGN, hang=True))
        with ThreadPoolExecutor(MANY) as executor:
            event = (hostile.url, SOURCE, duplicated.name, duplicated.uid)
            answers = [executor.submit(send, *event)]
            faults.wait_until_hanging(1, PATIENCE)
            answers += [executor.submit(send, *event) for _ in range(MANY - 1)]
            assert send(hostile.url, SOURCE, waiting.name, waiting.uid)[0] == 200
            assert not answers[0].done(), "it did not hang meanwhile"
            faults.release()
    assert Counter(answer.result() for answer in answers) == {(200, "", ""): 1, (425, "1", "busy"): MANY - 1}
    issuing.issued([duplicated, waiting])


@pytest.mark.parametrize("costly", ["probes", "conditions", "a text of four bytes a character"])
def test_attack_a_cluster_with_costly_answers_stops_no_other(issuing: Issuing, costly: str, tmp_path: Path) -> None:
    """Its whole share, again and again: all pods of the other are issued, within Terraform's memory."""
    fleet = issuing.fleet(8)
    with HostileApiServer(tmp_path, COSTLY[costly]()) as api:
        join(issuing, api)
        hostile = Hostile(url=issuing.deployment.function.url, api=api, before=0)
        with flooding(hostile):
            assert api.wait(SHARE, PATIENCE) >= SHARE
            fleet.submit()
            assert_issued(issuing, fleet)
        assert_within_memory(issuing, clusters=2)


def test_attack_many_events_of_a_heavy_csr_of_the_only_cluster(issuing: Issuing, tmp_path: Path) -> None:
    """64 events at once, four times the concurrency, each of a heavy CSR: one answer at a time is in memory."""
    document = issuing.document
    function = issuing.deployment.function
    with HostileApiServer(tmp_path, COSTLY["a text of four bytes a character"]()) as api:
        authentication = {"kubeconfig": str(api.kubeconfig)}
        document["clusters"] = {"demo": {"source": HOSTILE, "authentication": authentication}}
        document["signers"] = document["signers"][:1]
        function.environment["CSR_SIGNER_CONCURRENCY"] = str(capacity.concurrency(1))
        issuing.redeploy(document)
        hostile = Hostile(url=function.url, api=api, before=0)
        with sending(hostile, [str(uuid.uuid4()) for _ in range(4 * capacity.concurrency(1))]) as answers:
            assert {answer.result()[0] for answer in answers} <= {200, 500}
        assert_within_memory(issuing, clusters=1)
