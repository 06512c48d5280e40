"""One CSR of which a call fails, on a real kube-apiserver: what the function answers, and what becomes of the others.

The exporter is off: the tests send the function its events, and see the answer that an exporter would act on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from sandbox import guards, protobuf
from sandbox.api import CSRS, Api, ApiError, csr_path
from sandbox.calico import attackers, twists
from sandbox.calico.stories import STORIES, Story
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Deployment, Settings
from sandbox.documents import CLUSTER
from sandbox.manifests import FUNCTION_USER
from tests.end_to_end.conftest import audit_records, eventually, fleet_maker, started
from tests.end_to_end.events import event, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandbox.calico.attackers import Attacker
    from sandbox.calico.fleet import Fleet
    from sandbox.calico.keys import KeyPool

pytestmark = pytest.mark.real

RELEASE = "3.31"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
ANNOTATION = b"x\xff\xed\xa0\x80y"
GENERATE_NAME = b"node-certs:\xff"
FIELDS = b'{"f:metadata":{"f:annotations":{"f:\xff":{}}}}'
MANAGER = b"m\xff"
# What a requester may store by protobuf and JSON cannot carry.
NOT_CARRIED: Mapping[str, Mapping[str, Any]] = {
    "an annotation": {"annotations": {"example.com/note": ANNOTATION}},
    "a generateName": {"generate_name": GENERATE_NAME},
    "managed fields": {"fields": FIELDS},
    "a manager": {"manager": MANAGER},
}
KEPT = {"an annotation": ANNOTATION, "a generateName": GENERATE_NAME}
HONEST = Story(name="honest", description="honest", wrong="nothing", twist=twists.nothing, expected_codes=())
WRONG = next(story for story in STORIES if story.name == "wrong component")


class Told:
    """An event's CSR."""

    def __init__(self, filed: Mapping[str, Any]) -> None:
        self.name = str(filed["metadata"]["name"])
        self.uid = str(filed["metadata"]["uid"])


class Stage:
    """A deployment without exporter, and what the tests do in it."""

    def __init__(self, deployment: Deployment, keys: KeyPool) -> None:
        self.deployment = deployment
        self.api = deployment.api
        self.make_fleet: Callable[..., Fleet] = fleet_maker(deployment, keys)
        self._number = 0

    def pod(self, story: Story = HONEST) -> Attacker:
        """A Calico pod with a request of this kind."""
        self._number += 1
        (prepared,) = attackers.prepare(
            self.deployment.world,
            self.deployment.signer.signer_name,
            release=RELEASE,
            stories=[story],
            seed=7000 + self._number,
            prefix=f"item{self._number}",
        )
        return prepared

    def file(self, pod: Attacker, *, name: str = "", **content: Any) -> Told:
        """Files its request by protobuf, with its own token."""
        csr = {**pod.csr, "metadata": {**pod.csr["metadata"], **({"name": name} if name else {})}}
        body = protobuf.certificate_signing_request(csr, **content)
        return Told(self.api.with_token(pod.token).post_protobuf(CSRS, body))

    def tell(self, told: Any) -> int:
        """Sends the function an event; gives the answer's status."""
        with urllib3.PoolManager(retries=False) as pool:
            return send(pool, self.deployment, event(told))

    def state(self, told: Told) -> set[str]:
        """Types of its conditions, and `Issued` where it has its certificate."""
        status = self.api.get(csr_path(told.name))["status"]
        issued = {"Issued"} if "certificate" in status else set()
        return {condition["type"] for condition in status.get("conditions", ())} | issued

    def records(self, told: Told) -> list[dict[str, Any]]:
        """The function's records of it."""
        return [each for each in audit_records(self.deployment.log("function")) if each["csr_uid"] == told.uid]

    def honest_are_issued(self) -> None:
        """What is asked for beside it is issued at the first event."""
        fleet = self.make_fleet(2)
        fleet.submit()
        for submission in fleet.submissions:
            assert self.tell(submission) == 200
            assert "certificate" in self.api.get(csr_path(submission.name))["status"]


