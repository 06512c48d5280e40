"""What the Kubernetes contract tests have in common: a target, and the objects that they make there."""

from __future__ import annotations

import base64
import functools
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.api import CSRS, NAMESPACES, NODES, Api, ApiError, Json, csr_path
from sandbox.pki import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.control_plane import ControlPlane

SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SIGNER = "signer.example.com/contract"
PREFIX = "authentication.kubernetes.io/"
APPROVED = {"type": "Approved", "status": "True", "reason": "Contract", "message": "approved"}
DENIED = {"type": "Denied", "status": "True", "reason": "Contract", "message": "denied"}
FAILED = {"type": "Failed", "status": "True", "reason": "Contract", "message": "failed"}

real_only = pytest.mark.parametrize("target", [pytest.param("real", marks=pytest.mark.real)], indirect=True)
"""What kube-apiserver does and the double need not do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of the two API servers, and an administrator at it."""

    control_plane: ControlPlane
    api: Api
    forget_history: Callable[[], None]

    def create_csr(self, name: str = "", **changes: Any) -> Json:
        """Create a CSR that is in order, but for the changes."""
        return self.api.post(CSRS, csr(name, **changes))

    def update(self, stored: Json, subresource: str, *, conditions: Sequence[Json] = (), **state: object) -> Json:
        """Put conditions and a certificate, without any precondition."""
        body = {**stored, "metadata": {"name": stored["metadata"]["name"]}}
        body["status"] = {"conditions": list(conditions), **state}
        return self.api.put(csr_path(stored["metadata"]["name"], subresource), body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod with its service account, on a node."""

    namespace: str
    account: str
    node: Json
    pod: Json

    @property
    def path(self) -> str:
        """Where the pod is."""
        return f"{NAMESPACES}/{self.namespace}/pods/{self.pod['metadata']['name']}"

    def reference(self) -> Json:
        """What a token is to be bound to."""
        metadata = self.pod["metadata"]
        return {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}


def unique(prefix: str = "c") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@functools.cache
def request_pem(common_name: str = "contract") -> bytes:
    """A certification request with a P-256 key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


@functools.cache
def certificate_pem(common_name: str = "contract") -> bytes:
    """Any certificate: the API server does not ask whether it belongs to the request."""
    return Authority.create(common_name).certificate_pem


def encoded(data: bytes) -> str:
    """Base64, as byte fields are written in JSON."""
    return base64.b64encode(data).decode()


def csr(name: str = "", *, metadata: Json | None = None, status: Json | None = None, **spec: object) -> Json:
    """A CSR that is in order, but for the changes; a spec field of None is left out."""
    whole = {
        "request": encoded(request_pem()),
        "signerName": SIGNER,
        "usages": ["digital signature", "client auth"],
        **spec,
    }
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name or unique(), **(metadata or {})},
        "spec": {key: value for key, value in whole.items() if value is not None},
        **({} if status is None else {"status": status}),
    }


def make_namespace(api: Api) -> str:
    """Create a namespace and return its path."""
    name = unique("n")
    api.post(NAMESPACES, {"metadata": {"name": name}})
    return f"{NAMESPACES}/{name}"


def make_pod(api: Api, *, scheduled: bool = True) -> Pod:
    """Create a namespace, a node, a service account and a pod of it."""
    namespace, account = make_namespace(api), unique("sa")
    node = api.post(NODES, {"metadata": {"name": unique("node")}})
    api.post(f"{namespace}/serviceaccounts", {"metadata": {"name": account}})
    spec: Json = {"serviceAccountName": account, "containers": [{"name": "c", "image": "image"}]}
    if scheduled:
        spec["nodeName"] = node["metadata"]["name"]
    pod = api.post(f"{namespace}/pods", {"metadata": {"name": unique("p")}, "spec": spec})
    return Pod(namespace=namespace.rpartition("/")[2], account=account, node=node, pod=pod)


def request_token(api: Api, pod: Pod, *, account: str = "", **spec: object) -> str:
    """Ask for a token of the pod's service account, or of another."""
    path = f"{NAMESPACES}/{pod.namespace}/serviceaccounts/{account or pod.account}/token"
    answer = api.post(path, {"spec": spec})
    return str(answer["status"]["token"])


def refusal(call: Callable[[], object]) -> ApiError:
    """What the API server says where it must refuse."""
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


def causes(error: ApiError) -> set[tuple[str, str]]:
    """Field and reason of each cause of a 422."""
    assert error.status == 422, error
    assert isinstance(error.body, dict)
    return {(cause["field"], cause["reason"]) for cause in error.body["details"]["causes"]}
