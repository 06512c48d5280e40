"""A CA certificate that a KMS key signs: its fields and its encoding.

signerctl builds, lints, records, signs and verifies it as the function does with a leaf. The certificate is for TLS
only (server and client authentication) and has a path length. Both limit what a thief of the key can do with it.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Final, cast

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import NameOID

from csr_signer import der
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.errors import IntegrityError
from csr_signer.issuance.certificate import SERIAL_BITS, algorithm_identifier, key_identifier
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.violation import bounded
from signerctl.ca import extensions as ca_extensions
from signerctl.ca.extensions import Extensions
from signerctl.key import SigningKey

BACKDATE: Final = timedelta(minutes=5)


def _random_serial_number() -> int:
    return secrets.randbits(SERIAL_BITS - 1) | 1 << (SERIAL_BITS - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaTemplate:
    """The fields of a CA certificate.

    Attributes:
        purpose: The command that makes it, for KMS's audit log.
        subject: The CA's name.
        issuer: The signing CA's name; a root's own name.
        not_before, not_after: Validity, UTC, whole seconds.
        subject_public_key_info: The CA's public key, DER.
        algorithm: The signing key's algorithm.
        path_length: How many levels of CAs may be below it.
        permitted_dns_names: DNS names that leaves must equal or be below; empty if every name is permitted.
        subject_key_identifier: The CA's key identifier.
        authority_key_identifier: The signing CA's key identifier; None for a root.
        serial_number: A random number.
    """

    purpose: str
    subject: x509.Name
    issuer: x509.Name
    not_before: datetime
    not_after: datetime
    subject_public_key_info: bytes
    algorithm: SignatureAlgorithm
    path_length: int
    permitted_dns_names: tuple[str, ...]
    subject_key_identifier: bytes
    authority_key_identifier: bytes | None
    serial_number: int = field(default_factory=_random_serial_number)


def name(common_name: str, organization: str) -> x509.Name:
    """Returns a CA's subject; an empty organization is left out."""
    attributes = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in attributes if text])


def identifier_of(subject_public_key_info: bytes) -> bytes:
    """Returns the key identifier of a CA's key, by the function's method (RFC 7093 §2 method 1)."""
    info = der.decode(der.SubjectPublicKeyInfo, subject_public_key_info)
    return key_identifier(info.subject_public_key.as_bytes())


def facts(template: CaTemplate) -> dict[str, object]:
    """Returns the fields that audit records show."""
    return {
        "subject": bounded(template.subject.rfc4514_string()),
        "issuer": bounded(template.issuer.rfc4514_string()),
        "not_before": template.not_before.isoformat(),
        "not_after": template.not_after.isoformat(),
        "path_length": template.path_length,
        "permitted_dns_names": list(template.permitted_dns_names),
        "public_key_sha256": hashlib.sha256(template.subject_public_key_info).hexdigest(),
    }


def extensions(template: CaTemplate) -> Extensions:
    """Returns the extensions that the certificate must have."""
    return ca_extensions.extensions(
        path_length=template.path_length,
        permitted_dns_names=template.permitted_dns_names,
        key_identifier=template.subject_key_identifier,
        authority_key_identifier=template.authority_key_identifier,
    )


def build(template: CaTemplate) -> bytes:
    """Returns the DER of the TBSCertificate; `ca_lint` clears it for signing."""
    # RSA or EC: `algorithm_for` knows no other algorithm.
    key = cast("CertificatePublicKeyTypes", load_der_public_key(template.subject_public_key_info))
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(template.issuer)
        .public_key(key)
        .serial_number(template.serial_number)
        .not_valid_before(template.not_before)
        .not_valid_after(template.not_after)
    )
    return encode(builder, extensions(template), template.algorithm)


def encode(builder: x509.CertificateBuilder, extensions: Extensions, algorithm: SignatureAlgorithm) -> bytes:
    """Returns the DER of a builder's TBSCertificate, with the identifier of KMS's signature algorithm."""
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(_unused_key(rsa_key=algorithm.rsa), algorithm.digest()).tbs_certificate_bytes


@cache
def _unused_key(*, rsa_key: bool) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """Returns a throwaway key: pyca's builder encodes only signed certificates. The caller drops the signature."""
    if rsa_key:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def assemble(tbs: TBSCertificate, signature: bytes, key: SigningKey) -> x509.Certificate:
    """Assembles the certificate from linted bytes and their signature.

    Raises:
        IntegrityError: The key did not make the signature over exactly these bytes.
    """
    encoded = der.encode(
        der.Certificate(
            tbs_certificate=der.tlv(tbs.der),
            signature_algorithm=algorithm_identifier(key.algorithm),
            signature_value=asn1.BitString(signature, 0),
        )
    )
    certificate = x509.load_der_x509_certificate(encoded)
    unchanged = certificate.tbs_certificate_bytes == tbs.der and certificate.public_bytes(Encoding.DER) == encoded
    if not unchanged or not key.verifies(signature=certificate.signature, data=certificate.tbs_certificate_bytes):
        raise IntegrityError(
            f"key version {key.key_version}: the signature over the CA certificate does not verify with the key"
            " version's own public key"
        )
    return certificate
