"""Who the API server says that a requester is: what every decision of a signer rests on."""

import base64
from typing import Any

import pytest

from sandbox.api import CSRS, NAMESPACES, Api
from tests.contract.kubernetes.support import (
    ACCESS_REVIEWS,
    PREFIX,
    SELF_REVIEWS,
    Pod,
    Target,
    csr,
    make_pod,
    real_only,
    refusal,
    request_token,
    unique,
)


def test_a_bound_token_puts_pod_and_node_into_the_csr(target: Target, pod: Pod) -> None:
    """A CSR made with a pod-bound token says which pod, which node, and which token asked."""
    token = request_token(target.api, pod, boundObjectRef=pod.reference())
    made = target.api.with_token(token).post(CSRS, csr())
    account = target.api.get(f"{NAMESPACES}/{pod.namespace}/serviceaccounts/{pod.account}")
    spec = made["spec"]
    assert spec["username"] == f"system:serviceaccount:{pod.namespace}:{pod.account}"
    assert spec["uid"] == account["metadata"]["uid"]
    assert set(spec["groups"]) == {
        "system:serviceaccounts",
        f"system:serviceaccounts:{pod.namespace}",
        "system:authenticated",
    }
    (credential,) = spec["extra"].pop(f"{PREFIX}credential-id")
    assert credential.startswith("JTI=")
    assert spec["extra"] == {
        f"{PREFIX}pod-name": [pod.pod["metadata"]["name"]],
        f"{PREFIX}pod-uid": [pod.pod["metadata"]["uid"]],
        f"{PREFIX}node-name": [pod.node["metadata"]["name"]],
        f"{PREFIX}node-uid": [pod.node["metadata"]["uid"]],
    }


def test_an_unscheduled_pods_token_names_no_node(target: Target) -> None:
    """Without nodeName there is nothing to say about a node."""
    pod = make_pod(target.api, scheduled=False)
    token = request_token(target.api, pod, boundObjectRef=pod.reference())
    made = target.api.with_token(token).post(CSRS, csr())
    assert set(made["spec"]["extra"]) == {PREFIX + key for key in ("credential-id", "pod-name", "pod-uid")}


def test_an_unbound_token_names_no_pod(target: Target, pod: Pod) -> None:
    """A token that is bound to nothing proves a service account and no pod."""
    made = target.api.with_token(request_token(target.api, pod)).post(CSRS, csr())
    assert set(made["spec"]["extra"]) == {f"{PREFIX}credential-id"}


def test_two_tokens_of_a_pod_have_two_credential_ids(target: Target, pod: Pod) -> None:
    """The credential-id is the token's own, not the pod's."""
    tokens = [request_token(target.api, pod, boundObjectRef=pod.reference()) for _ in range(2)]
    made = [target.api.with_token(token).post(CSRS, csr()) for token in tokens]
    first, second = (each["spec"]["extra"][f"{PREFIX}credential-id"] for each in made)
    assert first != second


def test_what_a_client_claims_about_itself_is_overwritten(target: Target) -> None:
    """Username, uid, groups and extra of a new CSR are the authenticated user's, whatever the body says."""
    claimed: dict[str, Any] = {"username": "victim", "uid": "1", "groups": ["system:masters"], "extra": {"a": ["b"]}}
    kubeconfig = target.control_plane.kubeconfig_for("alice@example.com", ["system:masters", "team"])
    with Api.from_kubeconfig(kubeconfig) as alice:
        made = alice.post(CSRS, csr(**claimed))
    spec = made["spec"]
    assert spec["username"] == "alice@example.com"
    assert "uid" not in spec
    assert spec["groups"] == ["system:masters", "team", "system:authenticated"]
    ((key, (value,)),) = spec["extra"].items()
    assert key == f"{PREFIX}credential-id"
    assert value.startswith("X509SHA256=")


