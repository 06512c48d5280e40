"""The DER of a request as a whole: what BER allows, what a lenient reader passes over, and what is no request."""

from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.calico import der
from tests.corpus.entry import permitted, refused
from tests.corpus.hostile import (
    COMMON_NAME,
    REQUESTED,
    SAN,
    indefinite,
    information,
    long_form,
    nested,
    signed,
    with_extensions,
    with_rdns,
)
from tests.function.builders import (
    BASIC_CONSTRAINTS,
    ECDSA_WITH_SHA256,
    EXTENSION_REQUEST,
    SUBJECT_ALTERNATIVE_NAME,
    attribute,
    authority,
    case,
    dns_name,
    ec_key,
    extension,
    make_request_der,
    name_attribute,
    pem,
    public_key_info,
    sign,
)

_ALGORITHM: Final = der.sequence(der.object_identifier(ECDSA_WITH_SHA256))
_NAME_WITH_LONG_FORM: Final = der.set_of(
    der.sequence(der.object_identifier("2.5.4.3"), long_form(der.text("typha-client")))
)
_CRITICAL_NOT_FF: Final = der.sequence(
    der.object_identifier(BASIC_CONSTRAINTS), bytes.fromhex("010101"), der.octet_string(der.sequence())
)
_PADDED_ARC: Final = bytes.fromhex("06 04 55 80 04 03")  # 2.5.4.3, its second arc with a leading 0x80 (X.690 §8.19.2)
_HUGE_ARC: Final = der.object_identifier(f"2.5.{1 << 130}")
_MANY_ARCS: Final = der.object_identifier("2.5" + ".4" * 400)
_DEEP: Final = attribute("1.3.6.1.4.1.99999.1", nested(1500))

