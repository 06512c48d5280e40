"""A root CA certificate on a KMS key: built, linted, recorded, signed and verified like a leaf, by its own profile.

The root issues leaves only (path length 0) and for TLS only (EKU server and client authentication), so that the key's
worth to a thief is bounded by what the cluster's components accept.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer import der
from csr_signer.certificate import SERIAL_BITS, algorithm_identifier, encoded_time, key_identifier
from csr_signer.errors import ConfigurationError, IntegrityError
from csr_signer.issuer import SIGNATURE_ALGORITHMS, KmsPublicKey, SignatureAlgorithm
from csr_signer.lint import LintError, TBSCertificate

BACKDATE: Final = timedelta(minutes=5)
_PURPOSES: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_CERT_SIGN_AND_CRL_SIGN: Final = asn1.BitString(b"\x06", 1)  # bits 5 and 6 of KeyUsage, RFC 5280 §4.2.1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRequest:
    """What the operator asks for.

    Attributes:
        common_name: unique per rotation; relying parties tell CAs apart by it.
        organization: optional, empty for none.
        not_before, not_after: validity, UTC, whole seconds.
        public_key: of the KMS key version.
    """

    common_name: str
    organization: str
    not_before: datetime
    not_after: datetime
    public_key: KmsPublicKey


def algorithm_of(request: RootRequest) -> SignatureAlgorithm:
    """The algorithm of the request's key version.

    Raises:
        ConfigurationError: it signs no certificates here.
    """
    algorithm = SIGNATURE_ALGORITHMS.get(request.public_key.algorithm)
    if algorithm is None:
        raise ConfigurationError(
            f"algorithm {request.public_key.algorithm} signs no certificates here, use one of"
            f" {', '.join(SIGNATURE_ALGORITHMS)}"
        )
    return algorithm


def build(request: RootRequest) -> bytes:
    """DER of the root's TBSCertificate, with a random serial number."""
    key = serialization.load_pem_public_key(request.public_key.pem)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    info = der.decode(der.SubjectPublicKeyInfo, spki)
    attributes = [(NameOID.ORGANIZATION_NAME, request.organization), (NameOID.COMMON_NAME, request.common_name)]
    subject = [asn1.SetOf([der.TextAttribute(type=kind, value=text)]) for kind, text in attributes if text]
    name = x509.Name([x509.NameAttribute(kind, text) for kind, text in attributes if text])
    return der.encode(
        der.TBSCertificate(
            version=2,
            serial_number=secrets.randbits(SERIAL_BITS - 1) | 1 << (SERIAL_BITS - 1),
            signature=algorithm_identifier(algorithm_of(request)),
            issuer=der.tlv(name.public_bytes()),
            validity=der.Validity(
                not_before=encoded_time(request.not_before), not_after=encoded_time(request.not_after)
            ),
            subject=subject,
            subject_public_key_info=der.tlv(spki),
            extensions=_extensions(key_identifier(info.subject_public_key.as_bytes())),
        )
    )


def lint(encoded: bytes, request: RootRequest) -> TBSCertificate:
    """The bytes, cleared by the root's own profile.

    Raises:
        LintError: a field is not as requested; names every such field.
    """
    unsigned = der.encode(
        der.Certificate(
            tbs_certificate=der.tlv(encoded),
            signature_algorithm=algorithm_identifier(algorithm_of(request)),
            signature_value=asn1.BitString(b"", 0),
        )
    )
    certificate = x509.load_der_x509_certificate(unsigned)
    values = {type(extension.value): (extension.critical, extension.value) for extension in certificate.extensions}
    usage = values.get(x509.KeyUsage, (False, None))[1]
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    holds = {
        "common name": [attribute.value for attribute in common_names] == [request.common_name],
        "self-issued": certificate.subject == certificate.issuer,
        "validity": (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        == (request.not_before, request.not_after),
        "public key": certificate.public_key() == serialization.load_pem_public_key(request.public_key.pem),
        "basic constraints": values.get(x509.BasicConstraints) == (True, x509.BasicConstraints(ca=True, path_length=0)),
        "key usage": isinstance(usage, x509.KeyUsage)
        and (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False),
        "extended key usage": values.get(x509.ExtendedKeyUsage) == (False, x509.ExtendedKeyUsage(_PURPOSES)),
        "number of extensions": len(certificate.extensions) == len(_extensions(b"")),
        "bytes": certificate.tbs_certificate_bytes == encoded,
    }
    findings = [name for name, held in holds.items() if not held]
    if findings:
        raise LintError(f"lint: not as requested: {', '.join(findings)}")
    return TBSCertificate(der=encoded, serial_number=certificate.serial_number, purpose="signerctl=ca-create")


def assemble(tbs: TBSCertificate, signature: bytes, request: RootRequest) -> x509.Certificate:
    """The self-signed certificate, its signature verified.

    Raises:
        IntegrityError: the signature is not the key's over exactly these bytes.
    """
    encoded = der.encode(
        der.Certificate(
            tbs_certificate=der.tlv(tbs.der),
            signature_algorithm=algorithm_identifier(algorithm_of(request)),
            signature_value=asn1.BitString(signature, 0),
        )
    )
    certificate = x509.load_der_x509_certificate(encoded)
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise IntegrityError("the signature of the root certificate does not verify with its own key") from error
    return certificate


def _extensions(identifier: bytes) -> list[der.Extension]:
    rows = (
        (der.BASIC_CONSTRAINTS, True, der.encode(der.BasicConstraints(ca=True, path_len_constraint=0))),
        (der.KEY_USAGE, True, der.encode(_CERT_SIGN_AND_CRL_SIGN)),
        (der.EXTENDED_KEY_USAGE, False, der.encode_list(der.ObjectIdentifiers(identifiers=list(_PURPOSES)))),
        (der.SUBJECT_KEY_IDENTIFIER, False, der.encode(identifier)),
    )
    return [der.Extension(extn_id=kind, critical=critical, extn_value=value) for kind, critical, value in rows]
