"""Attributes and requested extensions: what one reader sees and another does not, and what no profile names."""

from typing import Final

from sandbox.calico import der
from tests.unit.function.builders import (
    BASIC_CONSTRAINTS,
    CLIENT_AUTH,
    DIGITAL_SIGNATURE,
    EXTENDED_KEY_USAGE,
    EXTENSION_REQUEST,
    KEY_USAGE,
    SERVER_AUTH,
    SUBJECT_ALTERNATIVE_NAME,
    alternative_names,
    attribute,
    basic_constraints,
    dns_name,
    extended_key_usages,
    extension,
)
from tests.unit.function.requests.malformed import REQUESTED, SAN, UNREADABLE_NAMES, with_attributes, with_extensions
from tests.unit.function.requests.table import invalid, permitted, refused, row, table

_MICROSOFT: Final = "1.3.6.1.4.1.311.2.1.14"
_EVIL: Final = der.sequence(alternative_names(dns_name(b"kubernetes.default.svc")), basic_constraints(der.TRUE))
_USAGE: Final = extension(KEY_USAGE, der.named_bits(DIGITAL_SIGNATURE), critical=True)
_PURPOSES: Final = extended_key_usages(SERVER_AUTH, CLIENT_AUTH)
_HUGE: Final = der.element(0x02, b"\x7f" * 20)
_POLICY: Final = der.sequence(der.object_identifier("2.23.140.1.2.1"))
_SAN: Final = SUBJECT_ALTERNATIVE_NAME
_NO_CA: Final = basic_constraints()
_PURPOSE: Final = der.sequence(der.object_identifier(SERVER_AUTH))
_KEY_IDENTIFIER: Final = "2.5.29.14"
_NAMES: Final = dns_name(b"typha-client")
_EMPTY: Final = attribute(EXTENSION_REQUEST, der.sequence())
_SET: Final = attribute(EXTENSION_REQUEST, der.set_of(SAN))
_NO_VALUE: Final = der.sequence(der.object_identifier(KEY_USAGE))


def _beside_names(encoded: bytes) -> bytes:
    return with_extensions(SAN, encoded)


def _usage(text: str) -> bytes:
    """A key usage of any bytes."""
    return extension(KEY_USAGE, bytes.fromhex(text))


