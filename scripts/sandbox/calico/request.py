"""The PKCS#10 CertificationRequest (RFC 2986) of Calico's client: key-cert-provisioner/pkg/tls/tls.go.

Every part is a field with the client's value as its default, so that an attacker is the same request with
one thing wrong.
"""

import base64
import ipaddress
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.calico import der
from sandbox.calico.keys import PrivateKey, SignatureAlgorithm, signature_algorithm, subject_public_key_info

# In the order in which Go's pkix.Name.ToRDNSequence writes them, which is not the order that its documentation
# lists. They are constants of the client and say nothing about anyone.
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
SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_AGREEMENT, KEY_CERT_SIGN = 0, 2, 4, 5  # RFC 5280 §4.2.1.3

Signature = Callable[[bytes], bytes]
"""Signs CertificationRequestInfo; what a hostile request replaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a CertificationRequest asks for.

    Attributes:
        common_name: The last attribute of the subject.
        dns_names: Names for the SAN, in order.
        address: The one address for the SAN; None for none. Text that is no address gives an empty one, as in
            the client (net.ParseIP is not checked).
        email_address: Another attribute of the subject, after the common name.
        subject: The attributes before the common name.
        other_names: Further GeneralNames for the SAN, encoded.
        authority: Whether basic constraints say CA:TRUE; None for no basic constraints.
        key_usage: Bits of the key usage.
        extended_key_usage: Its object identifiers.
        other_attributes: Attributes beside the extensionRequest, encoded.
    """

    common_name: str
    dns_names: tuple[str, ...]
    address: str | None
    email_address: str = ""
    subject: tuple[tuple[str, str], ...] = SUBJECT
    other_names: tuple[bytes, ...] = ()
    authority: bool | None = False
    key_usage: tuple[int, ...] = (DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_AGREEMENT)
    extended_key_usage: tuple[str, ...] = (SERVER_AUTH, CLIENT_AUTH)
    other_attributes: tuple[bytes, ...] = ()


def certification_request(content: Content, key: PrivateKey, algorithm: str = "") -> bytes:
    """DER of a CertificationRequest, signed by the key that it is for.

    Args:
        content: What it asks for.
        key: RSA or on a curve.
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
    """DER of a CertificationRequest with any key and any signature."""
    information = der.sequence(
        der.integer(0),
        _subject(content),
        public_key_info,
        der.explicit(0, _attributes(content)),
    )
    return der.sequence(information, algorithm_identifier, der.bit_string(signature(information)))


def pem(request: bytes) -> bytes:
    """One `CERTIFICATE REQUEST` block with lines of 64 characters, as Go's encoding/pem writes it."""
    body = "\n".join(textwrap.wrap(base64.b64encode(request).decode(), 64))
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n".encode()


def extension_request(*extensions: bytes) -> bytes:
    """The attribute that carries requested extensions (RFC 2985 §5.4.2)."""
    return attribute(EXTENSION_REQUEST, der.sequence(*extensions))


def attribute(identifier: str, *values: bytes) -> bytes:
    """One attribute of a CertificationRequestInfo."""
    return der.sequence(der.object_identifier(identifier), der.set_of(*values))


def extension(identifier: str, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension; the DEFAULT of critical is left out, as DER wants it."""
    return der.sequence(
        der.object_identifier(identifier),
        *([der.TRUE] if critical else []),
        der.octet_string(value),
    )


def basic_constraints(*, authority: bool) -> bytes:
    """Critical basicConstraints; an empty SEQUENCE for CA:FALSE."""
    return extension("2.5.29.19", der.sequence(*([der.TRUE] if authority else [])), critical=True)


def _subject(content: Content) -> bytes:
    attributes = [(kind, der.text(value)) for kind, value in (*content.subject, (COMMON_NAME, content.common_name))]
    if content.email_address:
        attributes.append((EMAIL_ADDRESS, der.ia5_text(content.email_address)))
    return der.sequence(*(der.set_of(der.sequence(der.object_identifier(kind), value)) for kind, value in attributes))


def _attributes(content: Content) -> bytes:
    requested = extension_request(
        extension("2.5.29.17", _subject_alternative_name(content)),
        *([] if content.authority is None else [basic_constraints(authority=content.authority)]),
        extension("2.5.29.15", der.named_bits(*content.key_usage), critical=True),
        extension("2.5.29.37", der.sequence(*map(der.object_identifier, content.extended_key_usage))),
    )
    return b"".join(sorted((requested, *content.other_attributes)))  # a SET OF


def _subject_alternative_name(content: Content) -> bytes:
    names = [der.implicit(2, name.encode("ascii")) for name in content.dns_names]
    if content.address is not None:
        names.append(der.implicit(7, _packed(content.address)))
    return der.sequence(*names, *content.other_names)


def _packed(address: str) -> bytes:
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        return b""
