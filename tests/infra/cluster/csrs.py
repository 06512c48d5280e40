"""CSRs as documents."""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SIGNER_NAME = "csr-signer.example.com/calico"


def csr_document(name: str, signer_name: str) -> dict[str, Any]:
    """A valid CertificateSigningRequest."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "typha-client")])
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return {
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": signer_name,
            "usages": ["client auth"],
        },
    }
