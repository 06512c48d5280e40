"""Function and exporter as processes with exactly the manifests' rights and under the guards, on a real API server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import urllib3

from sandbox import guards
from sandbox.api import csr_path
from sandbox.calico import attackers
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.stories import STORIES
from sandbox.deployment import Deployment, Settings, UserProfile
from sandbox.documents import CLUSTER
from sandbox.manifests import EXPORTER_ACCOUNT, FUNCTION_USER, NAMESPACE
from tests.end_to_end.conftest import PATIENCE, audit_records, eventually, fleet_maker, started
from tests.end_to_end.events import event, send
from tests.end_to_end.judged import certifying_profile

pytestmark = pytest.mark.real

RBAC = "/apis/rbac.authorization.k8s.io/v1"
EXPORTER_USER = f"system:serviceaccount:{NAMESPACE}:{EXPORTER_ACCOUNT}"
CERTIFICATES = "certificates.k8s.io"
CERTIFYING = "csr-signer.example.com/addresses"
RELEASE = "3.31"
CSRS_OF_RBAC = "certificatesigningrequests"
Right = tuple[str, str, str]

# Each right of the manifests: where its role is, verb, and GROUP/RESOURCE. test_rendered.py has the same list.
SIGN, APPROVE = f"{RBAC}/clusterroles/kms-csr-signer:sign", f"{RBAC}/clusterroles/kms-csr-signer:approve"
ATTEST = f"{RBAC}/namespaces/calico-system/roles/kms-csr-signer:attest"
EXPORT = f"{RBAC}/clusterroles/kms-csr-signer:export"
OF_FUNCTION: list[Right] = [
    (SIGN, "sign", f"{CERTIFICATES}/signers"),
    (SIGN, "patch", f"{CERTIFICATES}/{CSRS_OF_RBAC}/status"),
    (SIGN, "get", f"{CERTIFICATES}/{CSRS_OF_RBAC}"),
    (APPROVE, "approve", f"{CERTIFICATES}/signers"),
    (APPROVE, "patch", f"{CERTIFICATES}/{CSRS_OF_RBAC}/approval"),
    (ATTEST, "get", "/pods"),
]
# Only for a profile that certifies addresses of the host's network.
OF_NODES: Right = (f"{RBAC}/clusterroles/kms-csr-signer:host-addresses", "get", "/nodes")
REPORT = f"{RBAC}/namespaces/default/roles/kms-csr-signer:report"
TO_REPORT: list[Right] = [(ATTEST, "create", "/events"), (REPORT, "create", "/events")]
OF_EXPORTER: list[Right] = [
    (EXPORT, "list", f"{CERTIFICATES}/{CSRS_OF_RBAC}"),
    (EXPORT, "watch", f"{CERTIFICATES}/{CSRS_OF_RBAC}"),
]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything, with the manifests' RBAC and the guards."""
    profile = certifying_profile(tmp_path_factory.mktemp("profile") / "addresses.yaml", RELEASE)
    settings = Settings(
        directory=tmp_path_factory.mktemp("guarded"),
        plane="real",
        release=RELEASE,
        profiles={CERTIFYING: UserProfile(file=profile, release=RELEASE, nodes=True)},
    )
    with started(settings) as running:
        guards.put_in(
            running.world,
            running.directory / "function.json",
            cluster=CLUSTER,
            function=FUNCTION_USER,
            signer_name=running.signer.signer_name,
        )
        yield running


@pytest.fixture(scope="module")
def observer(deployment: Deployment) -> Iterator[Observer]:
    """Sees how every CSR ends."""
    with Observer(deployment.api, deployment.signer.signer_name) as observer:
        yield observer


@pytest.fixture(scope="module")
def make_fleet(deployment: Deployment) -> Iterator[Callable[..., Fleet]]:
    """Pods with tokens and prepared requests; `submit` files them."""
    with KeyPool() as keys:
        yield fleet_maker(deployment, keys)


@pytest.fixture(scope="module")
def alone(deployment: Deployment) -> Iterator[Deployment]:
    """The function without exporter: it hears what the test tells it."""
    deployment.kill_exporter()
    yield deployment
    deployment.start_exporter()


@pytest.fixture
def tell(deployment: Deployment) -> Iterator[Callable[[Any], int]]:
    """Sends the function the event about a submission; returns the answer's status."""
    with urllib3.PoolManager(retries=False) as pool:
        yield lambda submission: send(pool, deployment, event(submission))


