"""A pod of the run's own, which asks for a certificate as Calico's pods do."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.api import CSRS, NAMESPACES, Api, ApiError, csr_path
from sandbox.calico import client
from sandbox.calico.components import Component
from sandbox.calico.keys import generate
from sandbox.calico.render import OURS, CertificateManagement, NodePlan, component_pod, pod_object, resolved, variables
from sandbox.calico.world import Pod

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.calico.world import World

ACCOUNT = "csr-acceptance"
_BINDING_SECONDS, _POLL_SECONDS = 5.0, 0.2
_KEY, _SIGNATURE = "ECDSAWithCurve256", "ECDSAWithSHA256"
_PAUSE = "registry.k8s.io/pause:3.10"
_GATE = "kms-csr-signer.example.com/acceptance"
_ADDRESS = "10.255.255.1"  # Calico's client requests one; the profile omits it


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The run's workload.

    Attributes:
        namespace: Its namespace, which is the run's own.
        signer_name: The signerName of its CSRs.
    """

    namespace: str
    signer_name: str

    @property
    def component(self) -> Component:
        """Returns the workload as a component; the run's profile has the same row."""
        return Component(
            workload=ACCOUNT,
            kind="Deployment",
            secret=ACCOUNT,
            namespace=self.namespace,
            service_account=ACCOUNT,
            common_name=ACCOUNT,
            dns_names=(ACCOUNT,),
            host_network=False,
            release="3.31",
        )

    @property
    def management(self) -> CertificateManagement:
        """Returns the settings of its certificate."""
        return CertificateManagement(signer_name=self.signer_name, key_algorithm=_KEY, signature_algorithm=_SIGNATURE)


def new_namespace() -> str:
    """Returns the name of a namespace that no cluster has."""
    return f"{ACCOUNT}-{secrets.token_hex(3)}"


def create(world: World, workload: Workload, *, image: str | None = None) -> Pod:
    """Creates a pod in the namespace, which must exist with its account.

    Args:
        world: The cluster.
        workload: The workload.
        image: Image of Calico's key-cert-provisioner; without it, a scheduling gate keeps the pod from starting.
    """
    component = workload.component
    name = f"{ACCOUNT}-{secrets.token_hex(3)}"
    nowhere = NodePlan(name="", addresses=())
    body = pod_object(component_pod(component, workload.management, name=name, node=nowhere, addresses=()))
    spec: dict[str, Any] = body["spec"]
    del spec["nodeName"], spec["tolerations"]
    spec["containers"][0]["image"] = _PAUSE
    if image is None:
        spec["schedulingGates"] = [{"name": _GATE}]
    else:
        spec["initContainers"][0]["image"] = image
        world.remember(csr_path(component.request_name(name)))
    made = world.ensure(f"{NAMESPACES}/{workload.namespace}/pods", "Pod", body, name)
    return Pod(
        name=name,
        namespace=workload.namespace,
        service_account=ACCOUNT,
        uid=made["metadata"]["uid"],
        node="",
        addresses=(),
    )


def environment(workload: Workload, pod: Pod) -> client.Environment:
    """Returns the variables of the pod's client, which say what it requests."""
    told = resolved(
        variables(workload.component, workload.management), name=pod.name, namespace=pod.namespace, address=_ADDRESS
    )
    return client.Environment.from_variables(told)


def file(world: World, pod: Pod, requested: client.Environment) -> dict[str, Any]:
    """Files a CSR with a token that is bound to the pod, and returns the CSR.

    Args:
        world: The cluster.
        pod: The pod.
        requested: What the CSR requests; the pod's `environment`, or another one for an attack.

    Raises:
        ApiError: The API server refused it.
    """
    csr = client.new_csr(requested, generate(_KEY))
    csr["metadata"]["labels"] |= OURS
    path = csr_path(requested.request_name)
    world.remember(path, None)
    filed = _create(world.api.with_token(world.token(pod.namespace, ACCOUNT, pod)), csr)
    world.remember(path, filed["metadata"]["uid"])
    return filed


def _create(api: Api, csr: Mapping[str, Any]) -> dict[str, Any]:
    """Creates a CSR; the account's new binding may reach the API server a moment later."""
    end = time.monotonic() + _BINDING_SECONDS
    while True:
        try:
            return api.post(CSRS, csr)
        except ApiError as error:
            if "cannot create resource" not in error.message or time.monotonic() > end:
                raise
        time.sleep(_POLL_SECONDS)