def test_a_self_review_says_the_same_as_the_csr(target: Target, pod: Pod) -> None:
    """SelfSubjectReview answers what would be recorded in a CSR."""
    bearer = target.api.with_token(request_token(target.api, pod, boundObjectRef=pod.reference()))
    reviewed = bearer.post(SELF_REVIEWS, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    made = bearer.post(CSRS, csr())
    recorded = {key: made["spec"][key] for key in ("username", "uid", "groups", "extra")}
    assert reviewed["status"]["userInfo"] == recorded


def test_a_terminating_pods_token_still_holds(target: Target, pod: Pod) -> None:
    """A graceful deletion does not end the token: a signer must look at the pod itself."""
    bearer = target.api.with_token(request_token(target.api, pod, boundObjectRef=pod.reference()))
    target.api.delete(pod.path)
    made = bearer.post(CSRS, csr())
    assert made["spec"]["extra"][f"{PREFIX}pod-uid"] == [pod.pod["metadata"]["uid"]]


@real_only
def test_a_token_is_not_bound_to_another_uid(target: Target, pod: Pod) -> None:
    """A pod of the same name but another uid is another pod: 409."""
    reference = {**pod.reference(), "uid": "00000000-0000-0000-0000-000000000000"}
    refused = refusal(lambda: request_token(target.api, pod, boundObjectRef=reference))
    assert (refused.status, refused.reason) == (409, "Conflict")


def test_a_token_is_not_bound_to_a_pod_that_is_not_there(target: Target, pod: Pod) -> None:
    """No pod, no token bound to it: 404."""
    reference = {**pod.reference(), "name": unique()}
    assert refusal(lambda: request_token(target.api, pod, boundObjectRef=reference)).status == 404


@real_only
def test_a_token_is_not_bound_to_a_pod_of_another_service_account(target: Target, pod: Pod) -> None:
    """Only the account that the pod runs as can have tokens bound to it: 400."""
    other = unique("sa")
    target.api.post(f"{NAMESPACES}/{pod.namespace}/serviceaccounts", {"metadata": {"name": other}})
    refused = refusal(lambda: request_token(target.api, pod, account=other, boundObjectRef=pod.reference()))
    assert (refused.status, refused.reason) == (400, "BadRequest")


def test_a_token_for_another_audience_is_nobody(target: Target, pod: Pod) -> None:
    """A token that was made for somebody else is 401 here."""
    bearer = target.api.with_token(request_token(target.api, pod, audiences=["elsewhere.example.com"]))
    refused = refusal(lambda: bearer.get(CSRS))
    assert (refused.status, refused.reason) == (401, "Unauthorized")


def test_a_changed_token_is_nobody(target: Target, pod: Pod) -> None:
    """Claims that the signature does not cover are 401: here, another service account."""
    head, claims, signature = request_token(target.api, pod).split(".")
    plain = base64.urlsafe_b64decode(claims + "==").replace(pod.account.encode(), b"x" * len(pod.account))
    forged = base64.urlsafe_b64encode(plain).rstrip(b"=").decode()
    assert refusal(lambda: target.api.with_token(f"{head}.{forged}.{signature}").get(CSRS)).status == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "....", "é.e.e", "null"])
def test_a_token_that_is_no_token_is_nobody(target: Target, token: str) -> None:
    """Garbage is 401, also where no identity is needed."""
    bearer = target.api.with_token(token.encode().decode("latin-1"))
    assert refusal(lambda: bearer.get("/version")).status == 401


def test_a_client_certificate_wins_over_a_token(target: Target, pod: Pod) -> None:
    """Who shows both is who the certificate says."""
    kubeconfig = target.control_plane.kubeconfig_for("both", ["system:masters"])
    with Api.from_kubeconfig(kubeconfig) as api:
        api._headers["Authorization"] = f"Bearer {request_token(target.api, pod)}"  # noqa: SLF001 - nobody else wants both
        review = api.post(SELF_REVIEWS, {})
    assert review["status"]["userInfo"]["username"] == "both"


def test_a_user_may_ask_for_its_own_rights(target: Target) -> None:
    """A SelfSubjectAccessReview says whether the user who asks has a right, on all objects or on one of a name."""
    for attributes in (
        {"verb": "patch", "group": "certificates.k8s.io", "resource": "certificatesigningrequests", "subresource": "x"},
        {"verb": "sign", "group": "certificates.k8s.io", "resource": "signers", "name": "signer.example.com/*"},
    ):
        review = target.api.post(ACCESS_REVIEWS, {"spec": {"resourceAttributes": attributes}})
        assert review["kind"] == "SelfSubjectAccessReview"
        assert review["spec"] == {"resourceAttributes": attributes}
        assert review["status"]["allowed"] is True
