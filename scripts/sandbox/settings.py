"""Settings of a deployment in the sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sandbox import exporter_runtime, manifests
from sandbox.calico.components import CALICO_SYSTEM

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
        directory: Where files and logs go; new or empty.
        plane: Kind of control plane, or the kubeconfig of one that runs.
        kubernetes: Version of the real control plane; None for the one that is found or pinned.
        force: Go on in a running cluster that has Calico's own pods.
        kms: HOST:PORT of a KMS that runs, plaintext; None for a double.
        kms_latency: Seconds that a signature of the double takes longer.
        key_algorithm: Of the CA's key.
        signer_name: That of Calico's pods; the manifests' one, unless there is no RBAC.
        release: Of Calico.
        profiles: Further signerNames with their profiles; they have the same CA.
        concurrency: Requests that each process of the function is given at once.
        workers: Its processes.
        front_door: Whether Google's services stand between exporter and function: it then shows an ID token that it
            got for its service account token, and Cloud Run's front door checks it.
        id_token: Whether the function proves itself by an ID token of a metadata server, in place of a kubeconfig.
        guards: Whether the admission policies are in force, with the rights of `infra/cluster`; only where the plane is
            `real`.
        replicas: Exporters that run at once.
        takeover_seconds: How long a replica waits for the one before it to send an event.
        exporter: What Python is to run as the exporter.
        proxies: Where fault proxies stand. Those of the API server need one whose certificate is for an address,
            as that of `embedded` and `real` is.
    """

    directory: Path
    plane: Literal["embedded", "real"] | Path = "embedded"
    kubernetes: str | None = None
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
