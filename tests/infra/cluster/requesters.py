"""Pods with tokens in a control plane that has the manifests: those whom the guards let file CSRs, and others."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import CSRS, NAMESPACES, Api, ApiError, csr_path
from sandbox.calico.components import CALICO_SYSTEM, components
from sandbox.calico.world import Pod, World
from tests.infra.cluster.csrs import SIGNER_NAME, csr_document
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASE = "3.31"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """A pod and what it can do with its token.

    Attributes:
        api: the API server as the pod sees it.
        pod: the pod.
        name: that its CSR must have.
    """

    api: Api
    pod: Pod
    name: str

    def document(self, name: str = "", signer_name: str = SIGNER_NAME) -> dict[str, Any]:
        """A CSR as the pod would file it."""
        return csr_document(name or self.name, signer_name)

    def manifest(self) -> dict[str, Any]:
        """The same for kubectl."""
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            **self.document(),
        }

    def file(self, name: str = "", signer_name: str = SIGNER_NAME) -> dict[str, Any]:
        """Files it."""
        return self.api.post(CSRS, self.document(name, signer_name))


class Requesters:
    """Makes pods of Calico and of others, each with a token that is bound to it, and the right to file CSRs."""

    def __init__(self, api: Api) -> None:
        self.world = World(api)
        self.world.create(components(RELEASE))
        self._numbers = itertools.count()

    def calico(self, workload: str = "calico-node") -> Requester:
        """A new pod of a component."""
        (row,) = [each for each in components(RELEASE) if each.workload == workload]
        pod = self.pod(f"{workload}-{next(self._numbers):05}", row.namespace, row.service_account)
        return Requester(api=self.as_pod(pod), pod=pod, name=row.request_name(pod.name))

    def stranger(self, namespace: str = "tenant", service_account: str = "builder", name: str = "") -> Requester:
        """A new pod of another service account, which somebody allowed to file CSRs."""
        self.world.add_namespace(namespace)
        self.world.add_service_account(namespace, service_account, binding=f"{namespace}-{service_account}")
        pod = self.pod(name or f"pod-{next(self._numbers):05}", namespace, service_account)
        return Requester(api=self.as_pod(pod), pod=pod, name=f"node-certs:{pod.name}")

    def pod(self, name: str, namespace: str = CALICO_SYSTEM, service_account: str = "calico-node") -> Pod:
        """A pod that nothing runs."""
        spec = {"serviceAccountName": service_account, "containers": [{"name": "main", "image": "image"}]}
        made = self.world.api.post(f"{NAMESPACES}/{namespace}/pods", {"metadata": {"name": name}, "spec": spec})
        return Pod(
            name=name,
            namespace=namespace,
            service_account=service_account,
            uid=made["metadata"]["uid"],
            node="",
            addresses=(),
        )

    def as_pod(self, pod: Pod) -> Api:
        """The API server as a pod sees it."""
        return self.world.api.with_token(self.world.token(pod.namespace, pod.service_account, pod))

    def unbound(self, namespace: str, service_account: str) -> Api:
        """The API server as the bearer of a token that is bound to no pod."""
        return self.world.api.with_token(self.world.token(namespace, service_account))


def condition(kind: str, message: str = "of a test") -> dict[str, str]:
    """A condition as the function writes it."""
    return {"type": kind, "status": "True", "reason": "Test", "message": message}


def decide(api: Api, name: str, kind: str, subresource: str = "approval") -> dict[str, Any]:
    """Adds a condition, as somebody who may read CSRs."""
    csr = api.get(csr_path(name))
    csr["status"]["conditions"] = [*csr["status"].get("conditions", []), condition(kind)]
    return write(api, csr, subresource)


def write(api: Api, csr: dict[str, Any], subresource: str) -> dict[str, Any]:
    """Writes a CSR that was read and changed, by the kind of patch that the function writes by."""
    metadata = {key: value for key, value in csr["metadata"].items() if key != "managedFields"}
    body = {"metadata": metadata, "status": csr["status"]}
    return api.patch(csr_path(metadata["name"], subresource), body, "strategic-merge")


def refusal(call: Callable[[], object]) -> str:
    """The policy's words; fails where the call succeeds, or is refused by somebody else."""
    with pytest.raises(ApiError, match=r"ValidatingAdmissionPolicy .*kms-csr-signer-") as refused:
        call()
    return refused.value.message.partition("denied request: ")[2]


def until_refused(policy: str, call: Callable[[], object]) -> None:
    """Waits until a policy is in force: the API server takes new ones up in its own time."""

    def refused() -> bool:
        try:
            call()
        except ApiError as error:
            if f"ValidatingAdmissionPolicy '{policy}'" not in error.message:
                raise
            return True
        return False

    _until(refused, f"{policy} does not refuse")


def until_not_refused(call: Callable[[], int]) -> None:
    """Waits until a command succeeds, which is refused as long as a policy is in force."""
    _until(lambda: call() == 0, "it is still refused")


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
