"""DER that no library writes. The right key signs it all the same, so that only the one wrong thing is wrong."""

from collections.abc import Callable
from typing import Final

from sandbox.calico import der
from tests.unit.function.builders import (
    COMMON_NAME,
    ECDSA_WITH_SHA256,
    EXTENSION_REQUEST,
    alternative_names,
    attribute,
    dns_name,
    ec_key,
    name_attribute,
    pem,
    public_key_info,
    sign,
)

NAME: Final = name_attribute(COMMON_NAME, der.text("typha-client"))
SAN: Final = alternative_names(dns_name(b"typha-client"))
REQUESTED: Final = attribute(EXTENSION_REQUEST, der.sequence(SAN))
ECDSA: Final = der.object_identifier(ECDSA_WITH_SHA256)
UNREADABLE_SUBJECT: Final = ("subject.structure", "subject.common_name")
UNREADABLE_NAMES: Final = ("request.extension", "san.dns.missing")
"""Codes of what cannot be read, and of what is therefore missing."""


def information(
    *,
    version: bytes = der.integer(0),
    subject: bytes = der.sequence(NAME),
    attributes: bytes = der.explicit(0, REQUESTED),
    tail: bytes = b"",
) -> bytes:
    """Returns a CertificationRequestInfo of encoded parts; by default the smallest honest one."""
    return der.sequence(version, subject, public_key_info(ec_key()), attributes, tail)


def signed(
    info: bytes | None = None,
    *,
    algorithm: bytes = der.sequence(ECDSA),
    signature: bytes | None = None,
    tail: bytes = b"",
    wrap: Callable[[bytes], bytes] = pem,
) -> bytes:
    """Returns `spec.request` around any CertificationRequestInfo; the signature is honest unless one is given."""
    info = information() if info is None else info
    honest = der.bit_string(sign(ec_key(), info))
    return wrap(der.sequence(info, algorithm, honest if signature is None else signature, tail))


def with_attributes(*encoded: bytes) -> bytes:
    """Returns `spec.request` with these attributes, in this order."""
    return signed(information(attributes=der.explicit(0, *encoded)))


def with_extensions(*encoded: bytes) -> bytes:
    """Returns `spec.request` whose extensionRequest holds these elements."""
    return with_attributes(attribute(EXTENSION_REQUEST, der.sequence(*encoded)))


def with_rdns(*encoded: bytes) -> bytes:
    """Returns `spec.request` whose subject holds these elements."""
    return signed(information(subject=der.sequence(*encoded)))


def long_form(encoded: bytes) -> bytes:
    """Returns an element of less than 128 bytes with its length in two octets where one is enough."""
    assert encoded[1] == len(encoded) - 2, "a short element"
    return encoded[:1] + b"\x82\x00" + encoded[1:]


def indefinite(encoded: bytes, header: int) -> bytes:
    """Returns a constructed element with an indefinite length, as BER allows; its header has that many bytes."""
    return encoded[:1] + b"\x80" + encoded[header:] + b"\x00\x00"


def nested(depth: int) -> bytes:
    """Returns sequences within sequences."""
    content = b""
    for _ in range(depth):
        content = der.sequence(content)
    return content
