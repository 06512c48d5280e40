"""How a refusal is told: the condition, and an Event on CSR and pod, because the client never reports it."""

import base64
import concurrent.futures
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from csr_signer.cluster.client import KubernetesCluster
from csr_signer.errors import UnavailableError
from csr_signer.events.outcome import Ignored, Refused
from csr_signer.kms.client import Connection
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.event import LONGEST_NOTE
from csr_signer.pipeline import Cluster, Pipeline
from csr_signer.policy.triage import IgnoreReason
from csr_signer.violation import CODES, LONGEST_TEXT
from sandbox.api import Api, csr_path
from sandbox.calico import attackers
from sandbox.calico.stories import STORIES
from sandbox.calico.world import World
from tests.unit.function.ports.blocking import Blocking
from tests.unit.function.ports.conftest import (
    SIGNER_NAME,
    FileCsr,
    Recorder,
    conditions,
    make_pipeline,
    pod_path,
    reference_to,
)
from tests.unit.function.ports.test_pipeline import stored

SEED = 10_000
"""Of attackers, whose pods then have other names than those of `file_csr`."""
FOREIGN = {"dns_names": ("evil.example.com",)}


def reports(admin: Api, csr: dict[str, Any]) -> list[dict[str, Any]]:
    """The Events on a CSR, each of which the pod that the CSR names has too, with the same words."""
    namespace = csr["spec"]["username"].split(":")[2]
    pod = csr["metadata"]["name"].partition(":")[2]
    in_default = admin.get("/api/v1/namespaces/default/events")["items"]
    in_pods = admin.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    on_csr = [each for each in in_default if each["involvedObject"]["uid"] == csr["metadata"]["uid"]]
    on_pod = [each for each in in_pods if each["involvedObject"]["name"] == pod]
    told = [[(each["reason"], each["message"]) for each in events] for events in (on_csr, on_pod)]
    assert told[0] == told[1]
    return on_csr


class _Unsteady:
    """The real cluster, where denials do not arrive, or their answers do not, as often as told."""

    def __init__(self, cluster: KubernetesCluster, *, lost: int = 0, lost_answers: int = 0) -> None:
        self._cluster = cluster
        self._lost = lost
        self._lost_answers = lost_answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def deny(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Is lost before or after the API server has done it, or arrives."""
        if self._lost:
            self._lost -= 1
            raise UnavailableError("reset by the test")
        answer = await self._cluster.deny(csr, reason, message)
        if self._lost_answers:
            self._lost_answers -= 1
            raise UnavailableError("reset by the test")
        return answer


@pytest.fixture
def over(write_configuration: Callable[..., Path], kms: Connection) -> Callable[[Cluster], Blocking[Pipeline]]:
    """Makes a pipeline over a cluster."""
    return lambda cluster: make_pipeline(write_configuration(), cluster, kms, Recorder())


def test_a_denial_that_did_not_arrive_is_made_again_and_reported_once(
    over: Callable[..., Blocking[Pipeline]], cluster: Blocking[KubernetesCluster], file_csr: FileCsr, admin: Api
) -> None:
    """The event comes again, the refusal is the same, and so is the name of its Event."""
    csr = file_csr(environment=FOREIGN)
    unsteady = over(_Unsteady(cluster.target, lost=2))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            unsteady.process(reference_to(csr), datetime.now(UTC))
        assert stored(admin, csr) == csr
    assert isinstance(unsteady.process(reference_to(csr), datetime.now(UTC)), Refused)
    (event,) = reports(admin, csr)
    assert event["reason"] == conditions(stored(admin, csr))["Denied"]["reason"]


def test_a_denial_whose_answer_is_lost_is_reported_all_the_same(
    over: Callable[..., Blocking[Pipeline]], cluster: Blocking[KubernetesCluster], file_csr: FileCsr, admin: Api
) -> None:
    """The next event finds the CSR denied and has nothing to do: the pod's operator must know by then."""
    csr = file_csr(environment=FOREIGN)
    unsteady = over(_Unsteady(cluster.target, lost_answers=1))
    with pytest.raises(UnavailableError):
        unsteady.process(reference_to(csr), datetime.now(UTC))
    assert unsteady.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.DENIED)
    assert len(reports(admin, csr)) == 1


