"""Attributes and requested extensions: what one reader sees and another does not, and what no profile names."""

from typing import Final

from sandbox.calico import der
from tests.corpus.entry import permitted, refused
from tests.corpus.hostile import REQUESTED, SAN, information, signed, with_extensions
from tests.function.builders import (
    BASIC_CONSTRAINTS,
    CLIENT_AUTH,
    DIGITAL_SIGNATURE,
    EXTENDED_KEY_USAGE,
    EXTENSION_REQUEST,
    KEY_USAGE,
    SERVER_AUTH,
    SUBJECT_ALTERNATIVE_NAME,
    Case,
    alternative_names,
    attribute,
    basic_constraints,
    case,
    dns_name,
    extended_key_usages,
    extension,
)

_MICROSOFT: Final = "1.3.6.1.4.1.311.2.1.14"
_EVIL: Final = der.sequence(alternative_names(dns_name(b"kubernetes.default.svc")), basic_constraints(der.TRUE))
_KEY_USAGE: Final = extension(KEY_USAGE, der.named_bits(DIGITAL_SIGNATURE), critical=True)
_EXTENDED: Final = extended_key_usages(SERVER_AUTH, CLIENT_AUTH)


def _attributes(*encoded: bytes) -> bytes:
    return signed(information(attributes=der.explicit(0, *encoded)))


def _foreign(name: str, identifier: str, value: bytes, *, critical: bool = False) -> Case:
    return case(
        name, "request.extension", request=with_extensions(SAN, extension(identifier, value, critical=critical))
    )


