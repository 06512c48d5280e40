"""The guards on a real API server: each rule lets through what it must, and stops what it must."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import CSRS, NAMESPACES, Api, ApiError, csr_path
from sandbox.managed_fields import nested
from sandbox.pki import Authority
from tests.infra.cluster.csrs import SIGNER_NAME, csr_document
from tests.infra.cluster.manifests import EXAMPLES
from tests.infra.cluster.requesters import (
    Requester,
    Requesters,
    condition,
    decide,
    refusal,
    until_not_refused,
    until_refused,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.control_plane.real import RealControlPlane
    from tests.infra.cluster.conftest import Kubectl

pytestmark = pytest.mark.real

FUNCTION = "csr-access-demo@example-project.iam.gserviceaccount.com"
ANOTHER = "another.example.com/calico"
EXTRA = "--as-user-extra=authentication.kubernetes.io/"
APPROVERS_ONLY = (
    f'only "{FUNCTION}" may approve and deny this CSR; to add one, run signerctl cluster manifests (or signerctl'
    " guards) with --approver USERNAME for each approver, and apply what it writes"
)


@pytest.fixture(scope="module")
def as_user(guarded: RealControlPlane) -> Iterator[Callable[..., Api]]:
    """The API server as a user of any groups."""
    clients: list[Api] = []

    def client(user: str, *groups: str) -> Api:
        clients.append(Api.from_kubeconfig(guarded.kubeconfig_for(user, groups)))
        return clients[-1]

    yield client
    for each in clients:
        each.close()


@pytest.fixture(scope="module")
def function(as_user: Callable[..., Api]) -> Api:
    """The API server as the function's user, with the rights that the manifests give."""
    return as_user(FUNCTION)


@pytest.fixture(scope="module")
def mighty_function(as_user: Callable[..., Api]) -> Api:
    """The same user with every right there is: somebody made it an administrator."""
    return as_user(FUNCTION, "system:masters")


@pytest.fixture(scope="module")
def certificate() -> str:
    """Any certificate, as status.certificate holds it."""
    return base64.b64encode(Authority.create("any").certificate_pem).decode()


def issue(api: Api, name: str, certificate: str) -> dict[str, Any]:
    """Stores a certificate."""
    csr = api.get(csr_path(name))
    csr["status"]["certificate"] = certificate
    return write(api, csr, "status")


# Rule a: create.


@pytest.mark.parametrize("workload", ["calico-node", "calico-typha", "calico-apiserver"])
def test_a_pod_files_its_own_csr(requesters: Requesters, workload: str) -> None:
    """Every component of the profile, under its pod's name, also again after it deleted the one before."""
    pod = requesters.calico(workload)
    first = pod.file()
    pod.api.delete(csr_path(pod.name))
    second = pod.file()
    assert first["metadata"]["name"] == second["metadata"]["name"] == pod.name
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_another_pods_name_is_refused(requesters: Requesters) -> None:
    """A pod files nothing under the name of a pod of the same account, nor of another component, nor any other."""
    pod, victim, typha = requesters.calico(), requesters.calico(), requesters.calico("calico-typha")
    for name in (victim.name, typha.name, f"typha-certs:{pod.pod.name}", f"{pod.name}.", pod.pod.name):
        words = refusal(lambda name=name: pod.file(name))  # type: ignore[misc]
        assert words == f"metadata.name: Invalid value: must be {pod.name}"


def test_a_generated_name_is_refused(requesters: Requesters) -> None:
    """The API server's suffix makes another name of it."""
    pod = requesters.calico()
    document = pod.document()
    document["metadata"] = {"generateName": pod.name}
    assert refusal(lambda: pod.api.post(CSRS, document)) == f"metadata.name: Invalid value: must be {pod.name}"


def test_attack_squatting_a_victims_name(requesters: Requesters) -> None:
    """Nobody takes a name that is a pod's of the profile: with or without a finalizer, for whatever signerName.

    The victim would delete the CSR and file its own; the finalizer would keep it for ever.
    """
    victim = requesters.calico()
    stranger = requesters.stranger()
    for attacker in (stranger, requesters.calico(), requesters.stranger("tenant2", "builder", victim.pod.name)):
        for signer_name in (SIGNER_NAME, ANOTHER, "kubernetes.io/kube-apiserver-client"):
            document = csr_document(victim.name, signer_name)
            document["metadata"]["finalizers"] = ["example.com/mine"]
            assert refusal(lambda d=document, a=attacker: a.api.post(CSRS, d))  # type: ignore[misc]
            del document["metadata"]["finalizers"]
            assert refusal(lambda d=document, a=attacker: a.api.post(CSRS, d))  # type: ignore[misc]
    victim.file()