def refused(call: Callable[[], object]) -> tuple[int, bool] | None:
    """Status of an admission policy's refusal, and whether it says what is allowed; None where the call succeeds."""
    try:
        call()
    except ApiError as error:
        return error.status, "must be UTF-8" in error.message
    return None


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator[Stage]:
    """Without guards, so that anything can be filed."""
    with started(Settings(directory=tmp_path_factory.mktemp("items"), plane="real", release=RELEASE)) as deployment:
        deployment.kill_exporter()
        yield Stage(deployment, keys)


@pytest.fixture
def refusing(stage: Stage) -> Iterator[None]:
    """Somebody's admission policy refuses every decision about CSRs that have an annotation."""
    rule = {
        "apiGroups": ["certificates.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["certificatesigningrequests/approval", "certificatesigningrequests/status"],
    }
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "!has(object.metadata.annotations)", "reason": "Forbidden"}],
    }
    policies, bindings = (f"{ADMISSION}/validatingadmission{kind}" for kind in ("policies", "policybindings"))
    stage.api.post(policies, {"metadata": {"name": "refusing"}, "spec": spec})
    binding = {"policyName": "refusing", "validationActions": ["Deny"]}
    stage.api.post(bindings, {"metadata": {"name": "refusing"}, "spec": binding})
    probe = stage.file(stage.pod(), annotations={"example.com/note": b"any"})

    def in_force() -> bool:
        body = {"metadata": {"labels": {"probe": "x"}}}
        try:
            stage.api.patch(csr_path(probe.name, "status"), body, dryRun="All")
        except ApiError:
            return True
        return False

    eventually(in_force)
    yield
    stage.api.delete(f"{bindings}/refusing")
    stage.api.delete(f"{policies}/refusing")
    eventually(lambda: not in_force())


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize(
    "name",
    ["user not permitted to approve requests", 'User "x" cannot', "CERTIFICATE_VERIFY_FAILED", "request is too large"],
)
def test_attack_a_csr_named_as_a_missing_right_stops_no_other_csr(stage: Stage, name: str) -> None:
    """A policy's 403 repeats the CSR's name: it is a fault of that CSR (500), never of all CSRs (503)."""
    poison = stage.file(stage.pod(), name=name, annotations={"example.com/note": b"any"})
    assert stage.tell(poison) == 500
    fault = stage.records(poison)[-1]
    assert (fault["event"], fault["fault"], fault["status"]) == ("fault", "ItemError", 500)
    stage.honest_are_issued()


@pytest.mark.parametrize("story", [HONEST, WRONG], ids=lambda story: story.name)
@pytest.mark.parametrize("what", NOT_CARRIED)
def test_attack_a_csr_that_json_cannot_carry_ends(stage: Stage, what: str, story: Story) -> None:
    """It is issued or denied by its first event, and what its requester stored stays as it was, byte by byte."""
    told = stage.file(stage.pod(story), **NOT_CARRIED[what])
    assert stage.tell(told) == 200
    assert stage.state(told) == ({"Approved", "Issued"} if story is HONEST else {"Denied"})
    assert KEPT.get(what, b"") in stage.api.get_protobuf(csr_path(told.name))
    stage.honest_are_issued()


def test_attack_a_csr_name_that_json_cannot_carry(stage: Stage) -> None:
    """No event can name it: what is sent is not found, and nothing is stopped."""
    pod = stage.pod()
    body = protobuf.certificate_signing_request(pod.csr, name=pod.csr["metadata"]["name"].encode() + b"\xff")
    told = Told(stage.api.with_token(pod.token).post_protobuf(CSRS, body))
    assert stage.tell(told) == 200
    assert [(each["event"], each["reason"]) for each in stage.records(told)] == [("ignored", "gone")]
    stage.honest_are_issued()


