"""The ASN.1 types of PKCS#10 requests and X.509 certificates that this product reads and writes.

`cryptography.hazmat.asn1` reads and writes strict DER. These types follow RFC 2986 and RFC 5280; other modules decide
which values are acceptable. `TLV` fields keep their bytes unchanged.
"""

import re
from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeVar

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from csr_signer.violation import quote

T = TypeVar("T")

COMMON_NAME = ObjectIdentifier("2.5.4.3")
EXTENSION_REQUEST = ObjectIdentifier("1.2.840.113549.1.9.14")
SUBJECT_KEY_IDENTIFIER = ObjectIdentifier("2.5.29.14")
KEY_USAGE = ObjectIdentifier("2.5.29.15")
SUBJECT_ALTERNATIVE_NAME = ObjectIdentifier("2.5.29.17")
BASIC_CONSTRAINTS = ObjectIdentifier("2.5.29.19")
AUTHORITY_KEY_IDENTIFIER = ObjectIdentifier("2.5.29.35")
EXTENDED_KEY_USAGE = ObjectIdentifier("2.5.29.37")

UTF8_STRING_TAG = b"\x0c"
PRINTABLE_STRING_TAG = b"\x13"
DNS_NAME_TAG = b"\x82"
IP_ADDRESS_TAG = b"\x87"
NULL = b"\x05\x00"


@asn1.sequence
class AlgorithmIdentifier:
    """RFC 5280 §4.1.1.2, with the parameters of RSA PKCS#1 v1.5 (NULL) and ECDSA (absent)."""

    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class AttributeTypeAndValue:
    """RFC 5280 §4.1.2.4; the value's string type is kept."""

    type: ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class Extension:
    """RFC 5280 §4.1; `extn_value` is the DER inside the OCTET STRING."""

    extn_id: ObjectIdentifier
    critical: Annotated[bool, asn1.Default(value=False)]
    extn_value: bytes


@asn1.sequence
class Attribute:
    """RFC 2986 §4.1; the values stay unparsed."""

    type: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class RSAPublicKey:
    """RFC 8017 A.1.1."""

    modulus: int
    public_exponent: int


@asn1.sequence
class PublicKeyAlgorithm:
    """AlgorithmIdentifier of RSA (parameters NULL) and EC keys (parameters the curve), RFC 3279 §2.3."""

    algorithm: ObjectIdentifier
    parameters: asn1.TLV


@asn1.sequence
class SubjectPublicKeyInfo:
    """RFC 5280 §4.1.2.7."""

    algorithm: PublicKeyAlgorithm
    subject_public_key: asn1.BitString


@asn1.sequence
class Name:
    """A boxed RDNSequence (RFC 5280 §4.1.2.4)."""

    rdns: list[asn1.SetOf[AttributeTypeAndValue]]


@asn1.sequence
class CertificationRequestInfo:
    """RFC 2986 §4.1; all parts keep their bytes, so that messages can name the wrong part.

    The attributes are a SET OF. With an IMPLICIT tag, it parses like a list, except for the order of its elements. The
    order does not matter, because more than one element is refused.
    """

    version: int
    subject: asn1.TLV
    subject_public_key_info: asn1.TLV
    attributes: Annotated[list[asn1.TLV], asn1.Implicit(0)]


@asn1.sequence
class CertificationRequest:
    """RFC 2986 §4.2; the signed part and the algorithm keep their bytes: an algorithm may have any parameters."""

    certification_request_info: asn1.TLV
    signature_algorithm: asn1.TLV
    signature: asn1.BitString


GeneralNameChoice = (
    Annotated[asn1.Variant[asn1.IA5String, Literal["dNSName"]], asn1.Implicit(2)]
    | Annotated[asn1.Variant[bytes, Literal["iPAddress"]], asn1.Implicit(7)]
)


@asn1.sequence
class GeneralNames:
    """A boxed SEQUENCE OF GeneralName (RFC 5280 §4.2.1.6), with the two kinds that we write."""

    names: list[GeneralNameChoice]


