"""The key pairs' volumes of Calico's pods, filled as kubelet fills them: by the init container, or from a Secret."""

from __future__ import annotations

import base64
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.api import NAMESPACES, ApiError
from sandbox.calico import client
from sandbox.calico.keys import known
from sandbox.calico.render import CLIENT
from sandbox.calico.world import Pod

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandbox.calico.world import World

Json = dict[str, Any]

_NOT_FOUND = 404
_GONE = (_NOT_FOUND, 409)
_BACK_OFF_SECONDS = 1.0  # kubelet's is 10 s at first


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A volume with a key pair.

    Attributes:
        pod_uid: The uid of its pod.
        secret: The key pair's name, which is the volume's.
        certificate: The file with the certificate and its chain.
        key: The file with the key.
        trusts: PEM of the CAs that the pod trusts; empty for a volume from a Secret.
        begun: When kubelet began to fill it, in seconds of time.monotonic.
        ended: When it was filled, in seconds of time.monotonic.
    """

    pod_uid: str
    secret: str
    certificate: Path
    key: Path
    trusts: bytes
    begun: float
    ended: float


class Volumes:
    """Fills the volumes of pods; `fill` is what a `Kubelet` asks.

    Attributes:
        filled: All volumes that were ever filled, in order.
        ended_watches: The uids of the pods whose client ran again, because the API server ended its watch.
        errors: Why an init container failed and was restarted, by the pod's uid.
    """

    def __init__(self, world: World, directory: Path) -> None:
        self.filled: list[Filled] = []
        self.ended_watches: list[str] = []
        self.errors: dict[str, list[str]] = defaultdict(list)
        self._world = world
        self._directory = directory

    def fill(self, pod: Json) -> bool:
        """Fills all volumes of a pod, and returns whether each has a key pair; blocks while Calico's client waits."""
        clients = {each["name"].removesuffix(CLIENT): each for each in pod["spec"].get("initContainers", ())}
        volumes = [each for each in pod["spec"].get("volumes", ()) if _is_key_pair(each)]
        return all(self._fill(pod, each, clients) for each in volumes)

    def of(self, pod: Json) -> list[Filled]:
        """Returns the filled volumes of a pod."""
        return [each for each in self.filled if each.pod_uid == pod["metadata"]["uid"]]

    def _fill(self, pod: Json, volume: Json, clients: Mapping[str, Json]) -> bool:
        name, begun = volume["name"], time.monotonic()
        directory = self._directory / pod["metadata"]["uid"] / name
        directory.mkdir(parents=True, exist_ok=True)
        if "secret" in volume:
            is_filled = self._mount(pod, volume["secret"]["secretName"], directory)
        else:
            is_filled = name in clients and self._run_client(pod, clients[name], directory)
        if is_filled:
            authority = directory / "ca.crt"
            filled = Filled(
                pod_uid=pod["metadata"]["uid"],
                secret=name,
                certificate=directory / "tls.crt",
                key=directory / "tls.key",
                trusts=authority.read_bytes() if authority.exists() else b"",
                begun=begun,
                ended=time.monotonic(),
            )
            self.filled.append(filled)
        return is_filled

    def _mount(self, pod: Json, secret: str, directory: Path) -> bool:
        try:
            found = self._world.api.get(f"{NAMESPACES}/{pod['metadata']['namespace']}/secrets/{secret}")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        for key, value in found["data"].items():
            (directory / key).write_bytes(base64.b64decode(value))
        return True

    def _run_client(self, pod: Json, container: Json, directory: Path) -> bool:
        """Runs Calico's client until it succeeds or its pod is gone, with its variables and tokens of its pod."""
        metadata = pod["metadata"]
        bound = Pod(
            name=metadata["name"],
            namespace=metadata["namespace"],
            service_account=pod["spec"]["serviceAccountName"],
            uid=metadata["uid"],
            node=pod["spec"]["nodeName"],
            addresses=(),
        )
        told = {each["name"]: _value(each, pod) for each in container["env"]}
        environment = client.Environment.from_variables(told | {"CERTIFICATE_PATH": str(directory)})
        while True:
            try:
                token = self._world.token(bound.namespace, bound.service_account, bound)
            except ApiError as error:
                if error.status not in _GONE:
                    raise
                return False
            try:
                # One process runs all clients here. If it reads a watch too slowly, the API server ends the watch, and
                # Calico's client exits with status 0 without files. In a cluster, such a pod never becomes Ready.
                if client.run(environment, self._world.api.with_token(token), key=known(environment.key_algorithm)):
                    return True
                self.ended_watches.append(bound.uid)
            except client.ClientError as error:
                self.errors[bound.uid].append(str(error))
            time.sleep(_BACK_OFF_SECONDS)


def _is_key_pair(volume: Json) -> bool:
    """Whether a volume is for a key pair; the token of a pod that Admission adds is not."""
    return "emptyDir" in volume or "secret" in volume


def _value(variable: Json, pod: Json) -> str:
    """Returns the value of a variable; those from the pod's fields are metadata or status."""
    if "valueFrom" not in variable:
        return str(variable.get("value", ""))
    part, _, field = variable["valueFrom"]["fieldRef"]["fieldPath"].partition(".")
    return str(pod[part][field])
