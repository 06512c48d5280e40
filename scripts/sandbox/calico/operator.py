"""A simulated tigera operator, for an Installation with `certificateManagement` on a cluster with controllers.

It renders the workloads that have key pairs, as the real one does (pkg/render, pkg/controller/certificatemanager): an
init container for the components with a client; for Goldmane and Whisker an empty volume, or the Secret once it exists.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any, Self

import urllib3

from sandbox.api import ApiError, tolerating
from sandbox.calico import installation
from sandbox.calico.components import CALICO_SYSTEM, components
from sandbox.calico.key_pairs import OPERATOR, Secrets, key_pairs
from sandbox.calico.render import component_parts

if TYPE_CHECKING:
    from sandbox.calico.components import Component
    from sandbox.calico.key_pairs import KeyPair
    from sandbox.calico.render import CertificateManagement
    from sandbox.calico.world import World

Json = dict[str, Any]

APPS = "/apis/apps/v1/namespaces"
_COLLECTIONS = {"DaemonSet": "daemonsets", "Deployment": "deployments"}
_HASH = "hash.operator.tigera.io"
_NOT_FOUND, _CONFLICT = 404, 409
_PERIOD = 0.5
_SECONDS = 30
_REPLICAS = 2


class Operator:
    """Renders Calico's workloads again and again, in a thread.

    Attributes:
        release: Calico's release; another one is an upgrade of the operator.
    """

    def __init__(self, world: World, *, release: str, max_unavailable: int | str = 1) -> None:
        """Prepares it, without API calls.

        Args:
            world: The cluster, with an Installation.
            release: Calico's release.
            max_unavailable: The maxUnavailable of the DaemonSet calico-node.
        """
        self.release = release
        self._world = world
        self._secrets = Secrets(world.api)
        self._max_unavailable = max_unavailable
        self._rendered: dict[str, Json] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    def __enter__(self) -> Self:
        self._world.add_namespace(OPERATOR)
        self._render()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(_SECONDS)

    @property
    def rendered(self) -> dict[str, str]:
        """Returns the names of the workloads that are rendered now, by their paths."""
        return {path: path.rpartition("/")[2] for path in self._rendered}

    def _run(self) -> None:
        while not self._stopping.wait(_PERIOD):
            with contextlib.suppress(urllib3.exceptions.HTTPError, ApiError):
                self._render()

    def _render(self) -> None:
        """Creates or changes the workloads of the release, and deletes those that only the previous one had."""
        management = installation.management(self._world.api)
        rows, pairs = components(self.release), key_pairs(self.release)
        wanted = {_path(row.namespace, row.kind, row.workload): self._with_client(row, management) for row in rows}
        for name in dict.fromkeys(each.workload for each in pairs):
            own = [each for each in pairs if each.workload == name]
            wanted[_path(CALICO_SYSTEM, "Deployment", name)] = self._without_client(name, own)
        changed = {path: body for path, body in wanted.items() if self._rendered.get(path) != body}
        if changed.keys() - self._rendered.keys():
            self._world.create(rows)
            for pair in pairs:
                self._world.add_account(CALICO_SYSTEM, pair.workload)
        for path, body in changed.items():
            _apply(self._world, path, body)
        for path in self._rendered.keys() - wanted.keys():
            with tolerating(_NOT_FOUND):
                self._world.api.delete(path)
        self._rendered = wanted

    def _with_client(self, row: Component, management: CertificateManagement) -> Json:
        parts = component_parts(row, management)
        daemon = {"updateStrategy": {"rollingUpdate": {"maxUnavailable": self._max_unavailable}}}
        return workload(row.workload, parts, daemon if row.kind == "DaemonSet" else {"replicas": _REPLICAS})

    def _without_client(self, name: str, own: list[KeyPair]) -> Json:
        """Renders a Deployment; the hashes of its Secrets restart its pod when they change."""
        # The hashes come first: if a Secret changes before its copy is made, the next rendering restarts the pod again.
        found = {each.secret: self._secrets.find(each) for each in own}
        for each in own:
            self._secrets.copy(each)
        hashes = {f"{_HASH}/{secret}": _digest(body["data"]) for secret, body in found.items() if body is not None}
        volumes = [self._secrets.volume(each) for each in own]
        return workload(name, {"volumes": volumes}, {"replicas": 1}, annotations=hashes)


def workload(name: str, parts: Json, spec: Json, *, annotations: dict[str, str] | None = None) -> Json:
    """Returns a DaemonSet or Deployment whose pods have the service account of its name.

    Args:
        name: Its name.
        parts: More fields of its pods' spec.
        spec: More fields of its own spec.
        annotations: Of its pods.
    """
    labels = {"k8s-app": name}
    pod = {
        "serviceAccountName": name,
        "containers": [{"name": name, "image": "calico"}],
        "tolerations": [{"operator": "Exists"}],
        **parts,
    }
    template = {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": pod}
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def _apply(world: World, path: str, body: Json) -> None:
    with tolerating(_CONFLICT):
        world.api.post(path.rpartition("/")[0], body)
        return
    world.api.patch(path, body)


def _path(namespace: str, kind: str, name: str) -> str:
    return f"{APPS}/{namespace}/{_COLLECTIONS[kind]}/{name}"


def _digest(data: Json) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
