"""Installations of Calico's operator."""

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.signerctl.stage import SIGNER_NAME


def installation(*found: x509.Certificate, **changes: Any) -> dict[str, Any]:
    """Returns an Installation as kubectl prints it; a change to None leaves the field out."""
    text = b"".join(each.public_bytes(Encoding.PEM) for each in found)
    management = {
        "caCert": base64.b64encode(text).decode(),
        "signerName": SIGNER_NAME,
        "keyAlgorithm": "ECDSAWithCurve256",
        "signatureAlgorithm": "ECDSAWithSHA256",
        **changes,
    }
    return {
        "apiVersion": "operator.tigera.io/v1",
        "kind": "Installation",
        "metadata": {"name": "default", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 3},
        "spec": {
            "variant": "Calico",
            "certificateManagement": {key: value for key, value in management.items() if value is not None},
        },
        "status": {"mtu": 1440},
    }
