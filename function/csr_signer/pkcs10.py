"""Step 4, parse: `spec.request` as a CertificationRequest (RFC 2986), judged as far as no policy is needed.

The bytes are read twice: by the types of `der`, which see everything (two extensionRequest attributes, duplicates,
trailing data), and by pyca's `x509`; where the two disagree, the request is refused. Any bytes give a value, never an
exception. What is *not* checked here: whether the names are the requester's. That is `policy`.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import serialization

from csr_signer import der
from csr_signer.public_key import SIGNATURE_ALGORITHMS, PublicKey, examine
from csr_signer.violation import Violation, quote

LARGEST_REQUEST: Final = 16 * 1024
MOST_NAMES: Final = 100

# One line, one match: no alternative and no nested repetition can match the same text twice, so time is linear.
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE REQUEST-----\r?\n"
    rb"((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)"
    rb"-----END CERTIFICATE REQUEST-----(?:\r?\n)?"
)

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
"""Bits of KeyUsage (RFC 5280 §4.2.1.3) in order, as Kubernetes spells them."""

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
"""Key purposes (RFC 5280 §4.2.1.12) as Kubernetes spells them; any other is reported by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedExtensions:
    """What the requested extensions ask for; every field is empty where the extension is absent.

    Attributes:
        dns_names, ip_addresses: of subjectAltName, in order.
        ca: basicConstraints asks for a CA.
        key_usages, extended_key_usages: as Kubernetes spells them, unknown key purposes as dotted numbers.
    """

    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    ca: bool = False
    key_usages: tuple[str, ...] = ()
    extended_key_usages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationRequest:
    """A request that could be read, with every rule that it breaks whatever the policy is.

    Attributes:
        subject: attributes as (dotted type, text), in order.
        extensions: what the requested extensions ask for.
        public_key: None where the key breaks a rule.
        violations: rules that the request breaks.
    """

    subject: tuple[tuple[str, str], ...]
    extensions: RequestedExtensions
    public_key: PublicKey | None
    violations: tuple[Violation, ...]

    @property
    def common_names(self) -> tuple[str, ...]:
        """Values of the subject's commonName attributes, in order."""
        return tuple(value for kind, value in self.subject if kind == der.COMMON_NAME.dotted_string)


def parse(request: bytes) -> CertificationRequest | Violation:
    """`spec.request` as a value; a single violation where nothing of it can be read.

    Args:
        request: PEM, as the API server stores it: at most 16 KiB are accepted.
    """
    if len(request) > LARGEST_REQUEST:
        return Violation(code="request.size", message=f"got {len(request)} bytes, allowed are {LARGEST_REQUEST}")
    encoded = _from_pem(request)
    if encoded is None:
        return Violation(
            code="request.pem",
            message="got something other than exactly one PEM block CERTIFICATE REQUEST with nothing around it",
        )
    try:
        decoded = der.decode(der.CertificationRequest, encoded)
    except ValueError:
        return Violation(code="request.der", message="the PEM block is not exactly one DER CertificationRequest")
    return _Reader().read(decoded, encoded)


def _from_pem(request: bytes) -> bytes | None:
    match = _PEM.fullmatch(request)
    if match is None:
        return None
    body = b"".join(match[1].split())
    try:
        encoded = base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
    return encoded if base64.b64encode(encoded) == body else None