@pytest.mark.parametrize("length", [1_200_000, 1_570_400])
def test_attack_a_csr_that_leaves_its_certificate_no_room_is_never_signed(stage: Stage, length: int) -> None:
    """Approved would fit into etcd and the certificate would not: every retry would cost a signature."""
    told = stage.file(stage.pod(), generate_name=b"x" * length)
    assert [stage.tell(told) for _ in range(3)] == [200] * 3
    assert [each["event"] for each in stage.records(told)] == ["refused", "ignored", "ignored"]


def test_without_guards_the_function_may_change_the_metadata_of_any_csr(stage: Stage) -> None:
    """A limit of RBAC's that README tells of: by a patch of the status, also where the signerName is another's."""
    other = stage.pod()
    other.csr["spec"]["signerName"] = "another.example.com/signer"
    told = stage.file(other)
    change = {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/kept"]}}
    plane = stage.deployment.plane
    assert isinstance(plane, RealControlPlane)
    with Api.from_kubeconfig(plane.kubeconfig_for(FUNCTION_USER)) as function:
        patched = function.patch(csr_path(told.name, "status"), change, "strategic-merge")
        assert (patched["metadata"]["labels"]["a"], patched["metadata"]["finalizers"]) == ("b", ["example.com/kept"])
        for subresource, condition in (("approval", "Approved"), ("approval", "Denied"), ("status", "Failed")):
            status = {"conditions": [{"type": condition, "status": "True", "reason": "Test", "message": ""}]}
            with pytest.raises(ApiError, match="user not permitted"):
                function.patch(csr_path(told.name, subresource), {"status": status}, "strategic-merge")
    stage.api.patch(csr_path(told.name), {"metadata": {"finalizers": None}})


def test_a_function_without_basic_rights_of_every_user_still_serves(stage: Stage) -> None:
    """A hardened cluster takes the role system:basic-user away: certificates are issued, faults stay an item's."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user"
    binding = stage.api.get(path)
    subjects = binding["subjects"]
    stage.api.patch(path, {"subjects": []})
    attributes = {"verb": "create", "group": "authorization.k8s.io", "resource": "selfsubjectaccessreviews"}
    spec = {"user": FUNCTION_USER, "groups": ["system:authenticated"], "resourceAttributes": attributes}

    def may_ask() -> bool:
        review = stage.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return bool(review["status"]["allowed"])

    try:
        eventually(lambda: not may_ask())
        stage.honest_are_issued()
        role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/kms-csr-signer:approve"
        rules = stage.api.get(role)["rules"]
        stage.api.patch(role, {"rules": []})
        try:
            poor = stage.file(stage.pod())
            eventually(lambda: stage.tell(poor) == 500)
            assert stage.records(poor)[-1]["fault"] == "ItemError"
        finally:
            stage.api.patch(role, {"rules": rules})
        eventually(lambda: stage.tell(poor) == 200)
    finally:
        stage.api.patch(path, {"subjects": subjects})
        eventually(may_ask)


def test_attack_under_the_guards_what_json_cannot_carry_is_refused_and_what_is_there_ends(stage: Stage) -> None:
    """New CSRs of that kind are refused when they are filed; those of before get their decision all the same."""
    before = {
        (what, story.name): stage.file(stage.pod(story), **NOT_CARRIED[what])
        for what in NOT_CARRIED
        for story in (HONEST, WRONG)
    }
    deployment = stage.deployment
    guards.put_in(
        deployment.world,
        deployment.directory / "function.json",
        cluster=CLUSTER,
        function=FUNCTION_USER,
        signer_name=deployment.signer.signer_name,
    )
    for what, content in NOT_CARRIED.items():
        assert refused(lambda content=content: stage.file(stage.pod(), **content)) == (422, True), what  # type: ignore[misc]
    for (what, story), told in before.items():
        assert stage.tell(told) == 200, what
        assert stage.state(told) == ({"Approved", "Issued"} if story == "honest" else {"Denied"})
    stage.honest_are_issued()
