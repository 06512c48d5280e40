"""The manifests on a real API server: accepted by its schema and admission, and its RBAC says what they mean."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.event import on_csr, on_pod
from csr_signer.objects.pod import PodIdentity
from sandbox.api import CSRS, NAMESPACES, Api, ApiError, csr_path
from tests.infra.cluster.csrs import csr_document
from tests.infra.cluster.requesters import Requesters, decide, refusal

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.control_plane.real import RealControlPlane

    Kubectl = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real

FUNCTION = "csr-access-demo@example-project.iam.gserviceaccount.com"
EXPORTER = "system:serviceaccount:kms-csr-signer:csr-exporter"
SIGNER_NAME = "csr-signer.example.com/calico"
CSR = "certificates.k8s.io/certificatesigningrequests"
SIGNERS = "certificates.k8s.io/signers"
NAMESPACE = f"{NAMESPACES}/kms-csr-signer"

# Everything that could matter if one of the two were taken over; each is tried with each verb, everywhere.
VERBS = [
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
    "approve", "sign", "attest", "impersonate", "bind", "escalate", "use",
]  # fmt: skip
RESOURCES = [
    CSR, f"{CSR}/approval", f"{CSR}/status", SIGNERS,
    "certificates.k8s.io/clustertrustbundles", "certificates.k8s.io/podcertificaterequests",
    "/pods", "/pods/status", "/pods/log", "/pods/exec", "/pods/ephemeralcontainers", "/pods/eviction",
    "/secrets", "/configmaps", "/events", "events.k8s.io/events", "/nodes", "/nodes/status", "/nodes/proxy",
    "/namespaces", "/services", "/serviceaccounts", "/serviceaccounts/token", "/users", "/groups",
    "apps/statefulsets", "apps/daemonsets", "coordination.k8s.io/leases",
    "rbac.authorization.k8s.io/roles", "rbac.authorization.k8s.io/rolebindings",
    "rbac.authorization.k8s.io/clusterroles", "rbac.authorization.k8s.io/clusterrolebindings",
    "admissionregistration.k8s.io/validatingwebhookconfigurations",
    "admissionregistration.k8s.io/validatingadmissionpolicies",
    "authorization.k8s.io/subjectaccessreviews", "authentication.k8s.io/tokenreviews",
    "crd.projectcalico.org/globalnetworkpolicies", "operator.tigera.io/installations",
]  # fmt: skip
PLACES = ["", "calico-system", "calico-apiserver", "kms-csr-signer", "kube-system", "default"]
NAMES = {
    SIGNERS: [
        SIGNER_NAME, "", "csr-signer.example.com/*", "csr-signer.example.com/calico2", "csr-signer.example.com/Calico",
        "kubernetes.io/kube-apiserver-client", "kubernetes.io/kubelet-serving", "tigera.io/operator-signer",
    ]
}  # fmt: skip


@pytest.mark.parametrize("folder", ["demo", "databases", "site", "pod"])
def test_dry_run_is_accepted(kubectl: Kubectl, folders: dict[str, Path], folder: str) -> None:
    """`kubectl apply --dry-run=server -k` passes schema, validation and admission, without an unknown field."""
    done = kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(folders[folder]))
    assert done.stdout.count("(server dry run)") >= 4
    # Of the standard `restricted` it breaks these and no other, as namespace.yaml says; the second is new in 1.34.
    assert all(line.startswith("Warning: would violate PodSecurity") for line in done.stderr.splitlines())
    broken = set(re.findall(r"[:,] ([a-z A-Z]+) \(", done.stderr))
    assert broken <= {"host namespaces", "probe or lifecycle host"}
    # What is applied already is not looked at again.
    assert bool(broken) == (folder == "site") or folder == "demo"


@pytest.fixture(scope="module")
def allowed(applied: RealControlPlane, api: Api) -> Callable[..., list[tuple[str, str, str, str]]]:
    """Asks the authorizer which rights a user has that a stranger in the same groups has not."""

    def ask(user: str, *groups: str) -> list[tuple[str, str, str, str]]:
        found = []
        for verb, resource, place in itertools.product(VERBS, RESOURCES, PLACES):
            for name in NAMES.get(resource, [""]):
                attributes = _attributes(verb, resource, place, name)
                review = {"spec": {"user": user, "groups": ["system:authenticated", *groups], **attributes}}
                answer = api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
                if not answer["status"]["allowed"]:
                    continue
                # Some rights are everyone's, or every service account's.
                review["spec"]["user"] = "stranger"
                answer = api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
                if not answer["status"]["allowed"]:
                    found.append((verb, resource, name, place))
        return found

    return ask


def _attributes(verb: str, resource: str, place: str, name: str) -> dict[str, Any]:
    group, _, path = resource.partition("/")
    plural, _, subresource = path.partition("/")
    return {
        "resourceAttributes": {
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": subresource,
            "namespace": place,
            "name": name,
        }
    }


def test_function_may_do_this_and_nothing_else(
    allowed: Callable[..., list[tuple[str, str, str, str]]],
) -> None:
    """Of all verbs on all resources in all places the function has exactly these: nothing else may change."""
    cluster_wide = [
        ("get", CSR, ""),
        ("patch", f"{CSR}/approval", ""),
        ("patch", f"{CSR}/status", ""),
        ("approve", SIGNERS, SIGNER_NAME),
        ("sign", SIGNERS, SIGNER_NAME),
    ]
    assert sorted(allowed(FUNCTION)) == sorted(
        # These resources have no namespace; that a review may name one all the same gives nothing away.
        [(*right, place) for right in cluster_wide for place in PLACES]
        + [("get", "/pods", "", "calico-system"), ("create", "/events", "", "calico-system")]
        + [("create", "/events", "", "default")]
    )


def test_exporter_may_do_this_and_nothing_else(
    allowed: Callable[..., list[tuple[str, str, str, str]]],
) -> None:
    """The exporter lists and watches CSRs; it reads nothing else and writes nothing."""
    groups = ("system:serviceaccounts", "system:serviceaccounts:kms-csr-signer")
    assert sorted(allowed(EXPORTER, *groups)) == sorted(
        (verb, CSR, "", place) for verb in ("list", "watch") for place in PLACES
    )


@pytest.fixture
def function(applied: RealControlPlane) -> Iterator[Api]:
    """The API server as the function's user."""
    with Api.from_kubeconfig(applied.kubeconfig_for(FUNCTION)) as client:
        yield client