@contextmanager
def without(deployment: Deployment, right: Right) -> Iterator[None]:
    """Takes one right away, until the API server acts on it, and gives it back."""
    path, verb, resource = right
    group, _, plural = resource.partition("/")
    role = deployment.api.get(path)
    rules = role["rules"]
    kept = [
        {**rule, "verbs": verbs}
        for rule in rules
        if (
            verbs := [
                each
                for each in rule["verbs"]
                if each != verb or rule["apiGroups"] != [group] or plural not in rule["resources"]
            ]
        )
    ]
    assert sum(len(rule["verbs"]) for rule in kept) == sum(len(rule["verbs"]) for rule in rules) - 1
    deployment.api.patch(path, {"rules": kept})
    eventually(lambda: not allowed(deployment, right))
    try:
        yield
    finally:
        deployment.api.patch(path, {"rules": rules})
        eventually(lambda: allowed(deployment, right))


def allowed(deployment: Deployment, right: Right) -> bool:
    """What the authorizer says now."""
    path, verb, resource = right
    group, _, plural = resource.partition("/")
    name, _, part = plural.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": name,
        "subresource": part,
        "namespace": {ATTEST: "calico-system", REPORT: "default"}.get(path, ""),
        "name": deployment.signer.signer_name if name == "signers" else "",
    }
    user = EXPORTER_USER if path == EXPORT else FUNCTION_USER
    review = {"spec": {"user": user, "resourceAttributes": attributes}}
    answer = deployment.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_no_right_is_left_out(deployment: Deployment) -> None:
    """The rights that are tried here are all that the manifests give."""
    found = [
        (f"{collection}/{role['metadata']['name']}", verb, f"{rule['apiGroups'][0]}/{resource}")
        for collection in (
            f"{RBAC}/clusterroles",
            *(f"{RBAC}/namespaces/{namespace}/roles" for namespace in ("calico-system", "default")),
        )
        for role in deployment.api.get(collection, labelSelector="app.kubernetes.io/component")["items"]
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert sorted(found) == sorted([*OF_FUNCTION, OF_NODES, *TO_REPORT, *OF_EXPORTER])


def issued(deployment: Deployment, name: str) -> bool:
    """Whether a CSR has its certificate."""
    return "certificate" in deployment.api.get(csr_path(name))["status"]


def test_every_component_is_issued(make_fleet: Callable[..., Fleet], observer: Observer) -> None:
    """From the pod's CSR to its certificate, by the exporter's events, under all policies."""
    fleet = make_fleet(12)
    fleet.submit()
    uids = [submission.uid for submission in fleet.submissions]
    assert observer.wait(uids, PATIENCE)
    assert {observer.observations()[uid].state for uid in uids} == {"Approved,Issued"}


def denied(deployment: Deployment, number: int) -> attackers.Filed:
    """A CSR that only the function can refuse: its name and requester are in order, its content is not."""
    story = next(story for story in STORIES if story.name == "hidden extension")
    release, signer_name = deployment.settings.release, deployment.signer.signer_name
    (attack,) = attackers.prepare(
        deployment.world, signer_name, release=release, stories=[story], seed=number, prefix=f"denied{number}"
    )
    return attackers.file(deployment.world, attack)


def test_a_refusal_creates_an_event_on_csr_and_pod(deployment: Deployment, observer: Observer) -> None:
    """The CSR is Denied, the policies allow both Events, and they are found as `kubectl describe` looks for them."""
    filed = denied(deployment, 1)
    assert observer.wait([filed.uid], PATIENCE)
    assert observer.observations()[filed.uid].state == "Denied"
    eventually(lambda: reported(deployment, filed) == {"CertificateSigningRequest", "Pod"})


def reported(deployment: Deployment, filed: attackers.Filed) -> set[str]:
    """The kinds of objects on which there is an Event: the CSR, the pod."""
    pod, name = filed.attacker.pod, filed.attacker.csr["metadata"]["name"]
    wanted = (
        {"kind": "CertificateSigningRequest", "name": name, "namespace": "", "uid": filed.uid},
        {"kind": "Pod", "name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
    )
    found = set()
    for fields in wanted:
        selector = ",".join(f"involvedObject.{field}={value}" for field, value in fields.items())
        found |= {
            each["involvedObject"]["kind"]
            for each in deployment.api.get("/api/v1/events", fieldSelector=selector)["items"]
        }
    return found


@pytest.mark.parametrize("right", OF_FUNCTION, ids=lambda right: f"{right[1]} {right[2]}")
def test_the_function_needs_every_right(
    alone: Deployment, make_fleet: Callable[..., Fleet], tell: Callable[[Any], int], right: Right
) -> None:
    """Without it nothing is issued and the operator is told which is missing; with it again, it is.

    What is missing for every CSR holds up all of them (503), what concerns one signer or one namespace its own (500).
    """
    fleet = make_fleet(1)
    fleet.submit()
    (submission,) = fleet.submissions
    with without(alone, right):
        assert tell(submission) == (503 if right[1:] == ("get", f"{CERTIFICATES}/{CSRS_OF_RBAC}") else 500)
        assert not issued(alone, submission.name)
        (fault,) = [
            each
            for each in audit_records(alone.log("function"))
            if each["csr_uid"] == submission.uid and each["event"] == "fault"
        ]
        # What the API server says of one pod is quoted and cut: its user's name is long.
        told = f"must have the right to {right[1]} " if right[2] != "/pods" else r"cannot get resource \"pods"
        assert told in str(fault["message"])
        assert FUNCTION_USER in str(fault["message"])
        assert fault["severity"] == "ERROR"
    eventually(lambda: tell(submission) < 300)
    assert issued(alone, submission.name)


def test_the_function_needs_the_right_to_read_nodes(
    alone: Deployment, make_fleet: Callable[..., Fleet], tell: Callable[[Any], int]
) -> None:
    """Where a profile certifies the host's addresses; the same pods of the shipped profile are issued without it."""
    fleet, without_addresses = make_fleet(1, signer_name=CERTIFYING), make_fleet(1)
    fleet.submit()
    without_addresses.submit()
    (submission,), (other,) = fleet.submissions, without_addresses.submissions
    assert submission.member.component.host_network
    with without(alone, OF_NODES):
        assert tell(submission) >= 400
        assert not issued(alone, submission.name)
        assert tell(other) < 300
    eventually(lambda: tell(submission) < 300)
    assert issued(alone, submission.name)


@pytest.mark.parametrize("right", TO_REPORT, ids=["on pods", "on CSRs"])
def test_the_function_needs_the_right_to_report(alone: Deployment, tell: Callable[[Any], int], right: Right) -> None:
    """Without it the CSR is refused all the same, and only the other object has its Event."""
    kind = "Pod" if right[0] == ATTEST else "CertificateSigningRequest"
    numbers = itertools.count(10 + 10 * TO_REPORT.index(right))
    with without(alone, right):
        silent = denied(alone, next(numbers))
        tell(Named(silent))
        assert alone.api.get(csr_path(silent.attacker.csr["metadata"]["name"]))["status"]["conditions"]
        assert reported(alone, silent) == {"CertificateSigningRequest", "Pod"} - {kind}
    told = denied(alone, next(numbers))
    tell(Named(told))
    assert reported(alone, told) == {"CertificateSigningRequest", "Pod"}


class Named:
    """What an event says of an attack."""

    def __init__(self, filed: attackers.Filed) -> None:
        self.name = filed.attacker.csr["metadata"]["name"]
        self.uid = filed.uid


@pytest.mark.parametrize("right", OF_EXPORTER, ids=lambda right: f"{right[1]} {right[2]}")
def test_the_exporter_needs_every_right(
    alone: Deployment, make_fleet: Callable[..., Fleet], observer: Observer, right: Right
) -> None:
    """Without it the exporter says that it is forbidden; with it again, it goes on by itself."""
    fleet = make_fleet(1)
    log = alone.log("exporter")
    with without(alone, right):
        before = log.stat().st_size
        alone.start_exporter()
        eventually(lambda: b"403" in log.read_bytes()[before:])
        fleet.submit()
        (submission,) = fleet.submissions
        if right[1] == "list":
            assert not issued(alone, submission.name)
    try:
        assert observer.wait([submission.uid], PATIENCE)
        assert observer.observations()[submission.uid].state == "Approved,Issued"
    finally:
        alone.kill_exporter()