def test_an_unbound_token_is_refused(requesters: Requesters) -> None:
    """The account's own name does not do: it says nothing of a pod."""
    pod = requesters.calico()
    unbound = requesters.unbound("calico-system", "calico-node")
    assert "must be bound to exactly one pod" in refusal(lambda: unbound.post(CSRS, pod.document()))


def test_an_administrator_is_no_requester(requesters: Requesters) -> None:
    """Not even they file for our signerName; for another's they do, under any name that is not a pod's."""
    api = requesters.world.api
    assert "must be bound" in refusal(lambda: api.post(CSRS, csr_document("any", SIGNER_NAME)))
    api.post(CSRS, csr_document("any", ANOTHER))
    api.post(CSRS, csr_document("someone:else", ANOTHER))


def test_a_service_account_outside_the_profile_is_refused(requesters: Requesters) -> None:
    """The account must be one of the profile's, under any CSR name."""
    stranger = requesters.stranger()
    assert refusal(stranger.file) == "the profile does not name the requester's service account"
    assert refusal(lambda: stranger.file("mine")) == "the profile does not name the requester's service account"


@pytest.mark.parametrize("two", ["pod-name", "pod-uid"])
def test_two_pods_in_one_token_are_refused(requesters: Requesters, kubectl: Kubectl, two: str) -> None:
    """Extras are lists; a token names one pod, and whoever may impersonate may name two."""
    pod = requesters.calico()
    facts = {"pod-name": [pod.pod.name], "pod-uid": [pod.pod.uid]}
    facts[two] = [*facts.pop(two), "more"]
    # TokenRequest makes none, so this is an administrator who impersonates.
    user = ["--as=system:serviceaccount:calico-system:calico-node", "--as-group=system:serviceaccounts"]
    extra = [f"{EXTRA}{key}={value}" for key, values in facts.items() for value in values]
    refused = kubectl("create", "-f", "-", *user, *extra, stdin=json.dumps(pod.manifest()), check=False)
    assert "must be bound to exactly one pod" in refused.stderr
    # With one each it is what a token says.
    kubectl("create", "-f", "-", *user, *extra[:-1], stdin=json.dumps(pod.manifest()))


@pytest.mark.parametrize(
    "metadata",
    [
        {"finalizers": ["example.com/mine"]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "any", "uid": "any"}]},
    ],
)
def test_no_finalizer_can_block_a_deletion(requesters: Requesters, metadata: dict[str, Any]) -> None:
    """A requester cannot add finalizers or owner references to its own CSR, neither at creation nor later."""
    pod = requesters.calico()
    document = pod.document()
    document["metadata"] |= metadata
    assert refusal(lambda: pod.api.post(CSRS, document)) == "metadata: Forbidden: finalizers and ownerReferences"
    pod.file()
    patched = refusal(lambda: requesters.world.api.patch(csr_path(pod.name), {"metadata": metadata}))
    assert patched == "metadata: Forbidden: new finalizers and ownerReferences"
    requesters.world.api.patch(csr_path(pod.name), {"metadata": {"labels": {"people": "may"}}})


def test_attack_a_request_of_910_kb(requesters: Requesters) -> None:
    """As the function, it takes a request up to 16 KiB (counted in base64, which rounds), and labels in bounds."""
    pod = requesters.calico()
    document = pod.document()
    request = base64.b64decode(document["spec"]["request"])
    for size in (910_000, 16_387):
        document["spec"]["request"] = base64.b64encode(request.ljust(size, b"\n")).decode()
        assert refusal(lambda: pod.api.post(CSRS, document)) == "spec.request: Too long: must have at most 16384 bytes"
    document["spec"]["request"] = base64.b64encode(request).decode()
    for metadata in (
        {"labels": {f"label-{number}": "x" for number in range(17)}},
        {"annotations": {f"note-{number}": "x" for number in range(17)}},
        {"annotations": {"note": "x" * 1025}},
    ):
        assert "must have at most 16 labels" in refusal(
            lambda more=metadata: pod.api.post(CSRS, {**document, "metadata": {"name": pod.name, **more}})  # type: ignore[misc]
        )
    document["spec"]["request"] = base64.b64encode(request.ljust(16_384, b"\n")).decode()
    document["metadata"] |= {"labels": {f"label-{number}": "x" for number in range(16)}, "annotations": {"n": "x" * 99}}
    pod.api.post(CSRS, document)


def managed(labels: int, **parts: object) -> list[dict[str, Any]]:
    """What a requester says of managed fields: of an honest CSR with so many labels, and more."""
    names: dict[str, Any] = {".": {}} | {f"f:label-{number}": {} for number in range(labels)}
    fields = {"f:metadata": {"f:labels": names}, "f:spec": {"f:request": {}, "f:signerName": {}, "f:usages": {}}}
    entry = {"manager": "any", "operation": "Update", "apiVersion": "certificates.k8s.io/v1", "fieldsType": "FieldsV1"}
    return [{**entry, "time": "2026-01-01T00:00:00Z", "fieldsV1": fields | parts}]


