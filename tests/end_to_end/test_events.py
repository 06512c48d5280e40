"""Each failure that the function can see is found in the cluster alone: in the CSR's conditions and in its Events.

The exporter is off: the tests send the function its events.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from sandbox.api import NAMESPACES, NODES, csr_path
from sandbox.calico import attackers
from sandbox.calico.stories import STORIES
from sandbox.deployment import Deployment, Settings, UserProfile
from sandbox.kms.client import connect
from sandbox.kms.control import KmsControl
from sandbox.kms.faults import Corruption, Fault
from tests.end_to_end.conftest import eventually, fleet_maker, started
from tests.end_to_end.judged import certifying_profile
from tests.end_to_end.test_crashes import event, send
from tests.infra.cluster.test_rights import ATTEST, CERTIFICATES, CERTIFYING, RELEASE, SIGN, Named, without
from tests.unit.function.ports.test_kms_faults import switch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sandbox.calico.fleet import Fleet, Submission
    from sandbox.calico.keys import KeyPool

OPERATOR, SERVICE, REQUESTER = "WaitingForOperator", "WaitingForService", "WaitingForRequester"
WAITING_SECONDS = 10


class Stage:
    """A deployment without exporter, whose CSRs have waited for long."""

    def __init__(self, deployment: Deployment, keys: KeyPool) -> None:
        self.deployment = deployment
        self.api = deployment.api
        make: Callable[..., Fleet] = fleet_maker(deployment, keys)
        self.fleets = {name: make(1, signer_name=failure.signer_name) for name, failure in FAILURES.items()}
        for fleet in self.fleets.values():
            fleet.submit()
        self.refused = self._refused()
        newest = self.api.get(csr_path(self.refused.name))["metadata"]["creationTimestamp"]
        created = dt.datetime.fromisoformat(newest)
        eventually(lambda: (dt.datetime.now(dt.UTC) - created).total_seconds() > WAITING_SECONDS)

    def _refused(self) -> Named:
        story = next(story for story in STORIES if story.name == "hidden extension")
        world, signer_name = self.deployment.world, self.deployment.signer.signer_name
        (attack,) = attackers.prepare(world, signer_name, release=RELEASE, stories=[story], seed=1, prefix="refused")
        return Named(attackers.file(world, attack))

    def tell(self, told: Any) -> int:
        """Sends the function an event; returns the answer's status."""
        with urllib3.PoolManager(retries=False) as pool:
            return send(pool, self.deployment, event(told))

    def shown(self, told: Any) -> tuple[set[str], list[tuple[str, str]]]:
        """What `kubectl get csr` and `kubectl get events` show of a CSR: conditions, and reasons with messages."""
        status = self.api.get(csr_path(told.name))["status"]
        issued = {"Issued"} if "certificate" in status else set()
        events = self.api.get(f"{NAMESPACES}/default/events")["items"]
        return {condition["type"] for condition in status.get("conditions", ())} | issued, [
            (each["reason"], each["message"]) for each in events if each["involvedObject"].get("uid") == told.uid
        ]

    def restart(self) -> None:
        """Starts a process of the function that knows no public key yet."""
        self.deployment.function.kill()
        self.deployment.function.start()


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failure, and what the cluster tells of it."""

    breaks: Callable[[Stage, Submission], AbstractContextManager[None]]
    status: int
    reason: str
    words: str
    signer_name: str = ""
    needs_rbac: bool = False


def kms_fault(**fault: Any) -> Callable[[Stage, Submission], AbstractContextManager[None]]:
    """KMS fails so, in a process of the function that knows no public key yet."""

    @contextmanager
    def breaks(stage: Stage, _: Submission) -> Iterator[None]:
        with KmsControl(stage.deployment.kms) as control:
            stage.restart()
            control.add(Fault(times=0, **fault))
            try:
                yield
            finally:
                control.clear()
                stage.restart()

    return breaks


@contextmanager
def key_disabled(stage: Stage, _: Submission) -> Iterator[None]:
    """Somebody disables the key version."""
    version = stage.deployment.signer.key_version
    with connect(stage.deployment.kms) as client:
        client.update_crypto_key_version(request=switch(version, "DISABLED"))
        try:
            yield
        finally:
            client.update_crypto_key_version(request=switch(version, "ENABLED"))


@contextmanager
def address_hidden(stage: Stage, submission: Submission) -> Iterator[None]:
    """Kubelet has not reported the address yet: the pod's, or on the host's network its node's."""
    member = submission.member
    pod, node = (
        f"{NAMESPACES}/{member.plan.namespace}/pods/{member.plan.name}/status",
        f"{NODES}/{member.node.name}/status",
    )
    path, fields = (node, ("addresses",)) if member.component.host_network else (pod, ("podIP", "podIPs"))
    before = stage.api.get(path)["status"]
    stage.api.patch(path, {"status": dict.fromkeys(fields)})
    try:
        yield
    finally:
        stage.api.patch(path, {"status": {field: before[field] for field in fields}})


