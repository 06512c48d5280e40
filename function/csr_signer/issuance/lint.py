"""Step 7, lint: parses the encoded TBSCertificate and compares it, before the approval and the signature.

It shares no code with the builder: it uses pyca's parser instead of our ASN.1 types, and compares every field with
permit and issuer. It also refuses content that no permit may contain. Only `lint` makes a `TBSCertificate`, and only a
`TBSCertificate` can be signed.
"""

import hashlib
import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer.ca import chain
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.ca.issuer import Issuer
from csr_signer.errors import ItemError
from csr_signer.objects.pod import Address
from csr_signer.policy.decision import Permit
from csr_signer.rfc1123 import LABEL

LARGEST_CERTIFICATE: Final = 16 * 1024
_SERIAL_DOMAIN: Final = b"kms-csr-signer serial number v1"
_LONGEST_HOST: Final = 253
# No wildcard. The last label needs a letter, so that an address does not count as a name (RFC 1123 §2.1).
_HOST: Final = re.compile(rf"(?:{LABEL}\.)*(?=[0-9-]*[a-z]){LABEL}")
_TAGS: Final = [0xA0, 0x02, 0x30, 0x30, 0x30, 0x30, 0x30, 0xA3]  # RFC 5280 §4.1: no unique identifiers
_OCTET_STRING, _UTC_TIME, _GENERALIZED_TIME = 0x04, 0x17, 0x18
_FIRST_GENERALIZED_YEAR: Final = 2050  # RFC 5280 §4.1.2.5
_LONG_FORM: Final = 0x80  # X.690 §8.1.3.5
# Exceptions of pyca's parsers.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_PURPOSES: Final = {
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TBSCertificate:
    """Bytes that are cleared for signing. Only `lint` makes one.

    Attributes:
        der: the bytes (RFC 5280 §4.1.2).
        serial_number: the encoded serial number.
        purpose: the CSR, `csr-uid=UID`; KMS's audit log has it next to the hash.
    """

    der: bytes
    serial_number: int
    purpose: str

    @property
    def sha256(self) -> str:
        """Returns the hex SHA-256 of the bytes, their name in audit records and in KMS's log."""
        return hashlib.sha256(self.der).hexdigest()


class LintError(ItemError):
    """The encoded certificate differs from the permit: a fault of this product, which the operator must see."""


def lint(encoded: bytes, permit: Permit, issuer: Issuer, algorithm: SignatureAlgorithm) -> TBSCertificate:
    """Clears bytes for signing, if they match the permit.

    Raises:
        LintError: a field differs from permit, issuer or the certificate profile; the message names every such field.
    """
    try:
        certificate = x509.load_der_x509_certificate(_with_empty_signature(encoded, algorithm))
        children = _children(encoded)
        if [child[0] for child in children] != _TAGS:
            raise LintError("lint: these fields are wrong: structure")
        violations = [
            *_permit(permit, issuer),
            *_encoding(children, permit, issuer, algorithm),
            *_fields(encoded, certificate, permit),
            *_extensions(children[7], certificate, permit, issuer),
        ]
    except _UNREADABLE as error:
        raise LintError(f"lint: cannot parse the TBSCertificate: {error}") from error
    if violations:
        raise LintError(f"lint: these fields are wrong: {', '.join(violations)}")
    return TBSCertificate(der=encoded, serial_number=certificate.serial_number, purpose=f"csr-uid={permit.csr_uid}")


def _permit(permit: Permit, issuer: Issuer) -> list[str]:
    """Returns fields of a permit that no profile or configuration may allow."""
    names, addresses = permit.dns_names, permit.ip_addresses
    holds = {
        "common name (starts with system:)": not permit.common_name.startswith("system:"),
        "alternative names": bool(names or addresses),
        "DNS names": all(_HOST.fullmatch(name) and len(name) <= _LONGEST_HOST for name in names),
        "addresses": all(map(_certifiable, addresses)),
        "name constraints": not chain.not_permitted(issuer.path, dns_names=names, ip_addresses=addresses),
        "validity (outside the issuer's)": issuer.not_before
        <= permit.not_before
        < permit.not_after
        <= issuer.not_after,
        "public key (an issuer's own)": permit.public_key.subject_public_key_info not in issuer.public_keys,
    }
    return [name for name, held in holds.items() if not held]


def _certifiable(address: Address) -> bool:
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    local = address.is_loopback or address.is_link_local or address.is_unspecified
    return not (mapped or local or address.is_multicast)


def _encoding(children: list[bytes], permit: Permit, issuer: Issuer, algorithm: SignatureAlgorithm) -> list[str]:
    """Returns differences that pyca does not show: inner algorithm, time encodings, the bytes of names and key."""
    times = [_UTC_TIME if moment.year < _FIRST_GENERALIZED_YEAR else _GENERALIZED_TIME for moment in _validity(permit)]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, permit.common_name)])
    holds = {
        "signature algorithm": children[2] == _algorithm_identifier(algorithm),
        "serial number": children[1] == _serial_number(children, permit),
        "issuer": children[3] == issuer.subject,
        "time encoding": [child[0] for child in _children(children[4])] == times,
        "subject": children[5] == subject.public_bytes(),
        "subject public key": children[6] == permit.public_key.subject_public_key_info,
    }
    return [name for name, held in holds.items() if not held]


