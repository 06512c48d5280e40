"""The two configuration documents of a deployment in the sandbox: the function's and the exporter's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.calico.components import components

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLUSTER = "demo"
SOURCE = "//container.googleapis.com/projects/example-project/locations/europe-west1/clusters/demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One signer of a deployment.

    Attributes:
        signer_name: The signerName of its CSRs.
        release: Release of the profile's software; None for a profile without releases.
        key_version: Full name of the KMS key version.
        certificate_authority: PEM file of the CA's certificate.
        protection_level: The lowest allowed protection level.
        profile: Name of a shipped profile, or of a file in the deployment's folder.
    """

    signer_name: str
    release: str | None
    key_version: str
    certificate_authority: Path
    protection_level: str = "HSM"
    profile: str = "calico"


def function_document(
    signers: Sequence[Signer],
    *,
    access: dict[str, Any],
    kms: str,
    invokers: tuple[str, ...] = (),
    address_ranges: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns the function's document.

    Args:
        signers: All signers.
        access: The document's fields about the API server, and the function's access to it.
        kms: HOST:PORT of a KMS on the loopback address, plaintext.
        invokers: Emails of the callers that may send events; empty for all callers.
        address_ranges: Networks of the cluster's pods and nodes; empty for all addresses.
    """
    cluster = {
        "source": SOURCE,
        **access,
        "invokers": list(invokers),
        "address_ranges": list(address_ranges),
    }
    return {
        "clusters": {CLUSTER: cluster},
        "signers": [_signer(signer) for signer in signers],
        "kms": {"unsafe_plaintext_endpoint": kms},
    }


def _signer(signer: Signer) -> dict[str, Any]:
    authority = str(signer.certificate_authority)
    release = {} if signer.release is None else {"release": signer.release}
    return {
        "cluster": CLUSTER,
        "signer_name": signer.signer_name,
        "profile": {"name": signer.profile, **release, **_namespaces(signer)},
        "issuer": {
            "key_version": signer.key_version,
            "certificate": authority,
            "trust_bundle": authority,
            "protection_level": signer.protection_level,
        },
    }


def _namespaces(signer: Signer) -> dict[str, Any]:
    """Returns the profile's field `namespaces`, which only a release with several namespaces needs."""
    if signer.profile != "calico" or signer.release is None:
        return {}
    found = sorted({row.namespace for row in components(signer.release)})
    return {"namespaces": found} if len(found) > 1 else {}


def exporter_document(
    signers: Sequence[Signer],
    *,
    url: str,
    audience: str,
    identity: dict[str, Any],
    api_server: dict[str, Any],
    replicas: int = 1,
    takeover_seconds: int = 15,
) -> dict[str, Any]:
    """Returns the exporter's document.

    Args:
        signers: All signers.
        url: The URL for events.
        audience: The audience of its ID token.
        identity: The document's `identity`.
        api_server: The document's `api_server`.
        replicas: Number of exporters with this document.
        takeover_seconds: How long a replica waits for the previous one.
    """
    return {
        "source": SOURCE,
        "signers": [{"signer_name": signer.signer_name, "stages": ["pending", "approved"]} for signer in signers],
        "function": {"url": url, "audience": audience},
        "identity": identity,
        "api_server": api_server,
        "health": {"address": "127.0.0.1", "port": 0},
        **({"replicas": {"count": replicas, "delay_seconds": takeover_seconds}} if replicas > 1 else {}),
    }
