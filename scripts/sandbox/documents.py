"""The two configuration documents of a deployment in the sandbox: the function's and the exporter's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER = "demo"
SOURCE = "//container.googleapis.com/projects/example-project/locations/europe-west1/clusters/demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """The one signer of a deployment.

    Attributes:
        signer_name: Whose CSRs it issues.
        release: Of Calico, for the profile.
        key_version: Full name of the KMS key version.
        certificate_authority: PEM file of the CA's certificate.
        protection_level: The least that the key must have.
    """

    signer_name: str
    release: str
    key_version: str
    certificate_authority: Path
    protection_level: str = "HSM"


def function_document(signer: Signer, *, kubeconfig: Path, kms: str, invokers: tuple[str, ...] = ()) -> dict[str, Any]:
    """The function's document (design.md 10).

    Args:
        signer: The one signer.
        kubeconfig: As whom the function asks the API server.
        kms: HOST:PORT of a KMS on the loopback address, plaintext.
        invokers: Who may send events; empty for anybody who reaches the function.
    """
    cluster = {"source": SOURCE, "authentication": {"kubeconfig": str(kubeconfig)}, "invokers": list(invokers)}
    authority = str(signer.certificate_authority)
    issuer = {
        "key_version": signer.key_version,
        "certificate": authority,
        "trust_bundle": authority,
        "protection_level": signer.protection_level,
    }
    return {
        "clusters": {CLUSTER: cluster},
        "signers": [
            {
                "cluster": CLUSTER,
                "signer_name": signer.signer_name,
                "profile": {"name": "calico", "release": signer.release},
                "issuer": issuer,
            }
        ],
        "kms": {"unsafe_plaintext_endpoint": kms},
    }


def exporter_document(
    signer: Signer, *, url: str, audience: str, identity: dict[str, Any], api_server: dict[str, Any]
) -> dict[str, Any]:
    """The exporter's document.

    Args:
        signer: The one signer.
        url: Where events go.
        audience: What its ID token must name.
        identity: Its `identity`.
        api_server: Its `api_server`.
    """
    return {
        "source": SOURCE,
        "signers": [{"signer_name": signer.signer_name, "stages": ["pending", "approved"]}],
        "function": {"url": url, "audience": audience},
        "identity": identity,
        "api_server": api_server,
        "health": {"address": "127.0.0.1", "port": 0},
    }
