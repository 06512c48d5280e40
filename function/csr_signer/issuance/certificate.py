"""Step 7, build, and step 9, assemble: the certificate is our template with named fields copied in.

All its fields follow from the CSR's uid, creationTimestamp and spec, and from the configuration. So there is one
TBSCertificate per (uid, configuration digest), under any retry, duplicate or race.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ObjectIdentifier

from csr_signer import der
from csr_signer.ca.algorithm import SignatureAlgorithm, subject_public_key_info
from csr_signer.ca.issuer import Issuer, verify
from csr_signer.errors import IntegrityError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.policy.decision import Permit
from csr_signer.request.pkcs10 import CertificationRequest
from csr_signer.violation import Violation

TEMPLATE: Final = "1"
"""Version of the template of `build`; part of the configuration digest."""

SERIAL_BITS: Final = 159  # at most 20 octets and positive, RFC 5280 §4.1.2.2
_SERIAL_DOMAIN: Final = b"kms-csr-signer serial number v1"
_FIRST_GENERALIZED_YEAR: Final = 2050  # RFC 5280 §4.1.2.5
_KEY_PURPOSES: Final = {
    "serverAuth": ObjectIdentifier("1.3.6.1.5.5.7.3.1"),
    "clientAuth": ObjectIdentifier("1.3.6.1.5.5.7.3.2"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate with exactly the linted bytes, signed by the pinned CA key.

    Attributes:
        pem: the leaf, then intermediates, without the root.
        sha256: hex SHA-256 of the leaf's DER.
    """

    pem: bytes
    sha256: str


def build(permit: Permit, issuer: Issuer, algorithm: SignatureAlgorithm) -> bytes:
    """Builds the TBSCertificate of a permit in DER (RFC 5280 §4.1.2); `lint` clears it for signing."""

    def encoded(serial_number: int) -> bytes:
        return der.encode(
            der.TBSCertificate(
                version=2,
                serial_number=serial_number,
                signature=algorithm_identifier(algorithm),
                issuer=der.tlv(issuer.subject),
                validity=der.Validity(
                    not_before=encoded_time(permit.not_before), not_after=encoded_time(permit.not_after)
                ),
                subject=[asn1.SetOf([der.TextAttribute(type=der.COMMON_NAME, value=permit.common_name)])],
                subject_public_key_info=der.tlv(permit.public_key.subject_public_key_info),
                extensions=extensions,
            )
        )

    extensions = _extensions(permit, issuer)
    return encoded(serial_number(permit, encoded(0)))


def serial_number(permit: Permit, unnumbered: bytes) -> int:
    """Returns 159 bits of SHA-256 over a domain tag, the cluster, the CSR's uid and the unnumbered certificate.

    Each part is hashed with its length, so that different inputs never have the same encoding.
    """
    digest = hashlib.sha256()
    for part in (_SERIAL_DOMAIN, permit.cluster.encode(), permit.csr_uid.encode(), unnumbered):
        digest.update(len(part).to_bytes(8, "big") + part)
    return int.from_bytes(digest.digest(), "big") >> (256 - SERIAL_BITS)


