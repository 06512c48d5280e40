"""The objects of the tigera operator and kubelet: nodes, pods, and the init container's variables."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.calico.components import Component

OURS = {"app.kubernetes.io/managed-by": "kms-csr-signer-sandbox"}
"""The label of all objects that the sandbox creates."""
CLIENT = "-key-cert-provisioner"
"""The end of the name of each init container that runs Calico's client; the start is the volume's name."""

# Prevents a real cluster's scheduler from using these nodes, which have no machine.
_TAINT = {"key": "kms-csr-signer.example.com/sandbox", "value": "true", "effect": "NoSchedule"}
_DOWNWARD = {"POD_IP": "status.podIP", "POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateManagement:
    """`Installation.spec.certificateManagement`: a cluster has one; the sandbox may mix several.

    Attributes:
        signer_name: The signerName of the pods' CSRs.
        authority_pem: caCert, the CAs that the pods trust.
        key_algorithm: keyAlgorithm; empty for the default.
        signature_algorithm: signatureAlgorithm; empty for the default.
    """

    signer_name: str
    authority_pem: bytes = b""
    key_algorithm: str = ""
    signature_algorithm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """A planned node: its name and internal addresses."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlan:
    """A planned pod.

    Attributes:
        name: Its name.
        namespace: Its namespace.
        service_account: Its service account.
        node: Its node.
        addresses: Its addresses, the primary one first; empty if kubelet has not reported them yet.
        host_network: Whether it uses the host network.
        init_container: Name and variables of the container that requests a certificate, if it has one.
        volumes: Its volumes for key pairs that no init container fills.
    """

    name: str
    namespace: str
    service_account: str
    node: str
    addresses: tuple[str, ...]
    host_network: bool
    init_container: tuple[str, Mapping[str, str]] | None = None
    volumes: tuple[Mapping[str, Any], ...] = ()


def variables(component: Component, management: CertificateManagement) -> dict[str, str]:
    """Returns the variables that the operator sets literally (pkg/tls/certificatemanagement/csr.go)."""
    named = {"SECRET_NAME": component.secret} if component.secret_in_name else {}
    return named | {
        "CERTIFICATE_PATH": "/certs-share/",
        "SIGNER": management.signer_name,
        "COMMON_NAME": component.common_name,
        "KEY_ALGORITHM": management.key_algorithm,
        "SIGNATURE_ALGORITHM": management.signature_algorithm,
        "DNS_NAMES": ",".join(component.dns_names),
        "CA_CERT": base64.urlsafe_b64encode(management.authority_pem).decode(),
        "CA_CERT_NAME": "ca.crt",
        "KEY_NAME": "tls.key",
        "CERT_NAME": "tls.crt",
        "APP_NAME": component.namespace,
    }


def resolved(literal: Mapping[str, str], *, name: str, namespace: str, address: str) -> dict[str, str]:
    """Returns the container's variables, including those that kubelet resolves from the pod."""
    return {**literal, "POD_IP": address, "POD_NAME": name, "POD_NAMESPACE": namespace}


def component_pod(
    component: Component,
    management: CertificateManagement,
    *,
    name: str,
    node: NodePlan,
    addresses: tuple[str, ...],
) -> PodPlan:
    """Plans a pod of a component.

    Args:
        component: The component.
        management: The settings of its certificate.
        name: Its name.
        node: Its node.
        addresses: Its own addresses; unused if the component is on the host network.
    """
    return PodPlan(
        name=name,
        namespace=component.namespace,
        service_account=component.service_account,
        node=node.name,
        addresses=node.addresses if component.host_network else addresses,
        host_network=component.host_network,
        init_container=(f"{component.secret}{CLIENT}", variables(component, management)),
    )


def node_object(plan: NodePlan) -> dict[str, Any]:
    """Returns a node as its kubelet would register it, but unschedulable."""
    addresses = [{"type": "InternalIP", "address": address} for address in plan.addresses]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": plan.name, "labels": {**OURS, "kubernetes.io/hostname": plan.name}},
        "spec": {"unschedulable": True, "taints": [_TAINT]},
        "status": {"addresses": [*addresses, {"type": "Hostname", "address": plan.name}]},
    }


def pod_object(plan: PodPlan) -> dict[str, Any]:
    """Returns a pod as its DaemonSet or Deployment would make it, without owner and `k8s-app` label.

    A real cluster's garbage collector deletes pods with a missing owner, and the controllers of Calico's own DaemonSet
    and Deployments adopt or delete pods with the label.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": plan.name, "namespace": plan.namespace, "labels": OURS},
        "spec": {
            "nodeName": plan.node,
            "serviceAccountName": plan.service_account,
            "hostNetwork": plan.host_network,
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": plan.service_account, "image": f"calico/{plan.service_account}"}],
            **_volumes(plan),
        },
    }


def pod_status(plan: PodPlan, node: NodePlan) -> dict[str, Any]:
    """Returns the status that kubelet reports while the init container runs."""
    status: dict[str, Any] = {
        "phase": "Pending",
        "hostIP": node.addresses[0],
        "hostIPs": [{"ip": address} for address in node.addresses],
    }
    if plan.addresses:
        status["podIP"] = plan.addresses[0]
        status["podIPs"] = [{"ip": address} for address in plan.addresses]
    return {"status": status}


def component_parts(component: Component, management: CertificateManagement) -> dict[str, Any]:
    """Returns the parts of a pod's spec for a component's client."""
    return client_parts(f"{component.secret}{CLIENT}", variables(component, management))


def client_parts(name: str, literal: Mapping[str, str]) -> dict[str, Any]:
    """Returns the parts of a pod's spec for Calico's client: its init container, and the volume that it fills.

    Args:
        name: The init container's name.
        literal: Its variables, from `variables`.
    """
    volume = name.removesuffix(CLIENT)
    downward = [
        {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}} for variable, path in _DOWNWARD.items()
    ]
    container = {
        "name": name,
        "image": "calico/key-cert-provisioner",
        "env": [*({"name": variable, "value": value} for variable, value in literal.items()), *downward],
        "resources": {
            "limits": {"cpu": "10m", "memory": "50Mi"},
            "requests": {"cpu": "10m", "memory": "50Mi"},
        },
        "volumeMounts": [{"name": volume, "mountPath": "/certs-share/"}],
    }
    return {
        "initContainers": [container],
        "volumes": [{"name": volume, "emptyDir": {"medium": "Memory"}}],
    }


def _volumes(plan: PodPlan) -> dict[str, Any]:
    if plan.init_container is None:
        return {"volumes": list(plan.volumes)} if plan.volumes else {}
    return client_parts(*plan.init_container)
