"""The tigera operator's API objects in a cluster, without operator, scheduler or kubelet.

It works on the embedded double and on a real kube-apiserver. It labels all objects. Creating an object twice changes
nothing, and `remove` deletes exactly the created objects.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from urllib3.exceptions import HTTPError

from sandbox.api import NAMESPACES, NODES, Api, ApiError, quoted, tolerating
from sandbox.calico.render import OURS, NodePlan, PodPlan, node_object, pod_object, pod_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandbox.calico.components import Component

CREATOR_ROLE = "tigera-csr-creator"
TOKEN_SECONDS = 3600
REMOVAL_SECONDS = 120.0
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_NOT_FOUND, _CONFLICT = 404, 409
_CLIENT_RULE = {
    "apiGroups": ["certificates.k8s.io"],
    "resources": ["certificatesigningrequests"],
    "verbs": ["create", "watch", "delete"],
}

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class RemovalError(Exception):
    """Some objects could not be deleted; the message names each, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod in the API server; no kubelet runs it."""

    name: str
    namespace: str
    service_account: str
    uid: str
    node: str
    addresses: tuple[str, ...]


class World:
    """Makes namespaces, accounts, nodes and pods, and remembers them."""

    def __init__(self, api: Api, *, workers: int = 16) -> None:
        """Prepares a world, without API calls.

        Args:
            api: An administrator's client.
            workers: Maximum number of concurrent requests.
        """
        self.api = api
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="world")
        self._made: dict[str, str | None] = {}  # the uid by path; for the values without a uid, see `remember`
        self._deleted: set[str] = set()

    def create(self, components: Iterable[Component]) -> None:
        """Creates namespaces, service accounts, and the right to file CSRs, before any pod."""
        rows = tuple(components)
        self.add_role()
        for namespace in dict.fromkeys(row.namespace for row in rows):
            self.add_namespace(namespace)
        for row in rows:
            self.add_service_account(row.namespace, row.service_account)

    def add_role(self) -> None:
        """Creates the ClusterRole of Calico's client, unless the API server has no RBAC (the double)."""
        self._add_role(CREATOR_ROLE)

    def add_namespace(self, name: str) -> None:
        """Creates a namespace with its `default` account, which otherwise only a controller manager would create."""
        self.ensure(NAMESPACES, "Namespace", {}, name)
        self.add_account(name, "default")

    def add_account(self, namespace: str, name: str) -> None:
        """Creates a service account without rights."""
        self.ensure(f"{NAMESPACES}/{namespace}/serviceaccounts", "ServiceAccount", {}, name)

    def add_service_account(self, namespace: str, name: str, *, binding: str | None = None) -> None:
        """Creates a service account that may file CSRs, with the operator's binding.

        Args:
            namespace: Its namespace.
            name: Its name.
            binding: Name of the ClusterRoleBinding; by default the operator's.
        """
        self.add_account(namespace, name)
        self._bind(namespace, name, role=CREATOR_ROLE, binding=binding or f"{name}:csr-creator")

    def add_requester(self, namespace: str, name: str) -> None:
        """Creates a service account that may file CSRs, with a role and a binding of its own: none of Calico's."""
        self.add_account(namespace, name)
        role = f"{namespace}:csr-creator"
        self._add_role(role)
        self._bind(namespace, name, role=role, binding=role)

    def add_nodes(self, plans: Sequence[NodePlan]) -> None:
        """Creates nodes with their addresses."""
        self.each(lambda plan: self.ensure(NODES, "Node", node_object(plan), plan.name), plans)

    def add_pods(self, plans: Sequence[PodPlan], nodes: Sequence[NodePlan]) -> list[Pod]:
        """Creates pods on nodes, with the status that kubelet reports while init containers run.

        Args:
            plans: One per pod.
            nodes: At least the nodes of the plans, from `add_nodes`.
        """
        by_name = {node.name: node for node in nodes}
        return self.each(lambda plan: self._add_pod(plan, by_name[plan.node]), plans)

    def delete_pod(self, pod: Pod) -> None:
        """Deletes a pod at once, as `--force` does; ignores a missing pod."""
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
        """Returns a token from TokenRequest, as kubelet gets it for a pod.

        Args:
            namespace: The account's namespace.
            service_account: The account.
            pod: The pod to bind it to; None for an unbound token.
            audiences: Its audiences; by default, the API server.
            seconds: Its lifetime.
        """
        spec: dict[str, Any] = {"audiences": list(audiences), "expirationSeconds": seconds}
        if pod is not None:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        path = f"{NAMESPACES}/{namespace}/serviceaccounts/{service_account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.api.post(path, body)["status"]["token"])

    def pod_tokens(self, pods: Sequence[Pod]) -> list[str]:
        """Returns a bound token for each pod."""
        return self.each(lambda pod: self.token(pod.namespace, pod.service_account, pod), pods)

    def each(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
        """Applies a function to all items concurrently; raises the first failure."""
        return list(self._executor.map(function, items))

    def remember(self, path: str, uid: str | None = "") -> None:
        """Registers an object for `remove`.

        Args:
            path: Its path.
            uid: Its uid, so that no other object of the name is deleted. Empty: the name alone identifies it as
                ours. None: the API server has not confirmed the creation yet, so its label decides.
        """
        self._made[path] = uid
        self._deleted.discard(path)

    def remove(self, *, namespaces: bool = True, seconds: float = REMOVAL_SECONDS) -> None:
        """Deletes all created objects in reverse order; ignores missing objects.

        It tries every object. Call it again to retry the objects that it could not delete.

        Args:
            namespaces: False keeps namespaces, because their deletion takes long, and blocks new ones of the same name.
            seconds: After this time, it sends no further request.

        Raises:
            RemovalError: At least one object could not be deleted.
        """
        end = time.monotonic() + seconds
        paths = [path for path in reversed(self._made) if path not in self._deleted]
        pods = [path for path in paths if "/pods/" in path]
        others = [path for path in paths if "/pods/" not in path and (namespaces or not _is_namespace(path))]
        errors = [*self.each(lambda path: self._try_to_delete(path, end), pods)]
        errors += [self._try_to_delete(path, end) for path in others]
        if any(errors):
            raise RemovalError("; ".join(filter(None, errors)))

    def remaining(self, api: Api) -> list[str]:
        """Returns the paths of all created objects that exist, also of those that the API server is deleting.

        Args:
            api: An administrator's client; `self.api` may be closed.
        """
        return [path for path in self._made if self._found(api, path)]

    def close(self) -> None:
        """Stops the threads; objects stay."""
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
        """Creates an object, or finds an existing one of that name; `remove` deletes it if it has our label.

        Args:
            collection: Its path.
            kind: Its kind.
            body: The object; labels are added.
            name: Its name.
            optional: Whether the API server may lack the collection (the double has no RBAC); the answer is then empty.
        """
        version = "/".join(collection.split("/")[2:4]) if collection.startswith("/apis/") else "v1"
        given = body.get("metadata", {})
        metadata = {**given, "name": name, "labels": {**given.get("labels", {}), **OURS}}
        path = f"{collection}/{quoted(name)}"
        self.remember(path, None)  # an interrupt may come before the answer
        found: dict[str, Any]
        try:
            found = self.api.post(collection, {"apiVersion": version, "kind": kind, **body, "metadata": metadata})
        except ApiError as error:
            if optional and error.status == _NOT_FOUND:
                return {}
            if error.status != _CONFLICT:
                raise
            found = self.api.get(path)
        if _is_labelled(found):
            self.remember(path, found["metadata"]["uid"])
        return found

    def _add_role(self, name: str) -> None:
        self.ensure(f"{_RBAC}/clusterroles", "ClusterRole", {"rules": [_CLIENT_RULE]}, name, optional=True)

    def _bind(self, namespace: str, account: str, *, role: str, binding: str) -> None:
        bound = {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
        }
        collection = f"{_RBAC}/clusterrolebindings"
        found = self.ensure(collection, "ClusterRoleBinding", bound, binding, optional=True)
        if found and _is_labelled(found) and found.get("subjects", bound["subjects"]) != bound["subjects"]:
            self.api.patch(f"{collection}/{quoted(binding)}", {"subjects": bound["subjects"]})

    def _found(self, api: Api, path: str) -> str:
        """Returns the uid of the object at a path if it is the created one; empty otherwise."""
        with tolerating(_NOT_FOUND):
            found, made = api.get(path), self._made[path]
            uid = str(found["metadata"]["uid"])
            is_ours = _is_labelled(found) if made is None else made in {"", uid}
            return uid if is_ours else ""
        return ""

    def _finalize(self, namespace: str) -> None:
        """Finalizes a deleted namespace if no controller manager runs, which would otherwise do so.

        The ConfigMap in every namespace shows whether a controller manager runs.
        """
        with tolerating(_NOT_FOUND):
            self.api.get(f"{NAMESPACES}/default/configmaps/kube-root-ca.crt")
            return
        with tolerating(_NOT_FOUND):
            found = self.api.get(namespace)
            if "deletionTimestamp" in found["metadata"]:
                self.api.put(f"{namespace}/finalize", found | {"spec": {"finalizers": []}})

    def _try_to_delete(self, path: str, end: float) -> str:
        """Deletes a created object, unless it is too late; returns why it could not."""
        if time.monotonic() > end:
            return f"{path}: no time left"
        try:
            self._delete_created(path)
        except (ApiError, HTTPError) as error:
            return f"{path}: {error}"
        self._deleted.add(path)
        return ""

    def _delete_created(self, path: str) -> None:
        uid = self._made[path]
        if uid is None:
            uid = self._found(self.api, path)
            if not uid:
                return
        with tolerating(_CONFLICT):  # another object has the name now, or the namespace is being deleted already
            self._delete(path, uid)
        if _is_namespace(path):
            self._finalize(path)

    def _delete(self, path: str, uid: str = "") -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        with tolerating(_NOT_FOUND):
            self.api.delete(path, options | ({"preconditions": {"uid": uid}} if uid else {}))


def _is_namespace(path: str) -> bool:
    return path.startswith(NAMESPACES) and path.count("/") == NAMESPACES.count("/") + 1


def _is_labelled(found: Mapping[str, Any]) -> bool:
    return bool((found["metadata"].get("labels") or {}).items() >= OURS.items())