def right_missing(role: str, verb: str, resource: str) -> Callable[[Stage, Submission], AbstractContextManager[None]]:
    """Somebody takes a right away."""
    return lambda stage, _: without(stage.deployment, (role, verb, resource))


FAILURES = {
    "key disabled": Failure(
        breaks=key_disabled, status=500, reason=OPERATOR, words="its state is DISABLED: enable it (gcloud kms"
    ),
    "CA mismatch": Failure(
        breaks=kms_fault(method="GetPublicKey", corruption=Corruption.FOREIGN_PUBLIC_KEY),
        status=500,
        reason=OPERATOR,
        words="its public key must be that of the CA certificate",
    ),
    "quota": Failure(
        breaks=kms_fault(method="AsymmetricSign", status="RESOURCE_EXHAUSTED"),
        status=429,
        reason=SERVICE,
        words="the quota of KMS is exhausted",
    ),
    "KMS unavailable": Failure(
        breaks=kms_fault(method="AsymmetricSign", status="UNAVAILABLE"),
        status=503,
        reason=SERVICE,
        words="KMS does not answer",
    ),
    "address not visible": Failure(
        breaks=address_hidden,
        status=425,
        reason=REQUESTER,
        words="are not visible as the pod's",
        signer_name=CERTIFYING,
    ),
    "right to sign missing": Failure(
        breaks=right_missing(SIGN, "sign", f"{CERTIFICATES}/signers"),
        status=500,
        reason=OPERATOR,
        words="must have the right to sign signers",
        needs_rbac=True,
    ),
    "right to read pods missing": Failure(
        breaks=right_missing(ATTEST, "get", "/pods"),
        status=500,
        reason=OPERATOR,
        words=r"cannot get resource \"pods",
        needs_rbac=True,
    ),
}


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator[Stage]:
    """On the real API server with the manifests' rights and the guards."""
    profile = certifying_profile(tmp_path_factory.mktemp("profile") / "addresses.yaml", RELEASE)
    settings = Settings(
        directory=tmp_path_factory.mktemp(request.param),
        plane=request.param,
        release=RELEASE,
        guards=request.param == "real",
        profiles={CERTIFYING: UserProfile(file=profile, release=RELEASE, nodes=True)},
    )
    with started(settings) as deployment:
        deployment.kill_exporter()
        yield Stage(deployment, keys)


EMBEDDED, REAL = pytest.param("embedded"), pytest.param("real", marks=pytest.mark.real)
ON_BOTH = [
    pytest.param(plane.values[0], name, marks=plane.marks)
    for plane in (EMBEDDED, REAL)
    for name, failure in FAILURES.items()
    if plane is REAL or not failure.needs_rbac  # the double of the API server asks for no right
]


@pytest.mark.parametrize(("stage", "name"), ON_BOTH, indirect=["stage"], scope="module")
def test_the_cluster_tells_whose_turn_it_is_and_what_is_wrong(stage: Stage, name: str) -> None:
    """One Event names turn, cause and remedy; afterwards the CSR is issued, and no further Event follows."""
    failure = FAILURES[name]
    (submission,) = stage.fleets[name].submissions
    with failure.breaks(stage, submission):
        assert stage.tell(submission) == failure.status
        conditions, told = stage.shown(submission)
    assert conditions <= {"Approved"}
    ((reason, message),) = told
    assert reason == failure.reason
    assert failure.words in message
    eventually(lambda: stage.tell(submission) == 200)
    assert stage.shown(submission) == ({"Approved", "Issued"}, told)


@pytest.mark.parametrize("stage", [EMBEDDED, REAL], indirect=True, scope="module")
def test_the_cluster_tells_of_a_refusal(stage: Stage) -> None:
    """`kubectl get csr` shows Denied, and the Event names every violation."""
    assert stage.tell(stage.refused) == 200
    conditions, told = stage.shown(stage.refused)
    assert conditions == {"Denied"}
    ((reason, message),) = told
    assert reason == "RequestMalformed"
    assert "request.attribute: " in message