def test_attack_a_megabyte_of_managed_fields(requesters: Requesters) -> None:
    """The API server keeps what a requester sends of them; in bounds it may, beyond it may not, in width and depth."""
    pod = requesters.calico()
    document = pod.document()
    wrong: list[dict[str, object]] = [
        {"f:spec": {f"f:field-{number}": {} for number in range(9)}},
        {"f:spec": {"f:request": {"f:a": {}}}},
        {"f:metadata": {"f:labels": {"f:a": {"f:b": {}}}}},
        {"f:metadata": {"f:labels": {f"f:{'a' * 329}": {}}}},
        {"f:status": {"f:conditions": {}}},
    ]
    for fields in (managed(50_000), managed(17), managed(1) * 3, *(managed(1, **each) for each in wrong)):
        document["metadata"]["managedFields"] = [{**each, "manager": str(number)} for number, each in enumerate(fields)]
        assert "managedFields: Too long" in refusal(lambda: pod.api.post(CSRS, document))
    with pytest.raises(ApiError, match="managedFields: Too long"):
        pod.api.post(CSRS, nested(pod.manifest(), 9_000))
    document["metadata"]["managedFields"] = managed(16)
    pod.api.post(CSRS, document)


def test_attack_a_megabyte_beside_the_name(requesters: Requesters, function: Api) -> None:
    """The API server keeps generateName where there is a name, of any size: when a CSR is filed, and ever after."""
    pod = requesters.calico()
    document = pod.document()
    document["metadata"]["generateName"] = "x" * 1_300_000
    assert "a generateName of 512" in refusal(lambda: pod.api.post(CSRS, document))
    document["metadata"]["generateName"] = "node-certs:"
    pod.api.post(CSRS, document)
    longer = {"metadata": {"generateName": "x" * 513}}
    assert "a generateName of 512" in refusal(lambda: requesters.world.api.patch(csr_path(pod.name), longer))
    csr = function.get(csr_path(pod.name))
    csr["metadata"]["generateName"] = "other"
    csr["status"]["conditions"] = [condition("Approved")]
    assert "metadata: Forbidden: a change by the function" in refusal(lambda: write(function, csr, "approval"))


def test_attack_swelling_a_victims_csr(requesters: Requesters, function: Api, certificate: str) -> None:
    """Who may change CSRs makes none too large to be read or stored: with labels, annotations or managed fields."""
    api, victim = requesters.world.api, requesters.calico()
    victim.file()
    path = csr_path(victim.name)
    for metadata in (
        {"labels": {f"label-{number}": "x" for number in range(17)}},
        {"annotations": {f"note-{number}": "x" for number in range(17)}},
        {"annotations": {"note": "x" * 1025}},
    ):
        assert "must have at most 16 labels" in refusal(lambda more=metadata: api.patch(path, {"metadata": more}))  # type: ignore[misc]
    for fields in (managed(50_000), managed(17), managed(1) * 17):
        swollen = api.get(path)
        swollen["metadata"]["managedFields"] = [
            {**each, "manager": f"m{number}", "operation": "Apply"} for number, each in enumerate(fields)
        ]
        assert "managedFields: Too long" in refusal(lambda more=swollen: api.put(path, more))  # type: ignore[misc]
    api.patch(path, {"metadata": {"labels": {f"label-{number}": "x" for number in range(16)}}})
    decide(function, victim.name, "Approved")
    issue(function, victim.name, certificate)
    api.patch(path, {"metadata": {"labels": None, "annotations": {"people": "may"}}})


def test_a_csr_that_is_already_too_large_can_be_decided(
    requesters: Requesters, kubectl: Kubectl, function: Api
) -> None:
    """A CSR that grew while a policy was off gets its decision; users can make it smaller, not larger."""
    api, pod, watch = requesters.world.api, requesters.calico(), requesters.calico()
    pod.file()
    watch.file()
    path = csr_path(pod.name)
    kubectl("delete", "validatingadmissionpolicybinding", "kms-csr-signer-decide")
    try:
        large = {"metadata": {"labels": {f"label-{number}": "x" for number in range(100)}, "generateName": "x" * 9999}}
        until_not_refused(lambda: _fails(lambda: api.patch(path, large)))
    finally:
        kubectl("apply", "-k", str(EXAMPLES / "demo"))
    finalizer = {"metadata": {"finalizers": ["a.b/c"]}}
    until_refused("kms-csr-signer-decide", lambda: api.patch(csr_path(watch.name), finalizer, dryRun="All"))
    assert "must have at most 16 labels" in refusal(lambda: api.patch(path, {"metadata": {"labels": {"more": "x"}}}))
    decide(function, pod.name, "Approved")
    api.patch(path, {"metadata": {"labels": None}})