ROWS: Final = (
    *refused(
        "Go crypto/x509 concatenates extensionRequest attributes, pyca/cryptography shows the first",
        case(
            "a second extensionRequest before the honest one",
            "request.attribute",
            "san.dns.missing",
            request=_attributes(*sorted([REQUESTED, attribute(EXTENSION_REQUEST, der.sequence())])),
        ),
        case("the same extensionRequest twice", "request.attribute", request=_attributes(REQUESTED, REQUESTED)),
        case(
            "an extensionRequest in Microsoft's name",
            "request.attribute",
            request=_attributes(*sorted([REQUESTED, attribute(_MICROSOFT, _EVIL)], key=len)),
        ),
        case(
            "an extensionRequest in Microsoft's name alone",
            "request.attribute",
            "san.dns.missing",
            request=_attributes(attribute(_MICROSOFT, der.sequence(SAN))),
        ),
    ),
    *refused(
        "RFC 2985 section 5.4.2: attributes and extensionRequests that hold nothing, or something else",
        case(
            "an unstructured name",
            "request.attribute",
            request=_attributes(attribute("1.2.840.113549.1.9.2", der.ia5_text("x")), REQUESTED),
        ),
        case(
            "an attribute that nobody knows",
            "request.attribute",
            request=_attributes(attribute("1.3.6.1.4.1.99999.1", der.NULL), REQUESTED),
        ),
        case(
            "an extensionRequest without values",
            "request.attribute",
            "san.dns.missing",
            request=_attributes(attribute(EXTENSION_REQUEST)),
        ),
        case("an extensionRequest of no extensions", "san.dns.missing", request=with_extensions()),
        case(
            "an extensionRequest that is a set",
            "request.extension",
            "san.dns.missing",
            request=_attributes(attribute(EXTENSION_REQUEST, der.set_of(SAN))),
        ),
        case(
            "an extension without a value",
            "request.extension",
            request=with_extensions(SAN, der.sequence(der.object_identifier(KEY_USAGE))),
        ),
        case(
            "an extension whose value is empty",
            "request.extension",
            request=with_extensions(SAN, extension(KEY_USAGE, b"")),
        ),
        case("an empty extension", "request.extension", request=with_extensions(SAN, der.sequence())),
    ),
    *refused(
        "approver-policy evaluator_rawbypass_test.go, letsencrypt/boulder csr/csr_test.go: duplicate extensions",
        case("the same subjectAltName twice", "request.extension", request=with_extensions(SAN, SAN)),
        case(
            "basic constraints twice, the second a CA's",
            "request.extension",
            request=with_extensions(SAN, basic_constraints(), basic_constraints(der.TRUE)),
        ),
        case("a key usage twice", "request.extension", request=with_extensions(SAN, _KEY_USAGE, _KEY_USAGE)),
        case("an extended key usage twice", "request.extension", request=with_extensions(SAN, _EXTENDED, _EXTENDED)),
    ),
    *refused(
        "RFC 5280 section 4.2.1: values of the extensions that are malformed",
        case(
            "a key usage with set padding bits",
            "request.extension",
            request=with_extensions(SAN, extension(KEY_USAGE, bytes.fromhex("030207ff"))),
        ),
        case(
            "a key usage of nine padding bits",
            "request.extension",
            request=with_extensions(SAN, extension(KEY_USAGE, bytes.fromhex("03020980"))),
        ),
        case(
            "a key usage with data after it",
            "request.extension",
            request=with_extensions(SAN, extension(KEY_USAGE, bytes.fromhex("030207800500"))),
        ),
        case(
            "an extended key usage of nothing", "request.extension", request=with_extensions(SAN, extended_key_usages())
        ),
        case(
            "an extended key usage with data after it",
            "request.extension",
            request=with_extensions(
                SAN, extension(EXTENDED_KEY_USAGE, der.sequence(der.object_identifier(SERVER_AUTH)) + der.NULL)
            ),
        ),
        case(
            "basic constraints that are no sequence",
            "request.extension",
            request=with_extensions(SAN, extension(BASIC_CONSTRAINTS, der.TRUE)),
        ),
        case(
            "basic constraints with data after them",
            "request.extension",
            request=with_extensions(SAN, extension(BASIC_CONSTRAINTS, der.sequence() + der.NULL)),
        ),
        case(
            "a CA's basic constraints with TRUE that is not FF",
            "request.extension",
            request=with_extensions(SAN, basic_constraints(bytes.fromhex("010101"))),
        ),
        case(
            "a subject key identifier that is no octet string",
            "request.extension",
            request=with_extensions(SAN, extension("2.5.29.14", der.integer(1))),
        ),
        case(
            "names that are a set",
            "request.extension",
            "san.dns.missing",
            request=with_extensions(extension(SUBJECT_ALTERNATIVE_NAME, der.set_of(dns_name(b"typha-client")))),
        ),
        case(
            "names that are no DER",
            "request.extension",
            "san.dns.missing",
            request=with_extensions(extension(SUBJECT_ALTERNATIVE_NAME, b"typha-client")),
        ),
    ),
    *refused(
        "RFC 5280 section 4.2.1.9: basic constraints that ask for a CA",
        case(
            "a CA with a huge path length",
            "basic_constraints.ca",
            "request.disagreement",
            request=with_extensions(SAN, basic_constraints(der.TRUE, der.element(0x02, b"\x7f" * 20))),
        ),
        case(
            "a CA with a negative path length",
            "basic_constraints.ca",
            "request.disagreement",
            request=with_extensions(SAN, basic_constraints(der.TRUE, bytes.fromhex("0201ff"))),
        ),
        case(
            "a CA that is not critical",
            "basic_constraints.ca",
            request=with_extensions(SAN, extension(BASIC_CONSTRAINTS, der.sequence(der.TRUE))),
        ),
    ),
    *refused(
        "RFC 5280 section 4.2 and others: extensions that nobody may ask for",
        _foreign("an authority key identifier", "2.5.29.35", der.sequence(der.implicit(0, b"\x01" * 20))),
        _foreign(
            "a certificate policy", "2.5.29.32", der.sequence(der.sequence(der.object_identifier("2.23.140.1.2.1")))
        ),
        _foreign("an issuer's alternative name", "2.5.29.18", der.sequence(dns_name(b"typha-client"))),
        _foreign("a must-staple", "1.3.6.1.5.5.7.1.24", der.sequence(der.integer(5))),
        _foreign("a precertificate's poison", "1.3.6.1.4.1.11129.2.4.3", der.NULL, critical=True),
        _foreign("Netscape's certificate type", "2.16.840.1.113730.1.1", bytes.fromhex("03020204")),
        _foreign("Microsoft's template name", "1.3.6.1.4.1.311.20.2", der.element(0x1E, "SubCA".encode("utf-16-be"))),
        _foreign("a policy constraint", "2.5.29.36", der.sequence(der.implicit(0, b"\x00")), critical=True),
        _foreign("an extension that nobody knows", "1.3.6.1.4.1.99999.2", b"anything", critical=True),
        case(
            "an extension under a longer identifier",
            "request.extension",
            request=with_extensions(SAN, extension(SUBJECT_ALTERNATIVE_NAME + ".1", der.sequence(dns_name(b"x")))),
        ),
    ),
    *permitted(
        "RFC 5280 section 4.2: what a client may ask for otherwise, and the certificate does not follow",
        case(
            "a critical subjectAltName",
            request=with_extensions(
                extension(SUBJECT_ALTERNATIVE_NAME, der.sequence(dns_name(b"typha-client")), critical=True)
            ),
        ),
        case(
            "basic constraints that are not critical",
            request=with_extensions(SAN, extension(BASIC_CONSTRAINTS, der.sequence())),
        ),
        case(
            "a critical extended key usage",
            request=with_extensions(
                SAN, extension(EXTENDED_KEY_USAGE, der.sequence(der.object_identifier(SERVER_AUTH)), critical=True)
            ),
        ),
        case("extensions in another order", request=with_extensions(_EXTENDED, _KEY_USAGE, basic_constraints(), SAN)),
        case(
            "an extended key usage of server auth alone", request=with_extensions(SAN, extended_key_usages(SERVER_AUTH))
        ),
        case("a key usage of digital signature alone", request=with_extensions(SAN, _KEY_USAGE)),
        case("a key usage of no bits", request=with_extensions(SAN, extension(KEY_USAGE, bytes.fromhex("030100")))),
        case(
            "a key usage with zero bits at its end, as GnuTLS writes it",
            request=with_extensions(SAN, extension(KEY_USAGE, bytes.fromhex("030200a8"))),
        ),
        case(
            "a subject key identifier, as keytool writes it",
            request=with_extensions(SAN, extension("2.5.29.14", der.octet_string(b"\x01" * 20))),
        ),
        case("a purpose twice", request=with_extensions(SAN, extended_key_usages(SERVER_AUTH, SERVER_AUTH))),
    ),
)