CASES: Final = table(
    refused("Go concatenates these attributes, pyca shows the first", "request", "request.attribute"),
    row("a second extensionRequest before the honest one", with_attributes(_EMPTY, REQUESTED), "san.dns.missing"),
    invalid("the same extensionRequest twice", with_attributes(REQUESTED, REQUESTED)),
    row("an extensionRequest in Microsoft's name", with_attributes(REQUESTED, attribute(_MICROSOFT, _EVIL))),
    row(
        "an extensionRequest in Microsoft's name alone",
        with_attributes(attribute(_MICROSOFT, der.sequence(SAN))),
        "san.dns.missing",
    ),
    refused("RFC 2985 section 5.4.2: no value, or another one", "request", "request.attribute"),
    row("an unstructured name", with_attributes(attribute("1.2.840.113549.1.9.2", der.ia5_text("x")), REQUESTED)),
    row("an unknown attribute", with_attributes(attribute("1.3.6.1.4.1.99999.1", der.NULL), REQUESTED)),
    row("an extensionRequest without values", with_attributes(attribute(EXTENSION_REQUEST)), "san.dns.missing"),
    refused("RFC 2985 section 5.4.2: no value, or another one", "request"),
    row("an extensionRequest of no extensions", with_extensions(), "san.dns.missing"),
    invalid("an extensionRequest that is a set", with_attributes(_SET), *UNREADABLE_NAMES),
    row("an extension whose value is empty", _beside_names(_usage("")), "request.extension"),
    invalid("an extension without a value", _beside_names(_NO_VALUE), "request.extension"),
    invalid("an empty extension", _beside_names(der.sequence()), "request.extension"),
    refused("approver-policy, boulder csr_test.go: duplicates", "request", "request.extension"),
    invalid("the same subjectAltName twice", with_extensions(SAN, SAN)),
    invalid("basic constraints twice, the second a CA's", with_extensions(SAN, _NO_CA, basic_constraints(der.TRUE))),
    invalid("a key usage twice", with_extensions(SAN, _USAGE, _USAGE)),
    invalid("an extended key usage twice", with_extensions(SAN, _PURPOSES, _PURPOSES)),
    refused("RFC 5280 section 4.2.1: malformed values", "request", "request.extension", of=_beside_names),
    row("a key usage with set padding bits", _usage("030207ff")),
    row("a key usage of nine padding bits", _usage("03020980")),
    row("a key usage with data after it", _usage("030207800500")),
    row("an extended key usage of nothing", extended_key_usages()),
    row("an extended key usage with data after it", extension(EXTENDED_KEY_USAGE, _PURPOSE + der.NULL)),
    row("basic constraints that are no sequence", extension(BASIC_CONSTRAINTS, der.TRUE)),
    row("basic constraints with data after them", extension(BASIC_CONSTRAINTS, der.sequence() + der.NULL)),
    row("a CA's basic constraints with TRUE that is not FF", basic_constraints(bytes.fromhex("010101"))),
    row("a subject key identifier that is no octet string", extension(_KEY_IDENTIFIER, der.integer(1))),
    refused(
        "RFC 5280 section 4.2.1.6: malformed values",
        "request",
        *UNREADABLE_NAMES,
        of=lambda value: with_extensions(extension(_SAN, value)),
    ),
    invalid("names that are a set", der.set_of(_NAMES)),
    invalid("names that are no DER", b"typha-client"),
    refused("RFC 5280 section 4.2.1.9", "request", "basic_constraints.ca", of=_beside_names),
    row("a CA with a huge path length", basic_constraints(der.TRUE, _HUGE), "request.disagreement"),
    row("a CA with a negative path length", basic_constraints(der.TRUE, der.integer(-1)), "request.disagreement"),
    row("a CA that is not critical", extension(BASIC_CONSTRAINTS, der.sequence(der.TRUE))),
    refused("RFC 5280 section 4.2 and others", "request", "request.extension", of=_beside_names),
    row("an authority key identifier", extension("2.5.29.35", der.sequence(der.implicit(0, b"\x01" * 20)))),
    row("a certificate policy", extension("2.5.29.32", der.sequence(_POLICY))),
    row("an issuer's alternative name", extension("2.5.29.18", der.sequence(_NAMES))),
    row("a must-staple", extension("1.3.6.1.5.5.7.1.24", der.sequence(der.integer(5)))),
    row("a precertificate's poison", extension("1.3.6.1.4.1.11129.2.4.3", der.NULL, critical=True)),
    row("Netscape's certificate type", extension("2.16.840.1.113730.1.1", bytes.fromhex("03020204"))),
    row("Microsoft's template name", extension("1.3.6.1.4.1.311.20.2", der.element(0x1E, "SubCA".encode("utf-16-be")))),
    row("a policy constraint", extension("2.5.29.36", der.sequence(der.implicit(0, b"\x00")), critical=True)),
    row("an unknown extension", extension("1.3.6.1.4.1.99999.2", b"anything", critical=True)),
    row("an extension under a longer identifier", extension(f"{_SAN}.1", der.sequence(dns_name(b"x")))),
    permitted("RFC 5280 section 4.2: the certificate does not follow", "request", of=_beside_names),
    row("basic constraints that are not critical", extension(BASIC_CONSTRAINTS, der.sequence())),
    row("a critical extended key usage", extension(EXTENDED_KEY_USAGE, _PURPOSE, critical=True)),
    row("an extended key usage of server auth alone", extended_key_usages(SERVER_AUTH)),
    row("a key usage of digital signature alone", _USAGE),
    row("a key usage of no bits", _usage("030100")),
    row("a key usage with zero bits at its end, as GnuTLS writes it", _usage("030200a8")),
    row("a subject key identifier, as keytool writes it", extension(_KEY_IDENTIFIER, der.octet_string(b"\x01" * 20))),
    row("a purpose twice", extended_key_usages(SERVER_AUTH, SERVER_AUTH)),
    permitted("RFC 5280 section 4.2: the certificate does not follow", "request"),
    row("a critical subjectAltName", with_extensions(extension(_SAN, der.sequence(_NAMES), critical=True))),
    row("extensions in another order", with_extensions(_PURPOSES, _USAGE, basic_constraints(), SAN)),
)