def _fails(call: Callable[[], object]) -> int:
    """Whether a call fails, as a command says it."""
    try:
        call()
    except ApiError:
        return 1
    return 0


# Rule b: delete.


def test_attack_deleting_a_victims_csr(requesters: Requesters) -> None:
    """A service account deletes its own pod's CSR alone, one by one or all at once, and not without a pod."""
    pod, victim = requesters.calico(), requesters.calico()
    victim.file()
    mighty = requesters.stranger("gitops", "deployer")
    requesters.world.ensure(
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "ClusterRoleBinding",
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "gitops", "name": "deployer"}],
        },
        "gitops-deployer-admin",
    )
    unbound = requesters.unbound("calico-system", "calico-node")
    for attacker in (pod.api, mighty.api, unbound):
        assert "only its own pod's CSR" in refusal(lambda a=attacker: a.delete(csr_path(victim.name)))  # type: ignore[misc]
    everything = f"spec.signerName={SIGNER_NAME}"
    assert "only its own pod's CSR" in refusal(lambda: mighty.api.delete(CSRS, fieldSelector=everything))
    assert requesters.world.api.get(csr_path(victim.name))
    victim.api.delete(csr_path(victim.name))


@pytest.mark.parametrize(
    "user",
    [
        "system:kube-controller-manager",
        "system:serviceaccount:kube-system:certificate-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "kubernetes-admin",
    ],
)
def test_controllers_and_people_may_delete_old_csrs(
    requesters: Requesters, as_user: Callable[..., Api], api: Api, user: str
) -> None:
    """The controller manager may delete old CSRs under either of its names, and so may people."""
    pod = requesters.calico()
    pod.file()
    as_user(user, "system:masters").delete(csr_path(pod.name))
    with pytest.raises(ApiError, match="404"):
        api.get(csr_path(pod.name))


def test_others_csrs_are_deleted_as_before(requesters: Requesters, api: Api) -> None:
    """A service account that may delete CSRs does so with those that are not ours."""
    stranger = requesters.stranger()
    stranger.file("not-ours", ANOTHER)
    requesters.calico().api.delete(csr_path("not-ours"))
    with pytest.raises(ApiError, match="404"):
        api.get(csr_path("not-ours"))


# Rule c: decisions.


def test_the_function_approves_and_issues(requesters: Requesters, function: Api, certificate: str) -> None:
    """With the manifests' rights and under all policies."""
    pod = requesters.calico()
    pod.file()
    decide(function, pod.name, "Approved")
    assert issue(function, pod.name, certificate)["status"]["certificate"]


def test_the_function_denies_and_fails(requesters: Requesters, function: Api) -> None:
    """A denial; and a failure after approval."""
    denied, failed = requesters.calico(), requesters.calico()
    denied.file()
    failed.file()
    decide(function, denied.name, "Denied")
    decide(function, failed.name, "Approved")
    decide(function, failed.name, "Failed", "status")
    conditions = [function.get(csr_path(each.name))["status"]["conditions"] for each in (denied, failed)]
    assert [[each["type"] for each in of] for of in conditions] == [["Denied"], ["Approved", "Failed"]]


@pytest.mark.parametrize(
    ("kind", "subresource"), [("Approved", "approval"), ("Denied", "approval"), ("Failed", "status")]
)
def test_only_the_function_and_approvers_decide(requesters: Requesters, kind: str, subresource: str) -> None:
    """An administrator cannot decide CSRs of our signerNames, but can decide those of other signers."""
    pod = requesters.calico()
    pod.file()
    words = refusal(lambda: decide(requesters.world.api, pod.name, kind, subresource))
    assert words == (
        APPROVERS_ONLY if subresource == "approval" else "only the function may write the certificate and Failed"
    )
    requesters.world.api.post(CSRS, csr_document(f"other-{pod.pod.name}", ANOTHER))
    decide(requesters.world.api, f"other-{pod.pod.name}", kind, subresource)


def test_no_certificate_without_approval(requesters: Requesters, function: Api, certificate: str) -> None:
    """Nor beside Denied or Failed: the API server alone would store it."""
    pending, denied, failed = (requesters.calico() for _ in range(3))
    for each in (pending, denied, failed):
        each.file()
    decide(function, denied.name, "Denied")
    decide(function, failed.name, "Approved")
    decide(function, failed.name, "Failed", "status")
    for each in (pending, denied, failed):
        words = refusal(lambda name=each.name: issue(function, name, certificate))  # type: ignore[misc]
        assert words == "status.certificate: Forbidden: a certificate without Approved, or with Denied or Failed"


