"""A PKCS#10 CertificationRequest (RFC 2986) for a KMS key, by which a corporate CA makes that key a CA's."""

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
from signerctl import ca_extensions
from signerctl.ca_certificate import identifier_of
from signerctl.ca_extensions import Extensions
from signerctl.key import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """What a request shall say. The corporate CA may answer otherwise: `ca import` looks at what it did.

    Attributes:
        purpose: what it is made for; it stands in KMS's audit log.
        subject: the name that is asked for.
        subject_public_key_info: of the KMS key, DER.
        algorithm: of the signature, which proves possession.
        permitted_dns_names: DNS names below which leaves' shall lie; none: any.
    """

    purpose: str
    subject: x509.Name
    subject_public_key_info: bytes
    algorithm: SignatureAlgorithm
    permitted_dns_names: tuple[str, ...]


@asn1.sequence
class _RequestInfo:
    """CertificationRequestInfo, RFC 2986 §4.1, with the one attribute that we write."""

    version: int
    subject: asn1.TLV
    subject_public_key_info: asn1.TLV
    attributes: Annotated[asn1.SetOf[der.Attribute], asn1.Implicit(0)]


@asn1.sequence
class _Request:
    """CertificationRequest, RFC 2986 §4.2."""

    certification_request_info: asn1.TLV
    signature_algorithm: der.AlgorithmIdentifier
    signature: asn1.BitString


@asn1.sequence
class _Extensions:
    """A boxed SEQUENCE OF Extension."""

    extensions: list[der.Extension]


def extensions(template: RequestTemplate) -> Extensions:
    """Returns what a request must ask for."""
    return ca_extensions.extensions(
        path_length=0,
        permitted_dns_names=template.permitted_dns_names,
        key_identifier=identifier_of(template.subject_public_key_info),
    )


def build(template: RequestTemplate) -> bytes:
    """DER of the CertificationRequestInfo; not cleared for signing yet (`ca_lint`)."""
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
    """DER of a CertificationRequest around its CertificationRequestInfo."""
    return der.encode(
        _Request(
            certification_request_info=der.tlv(info),
            signature_algorithm=algorithm_identifier(algorithm),
            signature=asn1.BitString(signature, 0),
        )
    )


def assemble(tbs: TBSCertificate, signature: bytes, key: SigningKey) -> x509.CertificateSigningRequest:
    """The request around cleared bytes and their signature, its proof of possession verified with KMS's public key.

    Raises:
        IntegrityError: the signature is not the key's over exactly these bytes.
    """
    encoded = encode(tbs.der, key.algorithm, signature)
    request = x509.load_der_x509_csr(encoded)
    cleared = request.tbs_certrequest_bytes == tbs.der and request.public_bytes(Encoding.DER) == encoded
    if not cleared or not key.verifies(signature=request.signature, data=request.tbs_certrequest_bytes):
        raise IntegrityError(
            f"key version {key.key_version}: its signature over the cleared request does not verify with its own key"
        )
    return request