class _Reader:
    """Reads one decoded request and collects the rules that it breaks."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def breaks(self, code: str, message: str) -> None:
        self.violations.append(Violation(code=code, message=message))

    def read(self, decoded: der.CertificationRequest, encoded: bytes) -> CertificationRequest:
        info = decoded.certification_request_info
        subject = tuple(self.subject(info.subject))
        requested = self.attributes(info.attributes.as_list())
        extensions = self.extensions(requested)
        key = examine(der.encode(info.subject_public_key_info))
        if isinstance(key, Violation):
            self.violations.append(key)
        elif self.signature_algorithm(decoded.signature_algorithm, key):
            self.compare(encoded, subject, requested, extensions, key)
        return CertificationRequest(
            subject=subject,
            extensions=extensions,
            public_key=None if isinstance(key, Violation) else key,
            violations=tuple(self.violations),
        )

    def subject(self, rdns: list[asn1.SetOf[der.AttributeTypeAndValue]]) -> Iterator[tuple[str, str]]:
        """Attributes as text; a type of string that readers decode differently is refused."""
        for rdn in rdns:
            attributes = rdn.as_list()
            if len(attributes) != 1:
                self.breaks("subject.structure", f"got an RDN of {len(attributes)} attributes, allowed is one")
            for attribute in attributes:
                try:
                    if attribute.value.tag_bytes not in (der.UTF8_STRING_TAG, der.PRINTABLE_STRING_TAG):
                        raise ValueError(attribute.value.tag_bytes)  # noqa: TRY301 - one way out for both kinds
                    yield attribute.type.dotted_string, bytes(attribute.value.data).decode("utf-8")
                except ValueError:
                    self.breaks(
                        "subject.structure",
                        f"attribute {attribute.type.dotted_string} is neither UTF8String nor PrintableString",
                    )

    def attributes(self, attributes: list[der.Attribute]) -> list[der.Extension]:
        """The requested extensions of the one attribute that is allowed."""
        requested: list[der.Extension] = []
        found = False
        for attribute in attributes:
            values = attribute.values.as_list()
            if attribute.type != der.EXTENSION_REQUEST or found or len(values) != 1:
                self.breaks(
                    "request.attribute",
                    f"got attribute {attribute.type.dotted_string} with {len(values)} values,"
                    " allowed is one extensionRequest with one value",
                )
                continue
            found = True
            try:
                requested = der.decode_list(der.Extensions, der.encode(values[0])).extensions
            except ValueError:
                self.breaks("request.extension", "the extensionRequest is not a list of extensions")
        return requested

    def extensions(self, requested: list[der.Extension]) -> RequestedExtensions:
        """What the extensions ask for; those that cannot be read ask for nothing and are refused."""
        found: dict[str, object] = {}
        readers = {
            der.SUBJECT_ALTERNATIVE_NAME: self.subject_alternative_name,
            der.BASIC_CONSTRAINTS: _basic_constraints,
            der.KEY_USAGE: _key_usage,
            der.EXTENDED_KEY_USAGE: _extended_key_usage,
        }
        seen: set[x509.ObjectIdentifier] = set()
        for extension in requested:
            number = extension.extn_id.dotted_string
            if extension.extn_id not in readers:
                self.breaks("request.extension", f"extension {number} is not allowed")
            elif extension.extn_id in seen:
                self.breaks("request.extension", f"extension {number} stands more than once")
            else:
                try:
                    found |= readers[extension.extn_id](extension.extn_value)
                except ValueError:
                    self.breaks("request.extension", f"extension {number} is malformed")
            seen.add(extension.extn_id)
        return RequestedExtensions(**found)  # type: ignore[arg-type]  # each reader names fields of this type

    def subject_alternative_name(self, value: bytes) -> dict[str, object]:
        dns_names: list[str] = []
        addresses: list[IPv4Address | IPv6Address] = []
        names = der.decode_list(der.Elements, value).elements
        if not names or len(names) > MOST_NAMES:
            self.breaks("san.type", f"got {len(names)} names, allowed are 1 to {MOST_NAMES}")
        for name in names[:MOST_NAMES]:
            content = bytes(name.data)
            if (
                name.tag_bytes == der.DNS_NAME_TAG
                and content.isascii()
                and content.decode("ascii").isprintable()
                and content
            ):
                dns_names.append(content.decode("ascii"))
            elif name.tag_bytes == der.IP_ADDRESS_TAG and len(content) in (4, 16):
                addresses.append(ip_address(content))
            else:
                self.breaks("san.type", f"got a name with tag {name.tag_bytes.hex()} and value {quote(content)}")
        return {"dns_names": tuple(dns_names), "ip_addresses": tuple(addresses)}

    def signature_algorithm(self, encoded: asn1.TLV, key: PublicKey) -> bool:
        got = "parameters other than NULL"
        try:
            algorithm = der.decode(der.AlgorithmIdentifier, der.encode(encoded))
        except ValueError:
            allowed = False
        else:
            rsa = SIGNATURE_ALGORITHMS.get(algorithm.algorithm)
            allowed = rsa == key.rsa and (algorithm.parameters is not None) == key.rsa
            got = algorithm.algorithm.dotted_string
        if not allowed:
            self.breaks(
                "request.signature_algorithm",
                f"got {got} with an {key.name} key, allowed are RSA PKCS#1 v1.5"
                " and ECDSA with SHA-256, SHA-384 or SHA-512, as the key is",
            )
        return allowed

    def compare(
        self,
        encoded: bytes,
        subject: tuple[tuple[str, str], ...],
        requested: list[der.Extension],
        extensions: RequestedExtensions,
        key: PublicKey,
    ) -> None:
        """Reads the same bytes with pyca, and lets it verify the proof of possession.

        NOTE: pyca raises on access, and not from a closed set of exceptions, so all of them mean one thing here: the
        two readers do not agree that this is a request.
        """
        try:
            other = x509.load_der_x509_csr(encoded)
            agreed = (
                [(attribute.oid.dotted_string, attribute.value) for attribute in other.subject] == list(subject)
                and [(e.oid, e.critical) for e in other.extensions] == [(e.extn_id, e.critical) for e in requested]
                and other.public_key().public_bytes(_DER, _SPKI) == key.subject_public_key_info
                and _names(other.extensions) == (extensions.dns_names, extensions.ip_addresses)
            )
            valid = other.is_signature_valid
        except Exception:  # noqa: BLE001 - see NOTE
            agreed, valid = False, True
        if not agreed:
            self.breaks("request.disagreement", "two parsers do not see the same CertificationRequest")
        if not valid:
            self.breaks("request.signature", "the signature is not one by the requested key")


_DER = serialization.Encoding.DER
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def _names(extensions: x509.Extensions) -> tuple[tuple[str, ...], tuple[object, ...]]:
    for extension in extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            return (
                tuple(extension.value.get_values_for_type(x509.DNSName)),
                tuple(extension.value.get_values_for_type(x509.IPAddress)),
            )
    return (), ()


def _basic_constraints(value: bytes) -> dict[str, object]:
    constraints = der.decode(der.BasicConstraints, value)
    return {"ca": constraints.ca or constraints.path_len_constraint is not None}


def _key_usage(value: bytes) -> dict[str, object]:
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


def _extended_key_usage(value: bytes) -> dict[str, object]:
    identifiers = der.decode_list(der.ObjectIdentifiers, value).identifiers
    numbers = [identifier.dotted_string for identifier in identifiers]
    return {"extended_key_usages": tuple(EXTENDED_KEY_USAGES.get(number, number) for number in numbers)}
