"""The DER of a request as a whole: what BER allows, what a lenient reader skips, and what is no request."""

from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.calico import der
from tests.unit.function.builders import (
    BASIC_CONSTRAINTS,
    COMMON_NAME,
    EXTENSION_REQUEST,
    SUBJECT_ALTERNATIVE_NAME,
    attribute,
    authority,
    dns_name,
    ec_key,
    extension,
    make_request_der,
    name_attribute,
    pem,
    public_key_info,
    sign,
)
from tests.unit.function.requests.malformed import (
    ECDSA,
    NAME,
    REQUESTED,
    SAN,
    UNREADABLE_NAMES,
    UNREADABLE_SUBJECT,
    indefinite,
    information,
    long_form,
    nested,
    signed,
    with_attributes,
    with_extensions,
    with_rdns,
)
from tests.unit.function.requests.table import invalid, permitted, refused, row, table

_DER: Final = make_request_der()
_COMMON_NAME: Final = der.object_identifier(COMMON_NAME)
_VALUE: Final = der.text("typha-client")
_UNIT: Final = name_attribute("2.5.4.11", der.text("x"))
_SAN: Final = SUBJECT_ALTERNATIVE_NAME
_NAMES: Final = der.sequence(dns_name(b"typha-client"))
_NAMES_AND_NULL: Final = der.sequence(der.object_identifier(_SAN), der.octet_string(_NAMES), der.NULL)
_CONSTRUCTED_NAMES: Final = der.sequence(der.object_identifier(_SAN), der.element(0x24, der.octet_string(_NAMES)))
_CRITICAL_NOT_FF: Final = der.sequence(
    der.object_identifier(BASIC_CONSTRAINTS), bytes.fromhex("010101"), der.octet_string(der.sequence())
)
_NO_SET: Final = der.sequence(der.object_identifier(EXTENSION_REQUEST))
_SET_AND_NULL: Final = der.sequence(der.object_identifier(EXTENSION_REQUEST), der.set_of(der.sequence(SAN)), der.NULL)
_UNSTRUCTURED_NAME: Final = attribute("1.2.840.113549.1.9.2", der.ia5_text("x"))
_DEEP: Final = attribute("1.3.6.1.4.1.99999.1", nested(1500))
_ALGORITHM_AND_NULLS: Final = der.sequence(ECDSA, der.NULL, der.NULL)
_PADDED_ARC: Final = bytes.fromhex("06 04 55 80 04 03")  # 2.5.4.3, its second arc with a leading 0x80 (X.690 §8.19.2)
_HALF_ARC: Final = bytes.fromhex("06 03 55 04 84")
_HUGE_ARC: Final = der.object_identifier(f"2.5.{1 << 130}")
_MANY_ARCS: Final = der.object_identifier("2.5" + ".4" * 400)
_UNREADABLE_ATTRIBUTE: Final = ("request.attribute", "san.dns.missing")


def _rdn(*encoded: bytes) -> bytes:
    """An RDN of one attribute with any elements in it."""
    return der.set_of(der.sequence(*encoded))


def _version(encoded: bytes) -> bytes:
    return signed(information(version=encoded))


