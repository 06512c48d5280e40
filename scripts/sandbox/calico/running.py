"""All of Calico on a cluster with controllers: the simulated operator and kubelets, and the pods' key pairs."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sandbox.api import NODES, ApiError
from sandbox.calico import installation
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.operator import APPS, Operator
from sandbox.calico.volumes import Volumes
from sandbox.kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.api import Api
    from sandbox.deployment import Deployment

DAEMON_SET: Final = f"{APPS}/{CALICO_SYSTEM}/daemonsets/calico-node"
_AT_ONCE: Final = 20
"""How many nodes to add at a time. With more than about 30 clients, one process reads their watches too slowly."""
_PERIOD: Final = 0.1
_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Calico's parts while they run.

    Attributes:
        api: An administrator's client.
        kubelet: Runs the pods.
        volumes: The pods' key pairs.
        operator: Renders the workloads.
    """

    api: Api
    kubelet: Kubelet
    volumes: Volumes
    operator: Operator
    _nodes: Iterator[int] = field(default_factory=itertools.count)

    def add_nodes(self, count: int) -> None:
        """Adds nodes, 20 at a time: the next ones after the pods of the earlier ones have certificates.

        Raises:
            TimeoutError: The pods of some nodes have no certificates within three minutes.
        """
        for begun in range(0, count, _AT_ONCE):
            names = [f"node-{next(self._nodes):03}" for _ in range(min(_AT_ONCE, count - begun))]
            self.kubelet.add_nodes(names)
            self._wait_for_nodes()

    def _wait_for_nodes(self) -> None:
        """Waits until each node has a pod of calico-node that is Ready."""
        end = time.monotonic() + _SECONDS
        nodes = len(self.api.get(NODES)["items"])
        while self.api.get(DAEMON_SET).get("status", {}).get("numberAvailable", 0) < nodes:
            if time.monotonic() > end:
                raise TimeoutError(f"{nodes} nodes, but {self.api.get(DAEMON_SET)['status']}")
            time.sleep(_PERIOD)

    def restart(self, path: str = DAEMON_SET) -> None:
        """Restarts the pods of a workload, as `kubectl rollout restart` does."""
        generation = self.api.get(path)["metadata"]["generation"]
        annotations = {"kubectl.kubernetes.io/restartedAt": f"generation {generation}"}
        self.api.patch(path, {"spec": {"template": {"metadata": {"annotations": annotations}}}})

    def is_rolled_out(self, path: str = DAEMON_SET) -> bool:
        """Tells whether a DaemonSet or Deployment exists, has only new pods, and all of them are available."""
        try:
            workload = self.api.get(path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:  # an upgrade deletes some
                return False
            raise
        status, wanted = workload.get("status", {}), workload["spec"].get("replicas")
        if status.get("observedGeneration") != workload["metadata"]["generation"]:
            return False
        if wanted is None:
            wanted = status["desiredNumberScheduled"]
            return bool(wanted == status.get("updatedNumberScheduled") == status.get("numberAvailable"))
        counts = ("updatedReplicas", "availableReplicas", "replicas")
        return all(status.get(each) == wanted for each in counts)


@contextmanager
def calico(deployment: Deployment, folder: Path, *, max_unavailable: int) -> Iterator[Running]:
    """Runs Calico without nodes in a deployment with controllers.

    Args:
        deployment: The deployment, started.
        folder: An empty folder for the pods' key pairs.
        max_unavailable: The maxUnavailable of the DaemonSet calico-node.
    """
    world, settings = deployment.world, deployment.settings
    installation.put_in(
        world,
        authority=deployment.certificate_authority,
        signer_name=deployment.signer.signer_name,
        release=settings.release,
    )
    volumes = Volumes(world, folder)
    operator = Operator(world, release=settings.release, max_unavailable=max_unavailable)
    with Kubelet(world.api, starts=volumes.fill) as kubelet, operator:
        yield Running(api=world.api, kubelet=kubelet, volumes=volumes, operator=operator)