@asn1.sequence
class Elements:
    """A boxed SEQUENCE OF any elements, for parsing lists of unknown elements."""

    elements: list[asn1.TLV]


@asn1.sequence
class ObjectIdentifiers:
    """A boxed SEQUENCE OF OBJECT IDENTIFIER (ExtKeyUsageSyntax, RFC 5280 §4.2.1.12)."""

    identifiers: list[ObjectIdentifier]


@asn1.sequence
class BasicConstraints:
    """RFC 5280 §4.2.1.9."""

    ca: Annotated[bool, asn1.Default(value=False)]
    path_len_constraint: int | None


@asn1.sequence
class AuthorityKeyIdentifier:
    """RFC 5280 §4.2.1.1, with only the key identifier."""

    key_identifier: Annotated[bytes, asn1.Implicit(0)]


@asn1.sequence
class Validity:
    """RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on."""

    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class TextAttribute:
    """AttributeTypeAndValue with a UTF8String, as we write it."""

    type: ObjectIdentifier
    value: str


@asn1.sequence
class TBSCertificate:
    """RFC 5280 §4.1.2 as we write it: v3, no unique identifiers; issuer and key are copied byte for byte."""

    version: Annotated[int, asn1.Explicit(0)]
    serial_number: int
    signature: AlgorithmIdentifier
    issuer: asn1.TLV
    validity: Validity
    subject: list[asn1.SetOf[TextAttribute]]
    subject_public_key_info: asn1.TLV
    extensions: Annotated[list[Extension], asn1.Explicit(3)]


@asn1.sequence
class Certificate:
    """RFC 5280 §4.1; the TBSCertificate keeps its bytes."""

    tbs_certificate: asn1.TLV
    signature_algorithm: AlgorithmIdentifier
    signature_value: asn1.BitString


@asn1.sequence
class _Box:
    value: asn1.TLV


_KIND: Final = re.compile(r"kind: (\w+)")


def attempt(call: Callable[[], T]) -> T:
    """Calls the library on a requester's bytes, and turns any exception into a ValueError.

    Raises:
        ValueError: the library raised any exception, including a panic of its Rust code, which is no `Exception`.
            Otherwise the exporter would resend such bytes forever. Faults of this process, such as a lack of memory,
            pass through, because the bytes do not cause them.
    """
    try:
        return call()
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise ValueError(str(error)) from error


def decode(kind: type[T], der: bytes) -> T:
    """Decodes DER as a type of this module.

    Raises:
        ValueError: the bytes are not exactly this type in DER; the message has the type and the error, but no bytes.
    """
    try:
        return attempt(lambda: asn1.decode_der(kind, der))
    except ValueError as error:
        known = _KIND.search(str(error))
        raise ValueError(f"{kind.__name__} {known[1] if known else quote(str(error))}") from error


def decode_list(kind: type[T], der: bytes) -> T:
    """Decodes a bare SEQUENCE OF as one of the boxed types of this module.

    Raises:
        ValueError: as for `decode`.
    """
    return decode(kind, asn1.encode_der(_Box(value=tlv(der))))


def encode(value: object) -> bytes:
    """Encodes a value of this module as DER."""
    return asn1.encode_der(value)


def encode_list(boxed: object) -> bytes:
    """Encodes a boxed type as its bare SEQUENCE OF."""
    return bytes(asn1.decode_der(asn1.TLV, asn1.encode_der(boxed)).data)


def tlv(der: bytes) -> asn1.TLV:
    """Returns one DER element with unchanged bytes.

    Raises:
        ValueError: the bytes are not exactly one element.
    """
    return decode(asn1.TLV, der)


def hexadecimal(number: int) -> str:
    """Returns a serial number as `openssl x509 -serial` prints it: whole octets in upper case, without a prefix."""
    digits = f"{abs(number):X}"
    octets = digits if len(digits) % 2 == 0 else f"0{digits}"
    return octets if number >= 0 else f"-{octets}"
