"""Settings of a deployment in the sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sandbox import exporter_runtime, manifests
from sandbox.calico.components import CALICO_SYSTEM, components

Link = Literal["api-server-for-function", "api-server-for-exporter", "kms", "function"]
"""Connections that can have a fault proxy; `kms` is the function's connection, and `function` the exporter's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfile:
    """A user's profile, and the function's grants for it.

    Attributes:
        file: The profile.
        release: Release of its software; None for a profile without releases.
        namespaces: Namespaces of its requesters, which the sandbox creates; the function may read pods there.
        nodes: Whether the function may read nodes; a profile that certifies addresses of the host network needs it.
        networks: Networks of its requesters' addresses, in addition to Calico's.
    """

    file: Path
    release: str | None = None
    namespaces: tuple[str, ...] = (CALICO_SYSTEM,)
    nodes: bool = False
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a deployment.

    Attributes:
        directory: A new or empty folder for files and logs.
        plane: Kind of control plane, or the kubeconfig of a running one.
        kubernetes: Version of the real control plane; None for the found or pinned version.
        controllers: Whether kube-controller-manager runs; only with the plane `real`.
        calico: Whether there are Calico's accounts, and a signer for its pods; False: only those of `profiles`.
        force: Whether to continue in a cluster with Calico's own pods.
        kms: HOST:PORT of a running plaintext KMS; None for a double.
        kms_latency: Additional seconds of a signature by the double.
        key_algorithm: Algorithm of the CA's key.
        signer_name: The signerName of Calico's pods; with RBAC, it must be the manifests' name.
        release: Calico's release.
        profiles: More signerNames with their profiles; each profile has a CA of its own.
        concurrency: Concurrent requests per process of the function.
        workers: The function's processes.
        front_door: Whether Google's services are between exporter and function: the exporter then exchanges its service
            account token for an ID token, and Cloud Run's front door checks it.
        id_token: Whether the function gets an ID token from a metadata server, instead of a kubeconfig.
        guards: Whether to enforce the admission policies and the rights of `infra/cluster`; only with the plane `real`.
        replicas: Number of exporters.
        takeover_seconds: How long a replica waits for the previous replica's event.
        exporter: The Python module to run as the exporter.
        proxies: Connections with a fault proxy. For the API server, its certificate must name an address, as with
            `embedded` and `real`.
    """

    directory: Path
    plane: Literal["embedded", "real"] | Path = "embedded"
    kubernetes: str | None = None
    controllers: bool = False
    calico: bool = True
    force: bool = False
    kms: str | None = None
    kms_latency: float = 0.0
    key_algorithm: str = "EC_SIGN_P256_SHA256"
    signer_name: str = manifests.SIGNER_NAME
    release: str = "3.31"
    profiles: Mapping[str, UserProfile] = field(default_factory=dict)
    concurrency: int = 32
    workers: int = 1
    front_door: bool = True
    id_token: bool = False
    guards: bool = False
    replicas: int = 1
    takeover_seconds: int = 15
    exporter: tuple[str, ...] = exporter_runtime.PROGRAM
    proxies: frozenset[Link] = frozenset()

    @property
    def signer_names(self) -> tuple[str, ...]:
        """Returns all signerNames, Calico's first."""
        return (*((self.signer_name,) if self.calico else ()), *self.profiles)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Returns the namespaces of all requesters."""
        of_profiles = (namespace for profile in self.profiles.values() for namespace in profile.namespaces)
        of_calico = (row.namespace for row in components(self.release)) if self.calico else ()
        return tuple(dict.fromkeys([*of_calico, *of_profiles]))