def test_two_processes_that_refuse_at_once_report_once(
    over: Callable[..., Blocking[Pipeline]], cluster: Blocking[KubernetesCluster], file_csr: FileCsr, admin: Api
) -> None:
    """Each has its own lock: one denial wins, the other finds it done, and there is one Event."""
    csr = file_csr(environment=FOREIGN)
    racers = [over(cluster.target) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        outcomes = list(executor.map(lambda racer: racer.process(reference_to(csr), datetime.now(UTC)), racers))
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 1
    assert {outcome for outcome in outcomes if not isinstance(outcome, Refused)} <= {
        Ignored(reason=IgnoreReason.DENIED)
    }
    assert len(reports(admin, csr)) == 1
    assert list(conditions(stored(admin, csr))) == ["Denied"]


def test_a_message_is_bounded_and_escaped_wherever_it_is_shown(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder
) -> None:
    """Hundreds of names with line ends and escape sequences: one bounded line in condition, Event and record."""
    names = tuple(f"{number}\x1b[31m\r\n.example.com" for number in range(300))
    csr = file_csr(environment={"dns_names": names, "common_name": "\x07" * 60}, spec={"usages": ["cert sign"]})
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
    assert isinstance(outcome, Refused)
    assert len(outcome.codes) > 2
    (event,) = reports(admin, csr)
    shown = conditions(stored(admin, csr))["Denied"]["message"]
    recorded = recorder.lines[-1]["violations"]
    assert len(event["message"]) <= LONGEST_NOTE
    assert len(shown) <= LONGEST_TEXT
    assert shown == recorded
    assert shown.startswith(event["message"])
    assert shown.isascii()
    assert shown.isprintable()


def test_every_reason_comes_from_the_first_rule_that_is_broken(
    pipeline: Blocking[Pipeline], world: World, admin: Api
) -> None:
    """Condition, outcome and Event of every attack agree, and so do its codes and the table of all codes."""
    prepared = attackers.prepare(world, SIGNER_NAME, release="3.31", prefix="reason", seed=SEED)
    for attacker in prepared:
        filed = attackers.file(world, attacker)
        if not filed.uid:
            continue
        csr = admin.get(csr_path(attacker.csr["metadata"]["name"]))
        outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
        assert isinstance(outcome, Refused), attacker.story.name
        assert outcome.reason == CODES[min(outcome.codes, key=list(CODES).index)].reason
        assert set(attacker.story.expected_codes) <= set(outcome.codes), attacker.story.name
        assert conditions(stored(admin, csr))["Denied"]["reason"] == outcome.reason


NOT_ATTESTED = ("unbound token", "wrong service account", "wrong namespace")


@pytest.mark.parametrize("name", NOT_ATTESTED)
def test_a_requester_whose_pod_is_not_attested_gets_no_event(
    pipeline: Blocking[Pipeline], world: World, admin: Api, name: str
) -> None:
    """An Event about a pod that nobody proved would be whatever the requester names, in any namespace."""
    story = next(story for story in STORIES if story.name == name)
    (attacker,) = attackers.prepare(
        world,
        SIGNER_NAME,
        release="3.31",
        stories=[story],
        prefix=f"unproved-{NOT_ATTESTED.index(name)}",
        seed=SEED + 1 + NOT_ATTESTED.index(name),
    )
    attackers.file(world, attacker)
    csr = admin.get(csr_path(attacker.csr["metadata"]["name"]))
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Refused)
    for namespace in ("calico-system", attacker.pod.namespace):
        events = admin.get(f"/api/v1/namespaces/{namespace}/events")["items"]
        assert not [event for event in events if event["involvedObject"]["name"] == attacker.pod.name]


@pytest.mark.parametrize("replaced", [False, True], ids=["gone", "replaced"])
def test_a_pod_that_is_gone_gets_no_event_and_neither_does_its_successor(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, *, replaced: bool
) -> None:
    """A pod of that name with another uid is somebody else."""
    csr = file_csr()
    pod = admin.get(pod_path(csr))
    admin.delete(pod_path(csr), gracePeriodSeconds=0)
    if replaced:
        keep = ("nodeName", "serviceAccountName", "hostNetwork", "containers")
        spec = {key: value for key, value in pod["spec"].items() if key in keep}
        admin.post(pod_path(csr).rpartition("/")[0], {"metadata": {"name": pod["metadata"]["name"]}, "spec": spec})
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
    assert outcome == Refused(reason="PodGone", codes=("pod.gone",))
    events = admin.get("/api/v1/events")["items"]
    assert not [each for each in events if each["involvedObject"]["name"] == pod["metadata"]["name"]]


@pytest.mark.parametrize("approver", ["KubectlApprove", "AutoApproved", ""])
def test_a_refused_csr_that_is_approved_becomes_failed(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, approver: str
) -> None:
    """Approved is permanent, so the CSR becomes Failed, with the same reason, message and Event."""
    csr = file_csr(environment=FOREIGN)
    approved = {"type": "Approved", "status": "True", "reason": approver, "message": "by somebody"}
    csr["status"]["conditions"] = [approved]
    admin.put(csr_path(csr["metadata"]["name"], "approval"), csr)
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
    now = stored(admin, csr)
    assert outcome == Refused(reason="NameNotAllowed", codes=("san.dns.not_allowed", "san.dns.missing"))
    assert set(conditions(now)) == {"Approved", "Failed"}
    assert conditions(now)["Failed"]["reason"] == "NameNotAllowed"
    assert "certificate" not in now["status"]
    (event,) = reports(admin, csr)
    assert event["message"] == conditions(now)["Failed"]["message"]
    assert base64.b64decode(now["spec"]["request"])