def assemble(tbs: TBSCertificate, signature: bytes, issuer: Issuer, algorithm: SignatureAlgorithm) -> IssuedCertificate:
    """Assembles the certificate from linted bytes and their signature.

    Raises:
        IntegrityError: the pinned CA key did not make the signature over exactly these bytes.
    """
    leaf = der.encode(
        der.Certificate(
            tbs_certificate=der.tlv(tbs.der),
            signature_algorithm=algorithm_identifier(algorithm),
            signature_value=asn1.BitString(signature, 0),
        )
    )
    certificate = x509.load_der_x509_certificate(leaf)
    if certificate.tbs_certificate_bytes != tbs.der:
        raise IntegrityError("the assembled certificate must contain the linted TBSCertificate")
    if not verify(issuer, algorithm, signature=certificate.signature, data=certificate.tbs_certificate_bytes):
        raise IntegrityError(
            f"key version {issuer.key_version}: its signature does not verify with the CA certificate's key"
        )
    return IssuedCertificate(
        pem=certificate.public_bytes(serialization.Encoding.PEM) + issuer.chain_pem,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def algorithm_identifier(algorithm: SignatureAlgorithm) -> der.AlgorithmIdentifier:
    """Returns a signature's AlgorithmIdentifier (RFC 4055 §5: NULL for RSA; RFC 5758 §3.2: none for ECDSA)."""
    return der.AlgorithmIdentifier(algorithm=algorithm.identifier, parameters=asn1.Null() if algorithm.rsa else None)


def _extensions(permit: Permit, issuer: Issuer) -> list[der.Extension]:
    def extension(identifier: ObjectIdentifier, value: bytes, *, critical: bool = False) -> der.Extension:
        return der.Extension(extn_id=identifier, critical=critical, extn_value=value)

    info = der.decode(der.SubjectPublicKeyInfo, permit.public_key.subject_public_key_info)
    purposes = [_KEY_PURPOSES[usage] for usage in permit.extended_key_usage]
    aki = der.AuthorityKeyIdentifier(key_identifier=issuer.key_identifier)
    ski = key_identifier(info.subject_public_key.as_bytes())
    return [
        extension(
            der.BASIC_CONSTRAINTS,
            der.encode(der.BasicConstraints(ca=False, path_len_constraint=None)),
            critical=True,
        ),
        extension(der.KEY_USAGE, der.encode(_key_usage(rsa=permit.public_key.rsa)), critical=True),
        extension(der.EXTENDED_KEY_USAGE, der.encode_list(der.ObjectIdentifiers(identifiers=purposes))),
        extension(der.SUBJECT_ALTERNATIVE_NAME, der.encode_list(_general_names(permit))),
        extension(der.SUBJECT_KEY_IDENTIFIER, der.encode(ski)),
        extension(der.AUTHORITY_KEY_IDENTIFIER, der.encode(aki)),
    ]


def key_identifier(subject_public_key: bytes) -> bytes:
    """Returns the leftmost 160 bits of SHA-256 over the key's BIT STRING value (RFC 7093 §2 method 1)."""
    return hashlib.sha256(subject_public_key).digest()[:20]


def _key_usage(*, rsa: bool) -> asn1.BitString:
    # Bit 0 is digitalSignature; bit 2 is keyEncipherment, only for RSA keys. DER drops trailing zero bits.
    return asn1.BitString(b"\xa0", 5) if rsa else asn1.BitString(b"\x80", 7)


def _general_names(permit: Permit) -> der.GeneralNames:
    names: list[der.GeneralNameChoice] = [asn1.Variant(asn1.IA5String(name), "dNSName") for name in permit.dns_names]
    names += [asn1.Variant(address.packed, "iPAddress") for address in permit.ip_addresses]
    return der.GeneralNames(names=names)


def encoded_time(moment: datetime) -> asn1.UTCTime | asn1.GeneralizedTime:
    """Encodes UTCTime through 2049, and GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5)."""
    moment = moment.astimezone(UTC)
    kind = asn1.UTCTime if moment.year < _FIRST_GENERALIZED_YEAR else asn1.GeneralizedTime
    return kind(moment)


def is_for(issued: x509.Certificate, request: CertificationRequest | Violation) -> bool:
    """Tells whether a certificate holds the key of a request."""
    if isinstance(request, Violation) or request.public_key is None:
        return False
    return subject_public_key_info(issued.public_key()) == request.public_key.subject_public_key_info


def tbs_sha256(issued: x509.Certificate) -> str:
    """Returns the hex SHA-256 of a certificate's TBSCertificate, its name in audit records."""
    return hashlib.sha256(issued.tbs_certificate_bytes).hexdigest()