def test_a_certificate_is_bounded(requesters: Requesters, function: Api, certificate: str) -> None:
    """Leaf and chain up to 64 KiB: everybody who lists CSRs reads them, and Calico's pods watch all."""
    pod = requesters.calico()
    pod.file()
    decide(function, pod.name, "Approved")
    one = base64.b64decode(certificate)
    count = 64 * 1024 // len(one)
    longer, longest = (base64.b64encode(one * number).decode() for number in (count + 1, count))
    assert (
        refusal(lambda: issue(function, pod.name, longer))
        == "status.certificate: Too long: must have at most 65536 bytes"
    )
    assert issue(function, pod.name, longest)


def test_attack_editing_conditions_after_issue(requesters: Requesters, function: Api, certificate: str) -> None:
    """What was decided stays, whoever has the right to approve: no message, no time, no removal, no addition."""
    pod = requesters.calico()
    pod.file()
    decide(function, pod.name, "Approved")
    for change in ({"message": "another"}, {"reason": "Another"}, {"lastUpdateTime": "0001-01-01T00:00:00Z"}):
        csr = function.get(csr_path(pod.name))
        csr["status"]["conditions"][0] |= change
        words = refusal(lambda csr=csr: write(function, csr, "approval"))  # type: ignore[misc]
        assert words == "status.conditions: Forbidden: a change of an existing condition"
    issue(function, pod.name, certificate)
    assert "a new condition of a CSR with a certificate" in refusal(
        lambda: decide(function, pod.name, "Failed", "status")
    )


@pytest.mark.parametrize("wrong", [condition("Reviewed"), condition("Approved", "x" * 4097)])
def test_conditions_are_few_and_short(requesters: Requesters, function: Api, wrong: dict[str, str]) -> None:
    """No other types, and no message of a megabyte, which everybody who lists CSRs would have to read."""
    pod = requesters.calico()
    pod.file()
    csr = function.get(csr_path(pod.name))
    csr["status"]["conditions"] = [wrong]
    assert "must be Approved, Denied or Failed" in refusal(lambda: write(function, csr, "approval"))


def test_attack_an_approver_fails_a_csr(requesters: Requesters, function: Api) -> None:
    """With an approval the API server takes Failed, too, which would stop any certificate: that is no approver's."""
    pod = requesters.calico()
    pod.file()
    words = "only the function may write Failed, through the status subresource"
    assert refusal(lambda: decide(function, pod.name, "Failed", "approval")) == words
    decide(function, pod.name, "Approved")
    assert refusal(lambda: decide(function, pod.name, "Failed", "approval")) == words
    decide(function, pod.name, "Failed", "status")


def test_in_an_emergency_one_rule_is_off(requesters: Requesters, kubectl: Kubectl) -> None:
    """Without its binding an administrator denies what nobody else would; applied again, it is in force again."""
    pod, later = requesters.calico(), requesters.calico()
    pod.file()
    later.file()
    kubectl("delete", "validatingadmissionpolicybinding", "kms-csr-signer-decide")
    try:
        until_not_refused(lambda: kubectl("certificate", "deny", pod.name, check=False).returncode)
    finally:
        kubectl("apply", "-k", str(EXAMPLES / "demo"))
    admin = requesters.world.api
    finalizer = {"metadata": {"finalizers": ["a.b/c"]}}
    until_refused("kms-csr-signer-decide", lambda: admin.patch(csr_path(later.name), finalizer, dryRun="All"))
    assert APPROVERS_ONLY in kubectl("certificate", "deny", later.name, check=False).stderr


@pytest.mark.parametrize("attacker", ["calico-system:calico-node", "gitops:deployer"])
def test_attack_changing_a_csr_between_approval_and_certificate(
    requesters: Requesters, function: Api, as_user: Callable[..., Api], attacker: str
) -> None:
    """Each change makes the function sign once more; service accounts that have the right to change CSRs change none.

    Controllers of kube-system and people do, and a write that changes nothing succeeds.
    """
    pod = requesters.calico()
    pod.file()
    decide(function, pod.name, "Approved")
    path, labelled = csr_path(pod.name), {"metadata": {"labels": {"a": "b"}}}
    mighty = as_user(f"system:serviceaccount:{attacker}", "system:masters")
    for metadata in ({"labels": {"a": "b"}}, {"annotations": {"a": "b"}}, {"generateName": "any"}):
        words = refusal(lambda more=metadata: mighty.patch(path, {"metadata": more}))  # type: ignore[misc]
        assert words == "metadata: Forbidden: a change by a service account"
    unchanged = mighty.get(path)
    mighty.put(path, unchanged)
    renamed = {**unchanged, "metadata": {**unchanged["metadata"], "managedFields": managed(1)}}
    assert "a change by a service account" in refusal(lambda: mighty.put(path, renamed))
    as_user("system:serviceaccount:kube-system:generic-garbage-collector", "system:masters").patch(path, labelled)
    requesters.world.api.patch(path, {"metadata": {"labels": None}})


