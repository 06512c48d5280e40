"""The CSR of a key pair, as the operator's client key-cert-provisioner would file it. Pure, except for the new key.

Source: projectcalico/calico key-cert-provisioner/pkg/{tls,k8s}.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signerctl.key_pairs.catalog import KeyPair

Json = Mapping[str, Any]
PrivateKey = ec.EllipticCurvePrivateKey

USAGES: Final = ("digital signature", "key encipherment", "key agreement", "server auth", "client auth")
_SUBJECT: Final = (
    (NameOID.COUNTRY_NAME, "US"),
    (NameOID.STATE_OR_PROVINCE_NAME, "California"),
    (NameOID.LOCALITY_NAME, "San Francisco"),
    (NameOID.ORGANIZATION_NAME, "Tigera"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
)
"""The client's constants; the function certifies only the common name."""


def new_key() -> PrivateKey:
    """Returns a new key. P-256 is fast to make, and every component of Calico accepts it."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """Returns a key as PEM, PKCS #8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certification_request(key_pair: KeyPair, key: PrivateKey) -> bytes:
    """Returns the PKCS #10 request as PEM."""
    subject = (*_SUBJECT, (NameOID.COMMON_NAME, key_pair.common_name))
    attributes = [x509.NameAttribute(oid, value) for oid, value in subject]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=True,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in key_pair.dns_names])
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(attributes))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(purposes, critical=False)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(Encoding.PEM)


def csr(key_pair: KeyPair, pod: str, request: bytes) -> Json:
    """Returns the CertificateSigningRequest.

    Args:
        key_pair: The key pair.
        pod: The name of the pod in whose name to ask.
        request: The PKCS #10 request, PEM.
    """
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": key_pair.request_name(pod), "labels": {"k8s-app": key_pair.namespace}},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": key_pair.signer_name,
            "usages": list(USAGES),
        },
    }
