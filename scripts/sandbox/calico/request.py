"""The PKCS#10 CertificationRequest (RFC 2986) of Calico's client: key-cert-provisioner/pkg/tls/tls.go.

Every part is a field with the client's value as its default, so that an attack changes only one part.
"""

import base64
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sandbox.calico import der
from sandbox.calico.keys import PrivateKey, SignatureAlgorithm, signature_algorithm, subject_public_key_info

# The order of Go's pkix.Name.ToRDNSequence, which differs from its documentation. The client has these constants.
SUBJECT: tuple[tuple[str, str], ...] = (
    ("2.5.4.6", "US"),
    ("2.5.4.8", "California"),
    ("2.5.4.7", "San Francisco"),
    ("2.5.4.10", "Tigera"),
    ("2.5.4.11", "Engineering"),
)
COMMON_NAME = "2.5.4.3"
EMAIL_ADDRESS = "1.2.840.113549.1.9.1"
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
KEY_USAGE, SUBJECT_ALTERNATIVE_NAME = "2.5.29.15", "2.5.29.17"
BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE = "2.5.29.19", "2.5.29.37"
SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_AGREEMENT, KEY_CERT_SIGN = 0, 2, 4, 5  # RFC 5280 §4.2.1.3

Signature = Callable[[bytes], bytes]
"""Signs a CertificationRequestInfo; hostile requests replace it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of a CertificationRequest: the client's template, with optional replacements of its parts.

    Attributes:
        common_name: The last attribute of the subject; None for none.
        dns_names: Names for the SAN, in order.
        address: The only address for the SAN; None for none. As in the client, which does not check net.ParseIP, text
            that is no address gives an empty address.
        email_address: Another attribute of the subject, after the common name.
        subject: The attributes before the common name.
        rdns: Further RDNs at the end of the subject, encoded.
        other_names: Further GeneralNames for the SAN, encoded.
        authority: CA:TRUE or CA:FALSE of the basic constraints; None for no basic constraints.
        key_usage: Bits of the key usage; None for no key usage.
        extended_key_usage: Its object identifiers; None for no extended key usage.
        other_extensions: Extensions after the client's four, encoded.
        extensions: All extensions, encoded, in place of the client's.
        other_attributes: Attributes beside the extensionRequest, encoded.
        attributes: All attributes, encoded, in place of the client's.
        version: Version of the CertificationRequestInfo.
    """

    common_name: str | None
    dns_names: Sequence[str]
    address: str | None
    email_address: str = ""
    subject: Sequence[tuple[str, str]] = SUBJECT
    rdns: Sequence[bytes] = ()
    other_names: Sequence[bytes] = ()
    authority: bool | None = False
    key_usage: Sequence[int] | None = (DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_AGREEMENT)
    extended_key_usage: Sequence[str] | None = (SERVER_AUTH, CLIENT_AUTH)
    other_extensions: Sequence[bytes] = ()
    extensions: Sequence[bytes] | None = None
    other_attributes: Sequence[bytes] = ()
    attributes: bytes | None = None
    version: int = 0


def certification_request(content: Content, key: PrivateKey, algorithm: str = "") -> bytes:
    """Returns the DER of a CertificationRequest, signed by its own key.

    Args:
        content: Its content.
        key: An RSA or EC key.
        algorithm: Name of a signature algorithm; empty for the client's default.

    Raises:
        KeyMismatchError: The algorithm belongs to another kind of key.
    """
    chosen: SignatureAlgorithm = signature_algorithm(algorithm)
    return assemble(
        content,
        subject_public_key_info(key),
        chosen.algorithm_identifier(),
        lambda information: chosen.sign(key, information),
    )


def assemble(content: Content, public_key_info: bytes, algorithm_identifier: bytes, signature: Signature) -> bytes:
    """Returns the DER of a CertificationRequest with any key and any signature."""
    information = der.sequence(
        der.integer(content.version),
        _subject(content),
        public_key_info,
        der.explicit(0, _attributes(content) if content.attributes is None else content.attributes),
    )
    return der.sequence(information, algorithm_identifier, der.bit_string(signature(information)))


def pem(encoded: bytes, label: str = "CERTIFICATE REQUEST") -> bytes:
    """Encodes one PEM block with lines of 64 characters, as Go's encoding/pem does."""
    body = base64.b64encode(encoded).decode()
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def extension_request(*extensions: bytes) -> bytes:
    """Encodes the attribute for requested extensions (RFC 2985 §5.4.2)."""
    return attribute(EXTENSION_REQUEST, der.sequence(*extensions))


def attribute(identifier: str, *values: bytes) -> bytes:
    """Encodes one attribute of a CertificationRequestInfo (RFC 2986 §4.1)."""
    return der.sequence(der.object_identifier(identifier), der.set_of(*values))


def extension(identifier: str, value: bytes, *, critical: bool = False) -> bytes:
    """Encodes an Extension (RFC 5280 §4.1); as DER requires, it leaves out the DEFAULT of critical."""
    return der.sequence(
        der.object_identifier(identifier),
        *([der.TRUE] if critical else []),
        der.octet_string(value),
    )


def basic_constraints(*content: bytes) -> bytes:
    """Encodes critical basicConstraints from encoded content: an empty SEQUENCE means CA:FALSE."""
    return extension(BASIC_CONSTRAINTS, der.sequence(*content), critical=True)


def alternative_names(*names: bytes) -> bytes:
    """Encodes a subjectAltName from encoded GeneralNames."""
    return extension(SUBJECT_ALTERNATIVE_NAME, der.sequence(*names))


def extended_key_usages(*purposes: str) -> bytes:
    """Encodes an extKeyUsage from object identifiers."""
    return extension(EXTENDED_KEY_USAGE, der.sequence(*map(der.object_identifier, purposes)))


def dns_name(name: bytes) -> bytes:
    """Encodes a dNSName from any bytes."""
    return der.implicit(2, name)


def ip_address(address: str) -> bytes:
    """Encodes an iPAddress; it is empty if the text is no address."""
    try:
        return der.implicit(7, ipaddress.ip_address(address).packed)
    except ValueError:
        return der.implicit(7, b"")


def name_attribute(kind: str, value: bytes) -> bytes:
    """Encodes an RDN of one attribute from its encoded value."""
    return der.set_of(der.sequence(der.object_identifier(kind), value))


def _subject(content: Content) -> bytes:
    attributes = [(kind, der.text(value)) for kind, value in content.subject]
    if content.common_name is not None:
        attributes.append((COMMON_NAME, der.text(content.common_name)))
    if content.email_address:
        attributes.append((EMAIL_ADDRESS, der.ia5_text(content.email_address)))
    return der.sequence(*(name_attribute(kind, value) for kind, value in attributes), *content.rdns)


def _attributes(content: Content) -> bytes:
    requested = extension_request(*(_extensions(content) if content.extensions is None else content.extensions))
    return b"".join(sorted((requested, *content.other_attributes)))  # a SET OF


def _extensions(content: Content) -> Iterator[bytes]:
    names = [dns_name(name.encode("ascii")) for name in content.dns_names]
    if content.address is not None:
        names.append(ip_address(content.address))
    yield alternative_names(*names, *content.other_names)
    if content.authority is not None:
        yield basic_constraints(*([der.TRUE] if content.authority else []))
    if content.key_usage is not None:
        yield extension(KEY_USAGE, der.named_bits(*content.key_usage), critical=True)
    if content.extended_key_usage is not None:
        yield extended_key_usages(*content.extended_key_usage)
    yield from content.other_extensions