# Rule d: the function's identity.


def test_attack_the_function_touches_anothers_csr(
    requesters: Requesters, mighty_function: Api, certificate: str
) -> None:
    """With all rights it still decides nothing for a signerName that is not its own."""
    name = f"theirs-{requesters.calico().pod.name}"
    requesters.world.api.post(CSRS, csr_document(name, ANOTHER))
    for kind, subresource in (("Approved", "approval"), ("Denied", "approval"), ("Failed", "status")):
        words = refusal(lambda k=kind, s=subresource: decide(mighty_function, name, k, s))  # type: ignore[misc]
        assert words == "the function may decide only CSRs of its own signerNames"
    assert "of its own signerNames" in refusal(lambda: issue(mighty_function, name, certificate))
    labelled = {"metadata": {"labels": {"a": "b"}}}
    for subresource in ("approval", "status"):
        path = csr_path(name, subresource)
        assert "own signerNames" in refusal(lambda p=path: mighty_function.patch(p, labelled, "strategic-merge"))  # type: ignore[misc]


def test_the_function_writes_nothing_else(requesters: Requesters, mighty_function: Api) -> None:
    """With all rights it creates, changes and deletes nothing, and gets no token of anybody's."""
    pod = requesters.calico()
    pod.file()
    accounts = f"{NAMESPACES}/calico-system/serviceaccounts"
    attempts: list[Callable[[], object]] = [
        lambda: mighty_function.post(CSRS, csr_document("any-of-function", ANOTHER)),
        lambda: mighty_function.delete(csr_path(pod.name)),
        lambda: mighty_function.post(NAMESPACES, {"metadata": {"name": "mine"}}),
        lambda: mighty_function.post(f"{accounts}/calico-node/token", {"spec": {}}),
        lambda: mighty_function.delete(f"{NAMESPACES}/calico-system/pods/{pod.pod.name}"),
        lambda: mighty_function.patch(f"{NAMESPACES}/calico-system/pods/{pod.pod.name}/status", {"status": {}}),
        lambda: mighty_function.post(
            "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "mine"}, "rules": []}
        ),
    ]
    for attempt in attempts:
        assert refusal(attempt) == "the function may write only decisions on CSRs and Events on CSRs and pods"
    assert "its own signerNames" in refusal(
        lambda: mighty_function.patch(csr_path(pod.name), {"metadata": {"labels": {"a": "b"}}})
    )


@pytest.mark.usefixtures("requesters")
def test_no_policy_guards_the_policies(mighty_function: Api) -> None:
    """A limit of the API server's, which docs/guards.md tells of: it asks no policy about policies and bindings."""
    for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}/kms-csr-signer-function"
        mighty_function.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})
        assert mighty_function.get(path)["metadata"]["name"] == "kms-csr-signer-function"  # a dry run deletes nothing


def test_the_function_changes_no_metadata(requesters: Requesters, function: Api) -> None:
    """Labels and annotations are not its business, also where they would ride on a decision."""
    pod = requesters.calico()
    pod.file()
    for field in ("labels", "annotations"):
        csr = function.get(csr_path(pod.name))
        csr["metadata"][field] = {"a": "b"}
        csr["status"]["conditions"] = [condition("Approved")]
        words = refusal(lambda csr=csr: write(function, csr, "approval"))  # type: ignore[misc]
        assert words == "metadata: Forbidden: a change by the function"


def event(pod: Requester, **changes: Any) -> dict[str, Any]:
    """An Event on a pod as the function writes it."""
    involved = {
        "apiVersion": "v1", "kind": "Pod", "namespace": pod.pod.namespace, "name": pod.pod.name, "uid": pod.pod.uid,
    }  # fmt: skip
    return {
        "metadata": {"name": f"{uuid.uuid4()}.pod.any"},
        "involvedObject": involved,
        "type": "Warning",
        "reason": "Any",
        "message": "x" * 1024,
        "source": {"component": "kms-csr-signer"},
        "reportingComponent": "kms-csr-signer",
        "reportingInstance": "kms-csr-signer",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        **changes,
    }


def on_pod(pod: Requester, **changes: Any) -> dict[str, Any]:
    """What an Event on a pod involves."""
    return {"involvedObject": event(pod)["involvedObject"] | changes}