ROWS: Final = (
    *refused(
        "X.690 sections 8 and 10: BER that is not DER, as lenient readers accept it",
        case("an indefinite length", "request.der", request={"wrap": lambda encoded: pem(indefinite(encoded, 4))}),
        case(
            "an indefinite length within",
            "request.der",
            request=signed(information(subject=indefinite(der.sequence(COMMON_NAME), 2))),
        ),
        case(
            "a long length within", "subject.structure", "subject.common_name", request=with_rdns(_NAME_WITH_LONG_FORM)
        ),
        case(
            "a length of four octets", "request.der", request={"wrap": lambda e: pem(e[:1] + b"\x84\x00\x00" + e[2:])}
        ),
        case("a length beyond the end", "request.der", request=pem(b"\x30\x84\xff\xff\xff\xff\x02\x01\x00")),
        case("a length of 126 octets", "request.der", request=pem(b"\x30\xfe" + b"\xff" * 126)),
        case("a reserved length", "request.der", request=pem(b"\x30\xff" + b"\x00" * 200)),
        case("a version that is padded", "request.der", request=signed(information(version=bytes.fromhex("02020000")))),
        case("a version without a value", "request.der", request=signed(information(version=bytes.fromhex("0200")))),
        case("TRUE that is not FF", "request.extension", request=with_extensions(SAN, _CRITICAL_NOT_FF)),
        case(
            "an identifier whose arc is padded",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(der.set_of(der.sequence(_PADDED_ARC, der.text("typha-client")))),
        ),
        case(
            "an identifier that ends in the middle of an arc",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(COMMON_NAME, der.set_of(der.sequence(bytes.fromhex("0603550484"), der.text("x")))),
        ),
        case(
            "attributes that are not in order",
            "request.attribute",
            request=signed(
                information(attributes=der.explicit(0, REQUESTED, attribute("1.2.840.113549.1.9.2", der.ia5_text("x"))))
            ),
        ),
        case(
            "a constructed octet string",
            "request.extension",
            "san.dns.missing",
            request=with_extensions(
                der.sequence(
                    der.object_identifier(SUBJECT_ALTERNATIVE_NAME),
                    der.element(0x24, der.octet_string(der.sequence(dns_name(b"typha-client")))),
                )
            ),
        ),
    ),
    *refused(
        "Go encoding/asn1 stops early: trailing data",
        case("data after the signature", "request.der", request=signed(tail=der.integer(1))),
        case("data after the attributes", "request.der", request=signed(information(tail=der.integer(1)))),
        case(
            "data after the algorithm",
            "request.signature_algorithm",
            request=signed(algorithm=der.sequence(der.object_identifier(ECDSA_WITH_SHA256), der.NULL, der.NULL)),
        ),
        case(
            "data after the names",
            "request.extension",
            "san.dns.missing",
            request=with_extensions(
                extension(SUBJECT_ALTERNATIVE_NAME, der.sequence(dns_name(b"typha-client")) + der.NULL)
            ),
        ),
        case(
            "data after an extension's value",
            "request.extension",
            "san.dns.missing",
            request=with_extensions(
                der.sequence(
                    der.object_identifier(SUBJECT_ALTERNATIVE_NAME),
                    der.octet_string(der.sequence(dns_name(b"typha-client"))),
                    der.NULL,
                )
            ),
        ),
        case(
            "data after an attribute's value",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(
                der.set_of(der.sequence(der.object_identifier("2.5.4.3"), der.text("typha-client"), der.NULL))
            ),
        ),
        case(
            "data after an attribute's set",
            "request.attribute",
            "san.dns.missing",
            request=signed(
                information(
                    attributes=der.explicit(
                        0,
                        der.sequence(der.object_identifier(EXTENSION_REQUEST), der.set_of(der.sequence(SAN)), der.NULL),
                    )
                )
            ),
        ),
    ),
    *refused(
        "RFC 2986 section 4: elements that are missing or are something else",
        case("an empty sequence", "request.der", request=pem(der.sequence())),
        case("a number", "request.der", request=pem(der.integer(1))),
        case("no signature element", "request.der", request=pem(der.sequence(information(), _ALGORITHM))),
        case("no attributes element", "request.der", request=signed(information(attributes=b""))),
        case(
            "attributes under another tag",
            "request.der",
            request=signed(information(attributes=der.explicit(1, REQUESTED))),
        ),
        case(
            "attributes of an attribute without values",
            "request.attribute",
            "san.dns.missing",
            request=signed(
                information(attributes=der.explicit(0, der.sequence(der.object_identifier(EXTENSION_REQUEST))))
            ),
        ),
        case("no version", "request.der", request=signed(information(version=b""))),
        case("no subject", "request.der", request=signed(information(subject=b""))),
        case(
            "a subject that is a set",
            "subject.structure",
            "subject.common_name",
            request=signed(information(subject=der.set_of(COMMON_NAME))),
        ),
        case(
            "a signature that is an octet string",
            "request.der",
            request=signed(signature=der.octet_string(sign(ec_key(), information()))),
        ),
        case("a certificate", "request.der", request=pem(authority().certificate.public_bytes(Encoding.DER))),
        case("a key", "request.der", request=pem(public_key_info(ec_key()))),
        case(
            "a request within a sequence", "request.der", request={"wrap": lambda encoded: pem(der.sequence(encoded))}
        ),
        case("two requests in one block", "request.der", request=pem(make_request_der() * 2)),
        case("a request after a byte", "request.der", request=pem(b"\x00" + make_request_der())),
        case("the class of applications", "request.der", request={"wrap": lambda encoded: pem(b"\x70" + encoded[1:])}),
        case("a tag of several octets", "request.der", request={"wrap": lambda e: pem(b"\x3f\x81\x10" + e[1:])}),
    ),
    *refused(
        "ours: bounded work on deep, long and huge values",
        case("sequences thousands deep", "request.der", request=pem(nested(2500))),
        case(
            "an attribute of sequences a thousand deep",
            "request.attribute",
            request=signed(information(attributes=der.explicit(0, REQUESTED, _DEEP))),
        ),
        case(
            "an identifier of a huge arc",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(COMMON_NAME, der.set_of(der.sequence(_HUGE_ARC, der.text("x")))),
        ),
        case(
            "an identifier of 400 arcs",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(COMMON_NAME, der.set_of(der.sequence(_MANY_ARCS, der.text("x")))),
        ),
        case(
            "a version of a thousand octets",
            "request.der",
            request=signed(information(version=der.element(0x02, b"\x01" * 1000))),
        ),
        case("a version below zero", "request.der", request=signed(information(version=bytes.fromhex("0201ff")))),
        case("a version of 2", "request.der", request=signed(information(version=der.integer(2)))),
        case(
            "five hundred subject attributes",
            "subject.structure",
            "subject.attribute",
            request=with_rdns(COMMON_NAME, *[name_attribute("2.5.4.11", der.text("x"))] * 500),
        ),
        case(
            "four hundred common names",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(*[COMMON_NAME] * 400),
        ),
    ),
    *permitted(
        "ours: the smallest request that asks for what the component must have",
        case("a common name and a subjectAltName alone", request=signed()),
    ),
)