def test_function_approves_and_signs_for_its_signer_only(
    api: Api, function: Api, requesters: Requesters, guarded: RealControlPlane
) -> None:
    """Admission lets the function approve and fail CSRs of its signerName, and refuses both for another's."""
    pod = requesters.calico()
    pod.file()
    api.post(CSRS, csr_document("theirs", "another.example.com/calico"))
    decide(function, pod.name, "Approved")
    decide(function, pod.name, "Failed", "status")
    for subresource, kind in (("approval", "Approved"), ("approval", "Denied"), ("status", "Failed")):
        with pytest.raises(ApiError, match=r"403.*signerName \\?\"another\.example\.com/calico"):
            decide(function, "theirs", kind, subresource)
    with pytest.raises(ApiError, match="403"):
        function.delete(csr_path(pod.name))


def test_kubectl_shows_the_functions_events(function: Api, requesters: Requesters, kubectl: Kubectl) -> None:
    """`kubectl describe csr` and `kubectl get events` show what the function writes, with the words at their end.

    No other user takes the names of these Events first.
    """
    pod = requesters.calico()
    pod.file()
    csr = CertificateSigningRequest.from_api(json.dumps(function.get(csr_path(pod.name))).encode(), name=pod.name)
    identity = PodIdentity(
        namespace=pod.pod.namespace,
        service_account=pod.pod.service_account,
        pod_name=pod.pod.name,
        pod_uid=pod.pod.uid,
        node_name=None,
    )
    written = on_csr(csr, about="any", reason="WaitingForOperator", message="enable the key", moment=csr.created)
    for event in (written, on_pod(written, identity)):
        path, foreign = f"{NAMESPACES}/{event.namespace}/events", {**event.to_api(), "source": {}}
        foreign["reportingComponent"] = ""
        assert "only the function" in refusal(
            lambda path=path, foreign=foreign: requesters.world.api.post(path, foreign)  # type: ignore[misc]
        )
        function.post(path, event.to_api())
    for shown in (
        kubectl("describe", "csr", pod.name),
        kubectl("get", "events"),
        kubectl("describe", "pod", pod.pod.name, "--namespace", pod.pod.namespace),
    ):
        (line,) = [line for line in shown.stdout.splitlines() if "WaitingForOperator" in line]
        assert line.endswith("enable the key")


def exporter_pod(render: Callable[[str], list[dict[str, Any]]], name: str) -> dict[str, Any]:
    """The pod that the StatefulSet's controller would make."""
    (stateful_set,) = [each for each in render("demo") if each["kind"] == "StatefulSet"]
    template = stateful_set["spec"]["template"]
    return {"metadata": {"name": name, **template["metadata"]}, "spec": template["spec"]}


def test_quota_lets_the_exporter_run(
    applied: RealControlPlane, api: Api, render: Callable[[str], list[dict[str, Any]]]
) -> None:
    """On a cluster that limits system priorities, the exporter's pods are created only thanks to our quota."""
    pods = f"{NAMESPACE}/pods"
    quota = api.get(f"{NAMESPACE}/resourcequotas/system-cluster-critical")
    hard = quota["spec"]["hard"]
    # What the quota controller writes, which does not run here.
    quota["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    api.put(f"{NAMESPACE}/resourcequotas/system-cluster-critical/status", quota)
    for ordinal in range(2):
        created = api.post(pods, exporter_pod(render, f"csr-exporter-{ordinal}"))
        assert created["spec"]["priority"] == 2_000_000_000

    api.post(NAMESPACES, {"metadata": {"name": "without-quota"}})
    api.post(f"{NAMESPACES}/without-quota/serviceaccounts", {"metadata": {"name": "csr-exporter"}})
    with pytest.raises(ApiError, match=r"insufficient quota to match these scopes"):
        api.post(f"{NAMESPACES}/without-quota/pods", exporter_pod(render, "csr-exporter-0"))
    # The quota is the exporter's: it does not allow any number of critical pods.
    for number in range(2, int(hard["pods"])):
        api.post(pods, exporter_pod(render, f"csr-exporter-{number}"))
    with pytest.raises(ApiError, match=r"403.*exceeded quota"):
        api.post(pods, exporter_pod(render, "one-too-many"))


def test_exporter_service_account_lists(applied: RealControlPlane, api: Api) -> None:
    """With a token of its service account the exporter can list CSRs by signerName and cannot read one."""
    token = api.post(f"{NAMESPACE}/serviceaccounts/csr-exporter/token", {"spec": {"expirationSeconds": 3600}})
    exporter = api.with_token(token["status"]["token"])
    assert exporter.get(CSRS, fieldSelector=f"spec.signerName={SIGNER_NAME}")["kind"] == (
        "CertificateSigningRequestList"
    )
    with pytest.raises(ApiError, match="403"):
        exporter.get(csr_path("any"))