def on_csr(name: str, **changes: Any) -> dict[str, Any]:
    """What an Event on a CSR involves."""
    involved = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "name": name, **changes}
    return {"involvedObject": involved}


def test_the_function_writes_events_only_on_pods_and_csrs(
    requesters: Requesters, function: Api, mighty_function: Api
) -> None:
    """It may write warnings in its own name: about pods in the profile's namespaces, and about their CSRs in `default`.

    It also asks who it is, and what it may.
    """
    pod = requesters.calico()
    of_pods, of_csrs = (f"{NAMESPACES}/{namespace}/events" for namespace in ("calico-system", "default"))
    function.post(of_pods, event(pod))
    function.post(of_csrs, event(pod, **on_csr(pod.name)))
    in_default = {"involvedObject": {"kind": "Pod", "namespace": "default", "name": "any"}}
    stranger = requesters.stranger()
    wrong: list[tuple[Api, str, dict[str, Any]]] = [
        (function, of_pods, {"involvedObject": {"kind": "Node", "namespace": "calico-system"}}),
        (function, of_pods, on_pod(pod, apiVersion="evil.io/v1")),
        (function, of_pods, on_pod(pod, name="a" * 254)),
        (function, of_pods, on_pod(pod, name="<b>click here")),
        (function, of_csrs, on_csr("csr-of-a-kubelet")),
        (function, of_csrs, on_csr(f"node-certs:{'a' * 60_000}")),
        (function, of_csrs, on_csr(pod.name, apiVersion="v1")),
        (function, of_csrs, on_csr(pod.name, kind="Node")),
        (function, of_csrs, on_csr(pod.name, namespace="default")),
        (function, of_csrs, in_default),
        (mighty_function, f"{NAMESPACES}/kube-system/events", on_csr(pod.name, namespace="kube-system")),
        (mighty_function, f"{NAMESPACES}/tenant/events", event(stranger)),
    ]
    for api, path, changes in wrong:
        words = refusal(lambda api=api, path=path, changes=changes: api.post(path, event(pod, **changes)))  # type: ignore[misc]
        assert "only on requesters' pods and CSRs" in words, changes

    for api, path, changes in (
        (function, of_pods, {"type": "Normal"}),
        (function, of_pods, {"source": {"component": "kubelet"}}),
        (function, of_pods, {"source": {"component": "kms-csr-signer", "host": "any"}}),
        (function, of_pods, {"reportingComponent": "kubelet"}),
        (function, of_pods, {"reportingInstance": "x" * 129}),
        (function, of_csrs, {**on_csr(pod.name), "type": "Normal"}),
        (function, of_csrs, {**on_csr(pod.name), "source": {"component": "kubelet"}}),
    ):
        words = refusal(lambda api=api, path=path, changes=changes: api.post(path, event(pod, **changes)))  # type: ignore[misc]
        assert "only as warnings, in its own name" in words, changes
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = function.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert answer["status"]["userInfo"]["username"] == FUNCTION
    attributes = {"verb": "get", "group": "certificates.k8s.io", "resource": "certificatesigningrequests"}
    access = {"spec": {"resourceAttributes": attributes}}
    assert function.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", access)["status"]["allowed"]


@pytest.mark.parametrize(
    "more",
    [
        {"generateName": "any."},
        {"labels": {"a": "b"}},
        {"annotations": {"a": "x" * 200_000}},
        {"finalizers": ["a.b/c"]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "any", "uid": "any"}]},
    ],
    ids=lambda more: next(iter(more)),
)
def test_attack_metadata_of_an_event(requesters: Requesters, function: Api, more: dict[str, Any]) -> None:
    """A thief of the function's token cannot keep an Event for ever, or fill etcd beside its message."""
    document = event(requesters.calico())
    document["metadata"] |= more
    assert "only with the fields that it needs" in refusal(lambda: post_event(function, document))


@pytest.mark.parametrize(
    "more",
    [
        {"related": {"kind": "Node", "name": "any"}},
        {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}},
        {"action": "x" * 900_000},
        {"involvedObject": {"fieldPath": "x" * 900_000}},
        {"involvedObject": {"resourceVersion": "x" * 900_000}},
    ],
    ids=["related", "series", "action", "fieldPath", "resourceVersion"],
)
def test_attack_fields_of_an_event(requesters: Requesters, function: Api, more: dict[str, Any]) -> None:
    """The API server stores each of them, of any size."""
    pod = requesters.calico()
    document = event(pod, **more | on_pod(pod, **more.get("involvedObject", {})))
    assert "only with the fields that it needs" in refusal(lambda: post_event(function, document))


