"""Goldmane and Whisker: no init container asks for their key pairs, so their volumes are empty until Secrets exist.

The rows come from the operator's render packages (pkg/render/goldmane, whisker), and from the calls of
GetOrCreateKeyPair in its controllers.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox.api import NAMESPACES, Json, csr_path, tolerating
from sandbox.calico.components import CALICO_SYSTEM, version
from sandbox.calico.render import PodPlan

if TYPE_CHECKING:
    from sandbox.api import Api
    from sandbox.calico.render import NodePlan
    from sandbox.calico.world import Pod, World

OPERATOR = "tigera-operator"
_ROLE = "kms-csr-signer:key-pairs"  # as in key-pairs.yaml
_RULE = {
    "apiGroups": ["certificates.k8s.io"],
    "resources": ["certificatesigningrequests"],
    "verbs": ["create", "delete"],
}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A key pair.

    Attributes:
        workload: Name of the Deployment, and of its service account in calico-system.
        secret: Name of the Secret, and of the pods' volume.
        namespace: Where the operator looks for the Secret.
        client: Whether the component also is a TLS client with it.
        since: The first Calico release with it.
    """

    workload: str
    secret: str
    namespace: str
    client: bool = False
    since: str = "3.30"


_ALL: Final = (
    KeyPair(workload="goldmane", secret="goldmane-key-pair", namespace=OPERATOR),  # noqa: S106  # a name
    KeyPair(workload="whisker", secret="whisker-key-pair", namespace=CALICO_SYSTEM, since="3.33"),  # noqa: S106  # a name
    KeyPair(workload="whisker", secret="whisker-backend-key-pair", namespace=CALICO_SYSTEM, client=True),  # noqa: S106  # a name
)
WORKLOADS: Final = tuple(dict.fromkeys(each.workload for each in _ALL))


def key_pairs(release: str) -> tuple[KeyPair, ...]:
    """Returns the key pairs of a Calico release."""
    return tuple(each for each in _ALL if version(release) >= version(each.since))


class Workloads:
    """One pod of each workload; `roll` does what the operator does when the Secrets appear."""

    def __init__(self, world: World, node: NodePlan, *, release: str) -> None:
        """Prepares them, without API calls.

        Args:
            world: The cluster, with namespace calico-system.
            node: The node of the pods, from `World.add_nodes`.
            release: Calico's release.
        """
        self.key_pairs = key_pairs(release)
        self._world = world
        self._secrets = Secrets(world.api)
        self._node = node
        self._pods: dict[str, Pod] = {}

    def create(self) -> None:
        """Creates the accounts, their right to file CSRs, and pods with empty volumes."""
        self._world.add_namespace(OPERATOR)
        for workload in WORKLOADS:
            self._world.add_account(CALICO_SYSTEM, workload)
        self._allow()
        for workload in WORKLOADS:
            self._add_pod(workload, 1)

    def present(self) -> list[str]:
        """Returns the paths of the Secrets that exist, also of copies for the pods."""
        return [path for each in self.key_pairs for path in _secret_paths(each) if self._secrets.get(path) is not None]

    def remember(self) -> None:
        """Registers the Secrets and CSRs of `signerctl key-pairs`, so that `World.remove` deletes them."""
        for each in self.key_pairs:
            for path in _secret_paths(each):
                self._world.remember(path)
            self._world.remember(csr_path(f"{each.secret}:{self._pods[each.workload].name}"))

    def roll(self) -> None:
        """Copies the Secrets to the pods' namespace, and replaces each pod by one that mounts them."""
        for each in self.key_pairs:
            self._secrets.copy(each)
        for workload in WORKLOADS:
            self._world.delete_pod(self._pods[workload])
            self._add_pod(workload, 2)

    def mounted(self, key_pair: KeyPair) -> dict[str, bytes]:
        """Returns the files that kubelet mounts for a key pair, by name; none if the volume is empty."""
        pod = self._world.api.get(f"{NAMESPACES}/{CALICO_SYSTEM}/pods/{self._pods[key_pair.workload].name}")
        volume = next(each for each in pod["spec"]["volumes"] if each["name"] == key_pair.secret)
        if "secret" not in volume:
            return {}
        data = self._world.api.get(_secret_path(CALICO_SYSTEM, key_pair))["data"]
        return {name: base64.b64decode(value) for name, value in data.items()}

    def _allow(self) -> None:
        bound = {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _ROLE},
            "subjects": [{"kind": "ServiceAccount", "namespace": CALICO_SYSTEM, "name": each} for each in WORKLOADS],
        }
        for kind, body in (("ClusterRole", {"rules": [_RULE]}), ("ClusterRoleBinding", bound)):
            self._world.ensure(f"{_RBAC}/{kind.lower()}s", kind, body, _ROLE, optional=True)

    def _add_pod(self, workload: str, number: int) -> None:
        plan = PodPlan(
            name=f"{workload}-{number}",
            namespace=CALICO_SYSTEM,
            service_account=workload,
            node=self._node.name,
            addresses=(),
            host_network=False,
            volumes=tuple(self._secrets.volume(each) for each in self.key_pairs if each.workload == workload),
        )
        (self._pods[workload],) = self._world.add_pods([plan], [self._node])


class Secrets:
    """The Secrets of key pairs, as the operator uses them."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def find(self, key_pair: KeyPair) -> Json | None:
        """Returns the Secret where the operator looks for it; None if there is none."""
        return self.get(_secret_path(key_pair.namespace, key_pair))

    def copy(self, key_pair: KeyPair) -> None:
        """Copies the Secret to the pods' namespace, or updates the copy."""
        found = self.find(key_pair)
        if found is None or key_pair.namespace == CALICO_SYSTEM:
            return
        path = _secret_path(CALICO_SYSTEM, key_pair)
        copy = self.get(path)
        if copy is None:
            body = {key: found[key] for key in ("type", "data")}
            self._api.post(f"{NAMESPACES}/{CALICO_SYSTEM}/secrets", {"metadata": {"name": key_pair.secret}, **body})
        elif copy["data"] != found["data"]:
            self._api.patch(path, {"data": found["data"]})

    def volume(self, key_pair: KeyPair) -> dict[str, Any]:
        """Returns the pods' volume: the Secret, or an empty one."""
        if self.get(_secret_path(CALICO_SYSTEM, key_pair)) is None:
            return empty_volume(key_pair)
        return {"name": key_pair.secret, "secret": {"secretName": key_pair.secret}}

    def get(self, path: str) -> Json | None:
        """Returns the Secret of a path; None if there is none."""
        with tolerating(_NOT_FOUND):
            return self._api.get(path)
        return None


def empty_volume(key_pair: KeyPair) -> dict[str, Any]:
    """Returns the volume that the operator gives a pod in place of a key pair."""
    return {"name": key_pair.secret, "emptyDir": {"medium": "Memory"}}


def _secret_paths(key_pair: KeyPair) -> set[str]:
    return {_secret_path(namespace, key_pair) for namespace in (key_pair.namespace, CALICO_SYSTEM)}


def _secret_path(namespace: str, key_pair: KeyPair) -> str:
    return f"{NAMESPACES}/{namespace}/secrets/{key_pair.secret}"
