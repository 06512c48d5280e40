"""Somebody with the token of a calico-node pod, who rewrites what the API server says about pods and nodes.

Its rights are those that the operator gives calico-node's account; nothing of it is a fault of the cluster.
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
# ClusterRole calico-node: the rules about pods and nodes of operator:pkg/render/node.go nodeRole, of which those of
# calico:charts/calico/templates/calico-node-rbac.yaml do not differ.
_RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["pods", "nodes", "namespaces"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "namespaces", "serviceaccounts"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch", "update"]},
    {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]},
)
_ANNOTATION = "cni.projectcalico.org/podIP"  # Calico's own copy of a pod's address


def grant(world: World) -> None:
    """Give calico-node's account its stock rights, as the operator does."""
    world.ensure(f"{_RBAC}/clusterroles", "ClusterRole", {"rules": list(_RULES)}, _NAME, optional=True)
    bound = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _NAME},
        "subjects": [{"kind": "ServiceAccount", "namespace": CALICO_SYSTEM, "name": _NAME}],
    }
    world.ensure(f"{_RBAC}/clusterrolebindings", "ClusterRoleBinding", bound, _NAME, optional=True)


class Intruder:
    """Rewrites the status, addresses above all, of its own pod and node and of all others.

    Args:
        api: The API server as the holder of the token sees it.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def rewrite_pod(self, pod: Pod, addresses: Sequence[str]) -> None:
        """Give a pod other addresses, as its own and as its host's; without any, erase them.

        Calico's annotation is rewritten as well: the right to patch the status covers it.
        """
        first = addresses[0] if addresses else None
        listed = [{"ip": address} for address in addresses] or None
        status = {"podIP": first, "podIPs": listed, "hostIP": first, "hostIPs": listed}
        metadata = {"annotations": {_ANNOTATION: first}}
        path = f"{NAMESPACES}/{pod.namespace}/pods/{quoted(pod.name)}/status"
        self._api.patch(path, {"metadata": metadata, "status": status})

    def tell_of_pod(self, pod: Pod, message: str) -> None:
        """Say something of any length about a pod."""
        path = f"{NAMESPACES}/{pod.namespace}/pods/{quoted(pod.name)}/status"
        self._api.patch(path, {"status": {"message": message}})

    def tell_of_node(self, node: str, message: str) -> None:
        """Say something of any length about a node's network, as calico-node does."""
        condition = {"type": "NetworkUnavailable", "status": "False", "reason": "CalicoIsUp", "message": message}
        self._api.patch(f"{NODES}/{quoted(node)}/status", {"status": {"conditions": [condition]}})

    def rewrite_node(self, node: str, addresses: Sequence[str]) -> None:
        """Give a node other addresses; without any, erase them."""
        listed = [{"type": "InternalIP", "address": address} for address in addresses]
        self._api.patch(f"{NODES}/{quoted(node)}/status", {"status": {"addresses": listed}})
