"""A pod of the run's own, which asks for a certificate as Calico's pods do."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.api import NAMESPACES, csr_path
from sandbox.calico import client
from sandbox.calico.components import Component
from sandbox.calico.keys import generate
from sandbox.calico.render import CertificateManagement, NodePlan, component_pod, pod_object, resolved, variables
from sandbox.calico.world import Pod

if TYPE_CHECKING:
    from sandbox.calico.world import World

ACCOUNT = "csr-acceptance"
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
    made = world.ensure(f"{NAMESPACES}/{workload.namespace}/pods", "Pod", body, name)
    world.remember(csr_path(component.request_name(name)))
    return Pod(
        name=name,
        namespace=workload.namespace,
        service_account=ACCOUNT,
        uid=made["metadata"]["uid"],
        node="",
        addresses=(),
    )


def file(world: World, workload: Workload, pod: Pod, *, request_name: str | None = None) -> dict[str, Any]:
    """Files the pod's CSR with a token that is bound to it, and returns the CSR.

    Args:
        world: The cluster.
        workload: The workload.
        pod: The pod.
        request_name: Another name of the CSR, for an attack.

    Raises:
        ApiError: The API server refused it.
    """
    told = resolved(
        variables(workload.component, workload.management), name=pod.name, namespace=pod.namespace, address=_ADDRESS
    )
    environment = client.Environment.from_variables(told)
    csr = client.new_csr(environment, generate(_KEY))
    csr["metadata"]["name"] = request_name or csr["metadata"]["name"]
    world.remember(csr_path(csr["metadata"]["name"]))
    return client.submit(world.api.with_token(world.token(pod.namespace, ACCOUNT, pod)), csr)
