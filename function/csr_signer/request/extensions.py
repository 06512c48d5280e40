"""Parses the requested extensions of a CertificationRequest, and checks their form.

The function never copies them into a certificate; it parses them to refuse wrong ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Final

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from csr_signer import der, field_error
from csr_signer.violation import Violation

MOST_NAMES: Final = 100
LONGEST_NAME: Final = 253
LONGEST_LABEL: Final = 63
"""Maximum octets of a DNS name without its last dot, and of a label (RFC 1035 §2.3.4)."""

KEY_USAGE_BITS: Final = (
    "digital signature",
    "content commitment",
    "key encipherment",
    "data encipherment",
    "key agreement",
    "cert sign",
    "crl sign",
    "encipher only",
    "decipher only",
)
"""Bits of KeyUsage (RFC 5280 §4.2.1.3) in order, with Kubernetes' names."""

EXTENDED_KEY_USAGES: Mapping[str, str] = MappingProxyType(
    {
        "2.5.29.37.0": "any",
        "1.3.6.1.5.5.7.3.1": "server auth",
        "1.3.6.1.5.5.7.3.2": "client auth",
        "1.3.6.1.5.5.7.3.3": "code signing",
        "1.3.6.1.5.5.7.3.4": "email protection",
        "1.3.6.1.5.5.7.3.8": "timestamping",
        "1.3.6.1.5.5.7.3.9": "ocsp signing",
    },
)
"""Key purposes (RFC 5280 §4.2.1.12) with Kubernetes' names; others have their dotted number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedExtensions:
    """The content of the requested extensions; the field of an absent extension is empty.

    Attributes:
        dns_names, ip_addresses: names of subjectAltName, in order.
        ca: whether basicConstraints asks for a CA.
        key_usages, extended_key_usages: Kubernetes' names; dotted numbers for unknown key purposes.
    """

    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    ca: bool = False
    key_usages: tuple[str, ...] = ()
    extended_key_usages: tuple[str, ...] = ()


def read(requested: Iterable[der.Extension]) -> tuple[RequestedExtensions, tuple[Violation, ...]]:
    """Parses the extensions; an unreadable extension is a violation and leaves its field empty."""
    violations: list[Violation] = []
    found: dict[str, object] = {}
    seen: set[ObjectIdentifier] = set()
    for extension in requested:
        number = extension.extn_id.dotted_string
        if extension.extn_id not in _READERS:
            violations.append(_refused(field_error.unsupported("spec.request.extensions", [number], _NAMES)))
        elif extension.extn_id in seen:
            violations.append(_refused(field_error.duplicate("spec.request.extensions", number)))
        else:
            try:
                found |= _READERS[extension.extn_id](extension.extn_value, violations)
            except ValueError as error:
                message = field_error.malformed(f"spec.request.extensions[{number}]", f"must be well-formed: {error}")
                violations.append(_refused(message))
        seen.add(extension.extn_id)
    return RequestedExtensions(**found), tuple(violations)  # type: ignore[arg-type]  # the parsers' keys are field names of this type


def _refused(message: str) -> Violation:
    return Violation(code="request.extension", message=message)


def _subject_alternative_name(value: bytes, violations: list[Violation]) -> dict[str, object]:
    dns_names: list[str] = []
    addresses: list[IPv4Address | IPv6Address] = []
    names = der.decode_list(der.Elements, value).elements
    if not names or len(names) > MOST_NAMES:
        message = field_error.too_many(_NAMES_PATH, len(names), MOST_NAMES) if names else _NO_NAME
        violations.append(Violation(code="san.type", message=message))
    for name in names[:MOST_NAMES]:
        content = bytes(name.data)
        if name.tag_bytes == der.DNS_NAME_TAG and _is_name(content):
            dns_names.append(content.decode("ascii"))
        elif name.tag_bytes == der.IP_ADDRESS_TAG and len(content) in _ADDRESS_SIZES:
            addresses.append(ip_address(content))
        else:
            must = (
                f"must be a DNS name (82) of printable ASCII, 1 to {LONGEST_NAME} characters and {LONGEST_LABEL} per"
                " label, or an IP address (87) of 4 or 16 bytes"
            )
            path = f"{_NAMES_PATH}[{name.tag_bytes.hex()}]"
            violations.append(Violation(code="san.type", message=field_error.invalid(path, content, must)))
    return {"dns_names": tuple(dns_names), "ip_addresses": tuple(addresses)}


def _is_name(content: bytes) -> bool:
    """Tells whether text is a valid DNS name; policy decides whether it is allowed."""
    text = content.isascii() and content.decode("ascii").isprintable() and content != b""
    return text and len(content) <= LONGEST_NAME and all(len(label) <= LONGEST_LABEL for label in content.split(b"."))


def _basic_constraints(value: bytes, _: list[Violation]) -> dict[str, object]:
    constraints = der.decode(der.BasicConstraints, value)
    return {"ca": constraints.ca or constraints.path_len_constraint is not None}


def _key_usage(value: bytes, _: list[Violation]) -> dict[str, object]:
    """Parses the set bits; ignores GnuTLS's trailing zero bits, which are not DER (X.690 §11.2.2)."""
    bits = der.decode(asn1.BitString, value)
    count = len(bits.as_bytes()) * 8 - bits.padding_bits()
    if count > len(KEY_USAGE_BITS):
        raise ValueError(f"{count} bits")
    number = int.from_bytes(bits.as_bytes(), "big") >> bits.padding_bits()
    return {
        "key_usages": tuple(
            name for index, name in enumerate(KEY_USAGE_BITS[:count]) if number >> (count - 1 - index) & 1
        )
    }


def _extended_key_usage(value: bytes, _: list[Violation]) -> dict[str, object]:
    identifiers = der.decode_list(der.ObjectIdentifiers, value).identifiers
    if not identifiers:
        raise ValueError("no key purpose")
    numbers = [identifier.dotted_string for identifier in identifiers]
    return {"extended_key_usages": tuple(EXTENDED_KEY_USAGES.get(number, number) for number in numbers)}


def _subject_key_identifier(value: bytes, _: list[Violation]) -> dict[str, object]:
    """Checks only the form: keytool adds one to every request, but the certificate's own follows from its key."""
    der.decode(bytes, value)
    return {}


_NAMES_PATH: Final = "spec.request.subjectAltName"
_NO_NAME: Final = field_error.required(_NAMES_PATH, "must have at least one name")
_ADDRESS_SIZES: Final = (4, 16)
_NAMES: Final = ("subjectAltName", "basicConstraints", "keyUsage", "extendedKeyUsage", "subjectKeyIdentifier")
_READERS: Final[Mapping[ObjectIdentifier, Callable[[bytes, list[Violation]], dict[str, object]]]] = MappingProxyType(
    {
        der.SUBJECT_ALTERNATIVE_NAME: _subject_alternative_name,
        der.BASIC_CONSTRAINTS: _basic_constraints,
        der.KEY_USAGE: _key_usage,
        der.EXTENDED_KEY_USAGE: _extended_key_usage,
        der.SUBJECT_KEY_IDENTIFIER: _subject_key_identifier,
    }
)