CASES: Final = table(
    refused("X.690 sections 8 and 10: BER that is not DER", "request", "request.der"),
    invalid("an indefinite length", pem(indefinite(_DER, 4))),
    invalid("an indefinite length within", signed(information(subject=indefinite(der.sequence(NAME), 2)))),
    invalid("a length of four octets", pem(_DER[:1] + b"\x84\x00\x00" + _DER[2:])),
    invalid("a length beyond the end", pem(b"\x30\x84\xff\xff\xff\xff\x02\x01\x00")),
    invalid("a length of 126 octets", pem(b"\x30\xfe" + b"\xff" * 126)),
    invalid("a reserved length", pem(b"\x30\xff" + b"\x00" * 200)),
    invalid("a version that is padded", _version(bytes.fromhex("02020000"))),
    invalid("a version without a value", _version(bytes.fromhex("0200"))),
    refused("X.690 sections 8 and 10: BER in the subject", "request", *UNREADABLE_SUBJECT),
    invalid("a long length within", with_rdns(_rdn(_COMMON_NAME, long_form(_VALUE)))),
    invalid("an identifier whose arc is padded", with_rdns(_rdn(_PADDED_ARC, _VALUE))),
    invalid("an identifier that ends in the middle of an arc", with_rdns(NAME, _rdn(_HALF_ARC, der.text("x")))),
    refused("X.690 sections 8 and 10: BER in attributes and extensions", "request"),
    invalid("TRUE that is not FF", with_extensions(SAN, _CRITICAL_NOT_FF), "request.extension"),
    row("attributes that are not in order", with_attributes(REQUESTED, _UNSTRUCTURED_NAME), "request.attribute"),
    invalid("a constructed octet string", with_extensions(_CONSTRUCTED_NAMES), *UNREADABLE_NAMES),
    refused("Go encoding/asn1 stops early: trailing data", "request"),
    row("data after the signature", signed(tail=der.integer(1)), "request.der"),
    row("data after the attributes", signed(information(tail=der.integer(1))), "request.der"),
    row("data after the algorithm", signed(algorithm=_ALGORITHM_AND_NULLS), "request.signature_algorithm"),
    row("data after the names", with_extensions(extension(_SAN, _NAMES + der.NULL)), *UNREADABLE_NAMES),
    row("data after an extension's value", with_extensions(_NAMES_AND_NULL), *UNREADABLE_NAMES),
    row("data after an attribute's value", with_rdns(_rdn(_COMMON_NAME, _VALUE, der.NULL)), *UNREADABLE_SUBJECT),
    row("data after an attribute's set", with_attributes(_SET_AND_NULL), *_UNREADABLE_ATTRIBUTE),
    refused("RFC 2986 section 4: elements that are missing or are something else", "request", "request.der"),
    invalid("an empty sequence", pem(der.sequence())),
    invalid("a number", pem(der.integer(1))),
    invalid("no signature element", pem(der.sequence(information(), der.sequence(ECDSA)))),
    invalid("no attributes element", signed(information(attributes=b""))),
    invalid("attributes under another tag", signed(information(attributes=der.explicit(1, REQUESTED)))),
    invalid("no version", _version(b"")),
    invalid("no subject", signed(information(subject=b""))),
    invalid("a signature that is an octet string", signed(signature=der.octet_string(sign(ec_key(), information())))),
    invalid("a certificate", pem(authority().certificate.public_bytes(Encoding.DER))),
    invalid("a key", pem(public_key_info(ec_key()))),
    invalid("a request within a sequence", pem(der.sequence(_DER))),
    invalid("two requests in one block", pem(_DER * 2)),
    invalid("a request after a byte", pem(b"\x00" + _DER)),
    invalid("the class of applications", pem(b"\x70" + _DER[1:])),
    invalid("a tag of several octets", pem(b"\x3f\x81\x10" + _DER[1:])),
    refused("RFC 2986 section 4: parts that are something else", "request"),
    row("attributes of an attribute without values", with_attributes(_NO_SET), *_UNREADABLE_ATTRIBUTE),
    invalid("a subject that is a set", signed(information(subject=der.set_of(NAME))), *UNREADABLE_SUBJECT),
    refused("ours: bounded work on deep, long and huge values", "request"),
    invalid("sequences thousands deep", pem(nested(2500)), "request.der"),
    row("an attribute of sequences a thousand deep", with_attributes(REQUESTED, _DEEP), "request.attribute"),
    invalid("an identifier of a huge arc", with_rdns(NAME, _rdn(_HUGE_ARC, der.text("x"))), *UNREADABLE_SUBJECT),
    row("an identifier of 400 arcs", with_rdns(NAME, _rdn(_MANY_ARCS, der.text("x"))), *UNREADABLE_SUBJECT),
    invalid("a version of a thousand octets", _version(der.element(0x02, b"\x01" * 1000)), "request.der"),
    row("a version below zero", _version(bytes.fromhex("0201ff")), "request.der"),
    row("a version of 2", _version(der.integer(2)), "request.der"),
    row("five hundred subject attributes", with_rdns(NAME, *[_UNIT] * 500), "subject.structure", "subject.attribute"),
    row("four hundred common names", with_rdns(*[NAME] * 400), *UNREADABLE_SUBJECT),
    permitted("ours: the smallest request that asks for what the component must have", "request"),
    row("a common name and a subjectAltName alone", signed()),
)
