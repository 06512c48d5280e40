"""An existing cluster that a kubeconfig names: the sandbox labels its objects there, and removes them afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox import kubeconfig
from sandbox.api import NAMESPACES, Api
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.render import OURS
from sandbox.manifests import FUNCTION_SUBJECT, NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.calico.world import World

TOKEN_SECONDS = 24 * 3600


class OccupiedError(Exception):
    """The cluster runs Calico already, so the demo's pods would mix with the operator's."""


def access(path: Path) -> tuple[str, bytes]:
    """Returns the address of a kubeconfig's API server, and its CA.

    Raises:
        ValueError: The kubeconfig has no usable current context, or names no CA.
    """
    found = kubeconfig.read(path)
    if found.certificate_authority_pem is None:
        raise ValueError(kubeconfig.violation(path, "must name the certificate authority of the API server"))
    return found.server, found.certificate_authority_pem


class ForeignCluster:
    """An existing cluster with the interface of `sandbox.control_plane.ControlPlane`; `stop` leaves it running.

    Attributes:
        server: URL of the API server.
        certificate_authority: PEM file with its CA.
        kubeconfig: The given file.
    """

    def __init__(self, path: Path, directory: Path) -> None:
        """Reads the kubeconfig, and writes its CA to `directory`.

        Raises:
            ValueError: As for `access`.
        """
        self.server, authority_pem = access(path)
        self.kubeconfig = path
        self.certificate_authority = directory / "api-server-ca.pem"
        self.certificate_authority.write_bytes(authority_pem)
        self._directory = directory

    def refuse_if_occupied(self, api: Api) -> None:
        """Checks that the cluster has no Calico pods.

        Raises:
            OccupiedError: The cluster has Calico pods.
        """
        pods = api.get(f"{NAMESPACES}/{CALICO_SYSTEM}/pods")["items"]
        foreign = [
            pod["metadata"]["name"] for pod in pods if not (pod["metadata"].get("labels") or {}).items() >= OURS.items()
        ]
        if foreign:
            raise OccupiedError(
                f"namespace {CALICO_SYSTEM} has {len(foreign)} pods that are not the demo's, such as {foreign[0]!r}"
            )

    def function_kubeconfig(self, world: World) -> Path:
        """Writes a kubeconfig with a token of the function's account, which must exist."""
        token = world.token(NAMESPACE, FUNCTION_SUBJECT["name"], seconds=TOKEN_SECONDS)
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "function",
            "contexts": [{"name": "function", "context": {"cluster": "cluster", "user": "function"}}],
            "clusters": [
                {
                    "name": "cluster",
                    "cluster": {"server": self.server, "certificate-authority": str(self.certificate_authority)},
                }
            ],
            "users": [{"name": "function", "user": {"token": token}}],
        }
        path = self._directory / "function.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=1))
        return path