def _validity(permit: Permit) -> tuple[datetime, datetime]:
    return permit.not_before.astimezone(UTC), permit.not_after.astimezone(UTC)


def _fields(encoded: bytes, certificate: x509.Certificate, permit: Permit) -> list[str]:
    holds = {
        "version": certificate.version is x509.Version.v3,
        "notBefore": certificate.not_valid_before_utc == permit.not_before,
        "notAfter": certificate.not_valid_after_utc == permit.not_after,
        "size": len(encoded) <= LARGEST_CERTIFICATE,
    }
    return [name for name, held in holds.items() if not held]


def _extensions(explicit: bytes, certificate: x509.Certificate, permit: Permit, issuer: Issuer) -> list[str]:
    """Returns extensions whose kind, criticality or bytes differ from pyca's encoding."""
    expected: dict[type, tuple[bool, x509.ExtensionType]] = {
        x509.BasicConstraints: (True, x509.BasicConstraints(ca=False, path_length=None)),
        x509.KeyUsage: (True, _key_usage(rsa=permit.public_key.rsa)),
        x509.ExtendedKeyUsage: (
            False,
            x509.ExtendedKeyUsage([_PURPOSES[use] for use in permit.extended_key_usage]),
        ),
        x509.SubjectAlternativeName: (False, _alternative_names(permit)),
        x509.SubjectKeyIdentifier: (False, _subject_key_identifier(certificate)),
        x509.AuthorityKeyIdentifier: (False, x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None)),
    }
    encoded = _children(_children(explicit)[0])
    found = {
        type(extension.value): (extension.critical, extension.value, _children(each)[-1])
        for extension, each in zip(certificate.extensions, encoded, strict=True)
    }
    wrong = [
        kind.__name__
        for kind, (critical, value) in expected.items()
        if found.get(kind) != (critical, value, _element(_OCTET_STRING, value.public_bytes()))
    ]
    wrong += [kind.__name__ for kind in found if kind not in expected]
    return wrong or ([] if list(found) == list(expected) else ["order of extensions"])


def _serial_number(children: list[bytes], permit: Permit) -> bytes:
    """Encodes the serial number that follows from all other fields: positive, at most 20 octets."""
    unnumbered = _element(0x30, b"".join([children[0], b"\x02\x01\x00", *children[2:]]))
    parts = [_SERIAL_DOMAIN, permit.cluster.encode(), permit.csr_uid.encode(), unnumbered]
    text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    number = int(hashlib.sha256(text).hexdigest()[:40], 16) // 2
    return _element(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _key_usage(*, rsa: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=rsa,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(permit: Permit) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in permit.dns_names]
    return x509.SubjectAlternativeName(names + [x509.IPAddress(address) for address in permit.ip_addresses])


def _subject_key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """Returns the key identifier (RFC 7093 §2 method 1) of the key that pyca parsed."""
    key = certificate.public_key()
    if hasattr(key, "curve"):
        bits = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    else:
        bits = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return x509.SubjectKeyIdentifier(hashlib.sha256(bits).digest()[:20])


def _with_empty_signature(encoded: bytes, algorithm: SignatureAlgorithm) -> bytes:
    """Wraps the bytes in a certificate for pyca's parser, without using the builder's encoder."""
    return _element(0x30, encoded + _algorithm_identifier(algorithm) + _element(0x03, b"\x00"))


def _algorithm_identifier(algorithm: SignatureAlgorithm) -> bytes:
    arcs = map(int, algorithm.identifier.dotted_string.removeprefix("1.2.").split("."))
    body = b"\x2a" + b"".join(map(_base128, arcs))  # 1.2 is one octet (X.690 §8.19.4)
    return _element(0x30, _element(0x06, body) + (b"\x05\x00" if algorithm.rsa else b""))


def _children(element: bytes) -> list[bytes]:
    """Returns the elements of a constructed element; pyca has parsed it already, so all lengths are valid."""
    starts = [_content(element, 0)]
    while starts[-1] < len(element):
        content = _content(element, starts[-1])
        octets = element[starts[-1] + 2 : content] or element[starts[-1] + 1 : content]
        starts.append(content + int.from_bytes(octets, "big"))
    return [element[start:end] for start, end in itertools.pairwise(starts)]


def _content(element: bytes, start: int) -> int:
    return start + 2 + max(element[start + 1] - _LONG_FORM, 0)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG_FORM:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(octets)]) + octets + content


def _base128(arc: int) -> bytes:
    groups = [arc & 0x7F]
    while arc := arc >> 7:
        groups.append(arc & 0x7F | 0x80)
    return bytes(reversed(groups))
