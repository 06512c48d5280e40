"""A cluster as the tigera operator leaves it, without operator, scheduler or kubelet: API objects alone.

It works on the embedded double and on a real kube-apiserver alike. Everything it makes is labelled, making it
twice changes nothing, and `remove` takes away exactly what was made.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sandbox.api import NAMESPACES, NODES, Api, ApiError, quoted
from sandbox.calico.render import OURS, NodePlan, PodPlan, node_object, pod_object, pod_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sandbox.calico.components import Component

CREATOR_ROLE = "tigera-csr-creator"
TOKEN_SECONDS = 3600
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_NOT_FOUND, _CONFLICT = 404, 409

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod that exists in the API server; nothing runs it."""

    name: str
    namespace: str
    service_account: str
    uid: str
    node: str
    addresses: tuple[str, ...]


class World:
    """Makes namespaces, accounts, nodes and pods, and remembers them."""

    def __init__(self, api: Api, *, workers: int = 16) -> None:
        """Nothing is made yet.

        Args:
            api: The API server as an administrator sees it.
            workers: How many requests may be under way at once.
        """
        self.api = api
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="world")
        self._made: list[str] = []

    def create(self, components: Iterable[Component]) -> None:
        """Make what is there before any pod: namespaces, service accounts, the right to file CSRs."""
        rows = tuple(components)
        self.add_role()
        for namespace in dict.fromkeys(row.namespace for row in rows):
            self.add_namespace(namespace)
        for row in rows:
            self.add_service_account(row.namespace, row.service_account)

    def add_role(self) -> None:
        """The ClusterRole of Calico's client; an API server without RBAC (the double) does not get it."""
        rule = {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests"],
            "verbs": ["create", "watch", "delete"],
        }
        self.ensure(f"{_RBAC}/clusterroles", "ClusterRole", {"rules": [rule]}, CREATOR_ROLE, optional=True)

    def add_namespace(self, name: str) -> None:
        """A namespace with its `default` account, which only a running controller manager would make."""
        self.ensure(NAMESPACES, "Namespace", {}, name)
        self.add_account(name, "default")

    def add_account(self, namespace: str, name: str) -> None:
        """A service account without any rights."""
        self.ensure(f"{NAMESPACES}/{namespace}/serviceaccounts", "ServiceAccount", {}, name)

    def add_service_account(self, namespace: str, name: str, *, binding: str | None = None) -> None:
        """An account that may file CSRs, as the operator binds each of Calico's.

        Args:
            namespace: Its namespace.
            name: Its name.
            binding: Name of the ClusterRoleBinding; by default the operator's.
        """
        self.add_account(namespace, name)
        bound = {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CREATOR_ROLE},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
        }
        self.ensure(
            f"{_RBAC}/clusterrolebindings",
            "ClusterRoleBinding",
            bound,
            binding or f"{name}:csr-creator",
            optional=True,
        )

    def add_nodes(self, plans: Sequence[NodePlan]) -> None:
        """Nodes with their addresses."""
        self.each(lambda plan: self.ensure(NODES, "Node", node_object(plan), plan.name), plans)

    def add_pods(self, plans: Sequence[PodPlan], nodes: Sequence[NodePlan]) -> list[Pod]:
        """Pods bound to nodes, with the status that kubelet reports while init containers run.

        Args:
            plans: One per pod.
            nodes: At least those that the plans name; made by `add_nodes`.
        """
        by_name = {node.name: node for node in nodes}
        return self.each(lambda plan: self._add_pod(plan, by_name[plan.node]), plans)

    def delete_pod(self, pod: Pod) -> None:
        """Delete a pod at once, as `--force` does; no harm if it is gone."""
        self._delete(f"{NAMESPACES}/{pod.namespace}/pods/{pod.name}")

    def token(
        self,
        namespace: str,
        service_account: str,
        pod: Pod | None = None,
        *,
        audiences: Sequence[str] = (),
        seconds: int = TOKEN_SECONDS,
    ) -> str:
        """A token from TokenRequest, as kubelet gets it for a pod.

        Args:
            namespace: The account's namespace.
            service_account: The account.
            pod: The pod that it is bound to; None for one that is bound to nothing.
            audiences: Whom it is for; by default the API server itself.
            seconds: How long it lives.
        """
        spec: dict[str, Any] = {"audiences": list(audiences), "expirationSeconds": seconds}
        if pod is not None:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        path = f"{NAMESPACES}/{namespace}/serviceaccounts/{service_account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.api.post(path, body)["status"]["token"])

    def pod_tokens(self, pods: Sequence[Pod]) -> list[str]:
        """A bound token for each pod."""
        return self.each(lambda pod: self.token(pod.namespace, pod.service_account, pod), pods)

    def each(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
        """Apply a function to all items, several at once; the first failure is raised."""
        return list(self._executor.map(function, items))

    def remember(self, path: str) -> None:
        """Have `remove` delete this object too."""
        self._made.append(path)

    def remove(self, *, namespaces: bool = True) -> None:
        """Delete all that was made, the last first; what is gone already is fine.

        Args:
            namespaces: False leaves these alone: no API server lets one come back before it is quite gone.
        """
        made, self._made = self._made, []
        self.each(self._delete, [path for path in made if "/pods/" in path])
        for path in reversed([path for path in made if "/pods/" not in path]):
            if not _is_namespace(path):
                self._delete(path)
            elif namespaces:
                self._delete(path)
                self._finalize(path)

    def close(self) -> None:
        """End the threads; objects stay."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add_pod(self, plan: PodPlan, node: NodePlan) -> Pod:
        collection = f"{NAMESPACES}/{plan.namespace}/pods"
        made = self.ensure(collection, "Pod", pod_object(plan), plan.name)
        self.api.patch(f"{collection}/{plan.name}/status", pod_status(plan, node))
        return Pod(
            name=plan.name,
            namespace=plan.namespace,
            service_account=plan.service_account,
            uid=made["metadata"]["uid"],
            node=plan.node,
            addresses=plan.addresses,
        )

    def ensure(
        self, collection: str, kind: str, body: Mapping[str, Any], name: str, *, optional: bool = False
    ) -> dict[str, Any]:
        """Create an object, or find the one that has its name; what is ours is removed by `remove` in both cases.

        Args:
            collection: Its path.
            kind: Its kind.
            body: The object; labels are added.
            name: Its name.
            optional: An API server that has no such collection (the double has no RBAC) is fine: the answer is empty.
        """
        version = "/".join(collection.split("/")[2:4]) if collection.startswith("/apis/") else "v1"
        given = body.get("metadata", {})
        metadata = {**given, "name": name, "labels": {**given.get("labels", {}), **OURS}}
        found: dict[str, Any]
        try:
            found = self.api.post(collection, {"apiVersion": version, "kind": kind, **body, "metadata": metadata})
        except ApiError as error:
            if optional and error.status == _NOT_FOUND:
                return {}
            if error.status != _CONFLICT:
                raise
            found = self.api.get(f"{collection}/{quoted(name)}")
        if (found["metadata"].get("labels") or {}).items() >= OURS.items():
            self.remember(f"{collection}/{quoted(name)}")
        return found

    def _finalize(self, namespace: str) -> None:
        """Let a deleted namespace go where no controller manager runs, who alone would do so.

        The controller manager is known by the ConfigMap that it puts into every namespace.
        """
        with _tolerating(_NOT_FOUND):
            self.api.get(f"{NAMESPACES}/default/configmaps/kube-root-ca.crt")
            return
        with _tolerating(_NOT_FOUND):
            found = self.api.get(namespace)
            self.api.put(f"{namespace}/finalize", found | {"spec": {"finalizers": []}})

    def _delete(self, path: str) -> None:
        with _tolerating(_NOT_FOUND):
            self.api.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})


def _is_namespace(path: str) -> bool:
    return path.startswith(NAMESPACES) and path.count("/") == NAMESPACES.count("/") + 1


@contextlib.contextmanager
def _tolerating(status: int) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status != status:
            raise