@pytest.mark.parametrize(
    "more",
    [{"message": "x" * 1025}, {"message": "x" * 900_000}, {"reason": "x" * 129}, {"involvedObject": {"uid": "x" * 37}}],
    ids=["1,025 characters", "900 kB", "reason", "uid"],
)
def test_attack_megabytes_in_an_event(requesters: Requesters, function: Api, more: dict[str, Any]) -> None:
    """Each Event is small, so that a thief of the function's token needs very many of them to fill etcd."""
    pod = requesters.calico()
    document = event(pod, **more | on_pod(pod, **more.get("involvedObject", {})))
    assert "a message of at most 1024 characters" in refusal(lambda: post_event(function, document))


@pytest.mark.parametrize(
    "fields",
    [
        {f"f:field-{number}": {} for number in range(50_000)},
        {"f:" + "a" * 900_000: {}},
        {"f:source": {f"f:{number}": {} for number in range(50_000)}},
        {"f:source": {"f:" + "a" * 900_000: {}}},
        {"f:source": {"f:any": {"f:a": {}}}},
    ],
    ids=["wide", "long", "wide below", "long below", "deep"],
)
def test_attack_megabytes_in_the_managed_fields_of_an_event(
    requesters: Requesters, function: Api, fields: dict[str, Any]
) -> None:
    """The API server keeps what the sender says of them, in its own entry or in more entries."""
    pod = requesters.calico()
    (entry,) = post_event(function, event(pod))["metadata"]["managedFields"]
    for manager in (entry["manager"], "any"):
        document = event(pod)
        document["metadata"]["managedFields"] = [{**entry, "manager": manager, "fieldsV1": fields}]
        assert "a message of at most 1024 characters" in refusal(lambda more=document: post_event(function, more))  # type: ignore[misc]


def post_event(api: Api, document: dict[str, Any]) -> dict[str, Any]:
    """Writes an Event on a pod."""
    return api.post(f"{NAMESPACES}/calico-system/events", document)


# Rule f: the function's Events.


def test_attack_an_event_of_the_function_that_another_user_writes(requesters: Requesters, function: Api) -> None:
    """The function would take it for its own, and stay silent. No user writes one, by either API, nor changes one."""
    admin, pod = requesters.world.api, requesters.calico()
    core, newer = (f"{api}/namespaces/default/events" for api in ("/api/v1", "/apis/events.k8s.io/v1"))
    foreign = {"source": {"component": "kubelet"}, "reportingComponent": "kubelet", **on_csr(pod.name)}
    of_newer = {
        "regarding": on_csr(pod.name)["involvedObject"], "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Any",
        "reason": "Any", "type": "Warning", "reportingController": "kubelet", "reportingInstance": "any",
    }  # fmt: skip
    uid, others = uuid.uuid4(), {"metadata": {"name": f"{pod.pod.name}.any"}}
    for path, document in (
        (core, event(pod, **foreign, metadata={"name": f"{uid}.csr.refused"})),
        (core, event(pod, **foreign, metadata={"name": f"{uid}.pod.waitingforoperator"})),
        (core, event(pod, **others, **on_csr(pod.name), reportingComponent="")),
        (core, event(pod, **others, **on_csr(pod.name), source={})),
        (newer, {**of_newer, "metadata": {"name": f"{uid}.csr.refused"}}),
        (newer, {**of_newer, **others, "reportingController": "kms-csr-signer"}),
    ):
        words = refusal(lambda path=path, document=document: admin.post(path, document))  # type: ignore[misc]
        assert words == "only the function may write Events of kms-csr-signer, or under such names", document
    mine = event(pod, **on_csr(pod.name))
    function.post(core, mine)
    change = {"metadata": {"annotations": {"a": "b"}}}
    for path in (core, newer):
        of_mine = f"{path}/{mine['metadata']['name']}"
        assert "only the function" in refusal(lambda path=of_mine: admin.patch(path, change))  # type: ignore[misc]
    admin.delete(f"{core}/{mine['metadata']['name']}")
    admin.post(core, event(pod, **foreign, **others))
    admin.patch(f"{core}/{pod.pod.name}.any", {"count": 2})
    admin.post(newer, {**of_newer, "metadata": {"name": f"{pod.pod.name}.another"}})


def test_other_users_are_not_the_functions_business(requesters: Requesters) -> None:
    """Where another approves and signs, other labels and other objects are as before."""
    api = requesters.world.api
    name = f"foreign-{requesters.calico().pod.name}"
    api.post(CSRS, csr_document(name, ANOTHER))
    api.patch(csr_path(name), {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/theirs"]}})
    api.patch(csr_path(name), {"metadata": {"finalizers": None}})
    api.post(CSRS, csr_document(f"node-certs:{'a' * 60_000}", ANOTHER))
    api.delete(csr_path(name))
    with pytest.raises(ApiError, match="404"):
        api.get(csr_path(name))
