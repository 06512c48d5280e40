"""A PKCS#10 CertificationRequest (RFC 2986) that asks a corporate CA for a CA certificate for a KMS key."""

from dataclasses import dataclass
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding

from csr_signer import der
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.errors import IntegrityError
from csr_signer.issuance.certificate import algorithm_identifier
from csr_signer.issuance.lint import TBSCertificate
from signerctl.ca import extensions as ca_extensions
from signerctl.ca.certificate import identifier_of
from signerctl.ca.extensions import Extensions
from signerctl.key import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """The fields of a request. The corporate CA may grant others; `ca import` checks them.

    Attributes:
        purpose: The command that makes it, for KMS's audit log.
        subject: The requested name.
        subject_public_key_info: The KMS key's public key, DER.
        algorithm: The algorithm of the signature, which proves possession.
        permitted_dns_names: DNS names that leaves must equal or be below; empty if every name is permitted.
    """

    purpose: str
    subject: x509.Name
    subject_public_key_info: bytes
    algorithm: SignatureAlgorithm
    permitted_dns_names: tuple[str, ...]


@asn1.sequence
class _RequestInfo:
    """CertificationRequestInfo (RFC 2986 §4.1) with one attribute, extensionRequest."""

    version: int
    subject: asn1.TLV
    subject_public_key_info: asn1.TLV
    attributes: Annotated[asn1.SetOf[der.Attribute], asn1.Implicit(0)]


@asn1.sequence
class _Request:
    """CertificationRequest (RFC 2986 §4.2)."""

    certification_request_info: asn1.TLV
    signature_algorithm: der.AlgorithmIdentifier
    signature: asn1.BitString


@asn1.sequence
class _Extensions:
    """SEQUENCE OF Extension: pyca's ASN.1 encoder needs a sequence type around a list."""

    extensions: list[der.Extension]


def extensions(template: RequestTemplate) -> Extensions:
    """Returns the extensions that the request must ask for."""
    return ca_extensions.extensions(
        path_length=0,
        permitted_dns_names=template.permitted_dns_names,
        key_identifier=identifier_of(template.subject_public_key_info),
    )


def build(template: RequestTemplate) -> bytes:
    """Returns the DER of the CertificationRequestInfo; `ca_lint` clears it for signing."""
    requested = ca_extensions.encoded(extensions(template))
    value = der.tlv(der.encode_list(_Extensions(extensions=requested)))
    return der.encode(
        _RequestInfo(
            version=0,
            subject=der.tlv(template.subject.public_bytes()),
            subject_public_key_info=der.tlv(template.subject_public_key_info),
            attributes=asn1.SetOf([der.Attribute(type=der.EXTENSION_REQUEST, values=asn1.SetOf([value]))]),
        )
    )


def encode(info: bytes, algorithm: SignatureAlgorithm, signature: bytes) -> bytes:
    """Returns the DER of a CertificationRequest."""
    return der.encode(
        _Request(
            certification_request_info=der.tlv(info),
            signature_algorithm=algorithm_identifier(algorithm),
            signature=asn1.BitString(signature, 0),
        )
    )


def assemble(tbs: TBSCertificate, signature: bytes, key: SigningKey) -> x509.CertificateSigningRequest:
    """Assembles the request from linted bytes and their signature, and verifies the proof of possession.

    Raises:
        IntegrityError: The key did not make the signature over exactly these bytes.
    """
    encoded = encode(tbs.der, key.algorithm, signature)
    request = x509.load_der_x509_csr(encoded)
    unchanged = request.tbs_certrequest_bytes == tbs.der and request.public_bytes(Encoding.DER) == encoded
    if not unchanged or not key.verifies(signature=request.signature, data=request.tbs_certrequest_bytes):
        raise IntegrityError(
            f"key version {key.key_version}: the signature over the request does not verify with the key version's own"
            " public key"
        )
    return request
