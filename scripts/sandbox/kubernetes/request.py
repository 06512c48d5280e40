"""Certification requests as the API server reads them: Go's crypto/x509, ParseCertificateRequest and CheckSignature.

What it does not look at is as much a part of this as what it does: elements after those of a structure, parameters of
signature algorithms, the order of attributes, the version, every extension but subjectAltName.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from sandbox.kubernetes import asn1
from sandbox.kubernetes.asn1 import Asn1Error, Element, Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_EXTENSION_REQUEST: Final = "1.2.840.113549.1.9.14"
_SUBJECT_ALTERNATIVE_NAME: Final = "2.5.29.17"
_RSA, _EC, _ED25519 = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.3.101.112"
_PSS: Final = "1.2.840.113549.1.1.10"
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "1.3.132.0.33": ec.SECP224R1(),
    "1.2.840.10045.3.1.7": ec.SECP256R1(),
    "1.3.132.0.34": ec.SECP384R1(),
    "1.3.132.0.35": ec.SECP521R1(),
}
_RSA_SIGNATURES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "1.2.840.113549.1.1.5": hashes.SHA1(),  # noqa: S303 - CheckSignature of requests allows it
    "1.3.14.3.2.29": hashes.SHA1(),  # noqa: S303
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_ECDSA_SIGNATURES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "1.2.840.10045.4.1": hashes.SHA1(),  # noqa: S303
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
_PSS_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_ATTRIBUTES, _EMAIL, _DNS, _URI, _IP = 0xA0, 0x81, 0x82, 0x86, 0x87
_RSA_BITS: Final = 1024
_LARGEST_EXPONENT: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Algorithm:
    """An AlgorithmIdentifier; parameters are what follows the identifier, None where nothing does."""

    identifier: str
    parameters: Element | None

    @classmethod
    def read(cls, found: Element) -> _Algorithm:
        fields = Fields(found)
        identifier = asn1.object_identifier(fields.take(asn1.OBJECT_IDENTIFIER))
        return cls(identifier=identifier, parameters=fields.take_optional())


def violation(der: bytes) -> str | None:
    """Say why this is no request that its own key signed."""
    try:
        return _verify(der)
    except InvalidSignature:
        return "x509: verification failure"
    except (Asn1Error, UnsupportedAlgorithm) as error:
        return f"x509: malformed certificate request: {error}"
    except ValueError as error:
        return f"x509: cannot verify signature: {error}"


def _verify(der: bytes) -> str | None:
    outer = Fields(asn1.only(der))
    information = outer.take(asn1.SEQUENCE)
    algorithm = _Algorithm.read(outer.take(asn1.SEQUENCE))
    signature = asn1.bit_string(outer.take(asn1.BIT_STRING))
    fields = Fields(information)
    asn1.word(fields.take(asn1.INTEGER))
    subject, info = fields.take(), Fields(fields.take(asn1.SEQUENCE))
    key_algorithm = _Algorithm.read(info.take(asn1.SEQUENCE))
    key = _public_key(key_algorithm, asn1.bit_string(info.take(asn1.BIT_STRING)))
    attributes = list(asn1.elements(fields.take(_ATTRIBUTES).content))
    _check_subject(subject)
    for name in _requested_names(attributes):
        _check_name(name)
    return _check_signature(algorithm, key, signature, information.encoded)


def _check_subject(subject: Element) -> None:
    if subject.tag != asn1.SEQUENCE:
        raise Asn1Error("tags don't match")
    for rdn in asn1.elements(subject.content):
        if rdn.tag != asn1.SET:
            raise Asn1Error("tags don't match")
        for attribute in asn1.elements(rdn.content):
            fields = Fields(attribute)
            asn1.object_identifier(fields.take(asn1.OBJECT_IDENTIFIER))
            asn1.check_any(fields.take())


def _requested_names(attributes: list[Element]) -> Iterator[Element]:
    """GeneralNames of every extensionRequest, the first value of each; attributes that do not parse are passed over."""
    seen: set[str] = set()
    names: list[Element] = []
    for attribute in attributes:
        requested = _extension_request(attribute)
        if requested is None:
            continue
        if requested.tag != asn1.SEQUENCE:
            raise Asn1Error("tags don't match")
        for extension in asn1.elements(requested.content):
            fields = Fields(extension)
            identifier = asn1.object_identifier(fields.take(asn1.OBJECT_IDENTIFIER))
            critical = fields.take_optional(asn1.BOOLEAN)
            if critical is not None:
                asn1.boolean(critical)
            value = fields.take(asn1.OCTET_STRING)
            if identifier in seen:
                raise Asn1Error("certificate request contains duplicate requested extensions")
            seen.add(identifier)
            if identifier == _SUBJECT_ALTERNATIVE_NAME:
                names += _general_names(value.content)
    yield from names


def _extension_request(attribute: Element) -> Element | None:
    try:
        fields = Fields(attribute)
        identifier = asn1.object_identifier(fields.take(asn1.OBJECT_IDENTIFIER))
        values = list(asn1.elements(fields.take(asn1.SET).content))
    except Asn1Error:
        return None
    return values[0] if values and identifier == _EXTENSION_REQUEST else None


def _general_names(value: bytes) -> list[Element]:
    found = next(asn1.elements(value), None)
    if found is None or found.tag != asn1.SEQUENCE:
        raise Asn1Error("invalid subject alternative names")
    return list(asn1.elements(found.content))


def _check_name(name: Element) -> None:
    if name.tag in (_EMAIL, _DNS, _URI) and not name.content.isascii():
        raise Asn1Error("SAN is malformed")
    if name.tag == _IP and len(name.content) not in (4, 16):
        raise Asn1Error(f"cannot parse IP address of length {len(name.content)}")
    if name.tag == _URI:
        try:
            urllib.parse.urlsplit(name.content.decode("ascii"))
        except ValueError as error:
            raise Asn1Error("cannot parse URI") from error


def _public_key(algorithm: _Algorithm, bits: bytes) -> Key | None:
    """A key of a kind that can sign requests; None of any other kind."""
    readers: Mapping[str, Callable[[Element | None, bytes], Key]] = {
        _RSA: _rsa_key,
        _EC: _ec_key,
        _ED25519: _ed25519_key,
    }
    reader = readers.get(algorithm.identifier)
    return None if reader is None else reader(algorithm.parameters, bits)


def _rsa_key(parameters: Element | None, bits: bytes) -> Key:
    if parameters is None or parameters.encoded != b"\x05\x00":
        raise Asn1Error("RSA key missing NULL parameters")
    fields = Fields(next(asn1.elements(bits), Element(tag=0, content=b"", encoded=b"")))
    modulus = asn1.integer(fields.take(asn1.INTEGER))
    exponent = asn1.word(fields.take(asn1.INTEGER))
    if modulus <= 0 or exponent <= 0:
        raise Asn1Error("RSA modulus or public exponent is not a positive number")
    if modulus.bit_length() < _RSA_BITS:
        raise Asn1Error(f"crypto/rsa: {modulus.bit_length()}-bit keys are insecure")
    if exponent > _LARGEST_EXPONENT:
        raise Asn1Error("crypto/rsa: public exponent too large")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _ec_key(parameters: Element | None, bits: bytes) -> Key:
    if parameters is None or parameters.tag != asn1.OBJECT_IDENTIFIER:
        raise Asn1Error("failed to parse ECDSA parameters as named curve")
    curve = _CURVES.get(asn1.object_identifier(parameters))
    if curve is None:
        raise Asn1Error("unsupported elliptic curve")
    if bits[:1] != b"\x04":
        raise Asn1Error("ecdsa: invalid uncompressed public key")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, bits)


def _ed25519_key(parameters: Element | None, bits: bytes) -> Key:
    if parameters is not None:
        raise Asn1Error("Ed25519 key encoded with illegal parameters")
    return ed25519.Ed25519PublicKey.from_public_bytes(bits)


def _check_signature(algorithm: _Algorithm, key: Key | None, signature: bytes, signed: bytes) -> str | None:
    identifier = algorithm.identifier
    if isinstance(key, rsa.RSAPublicKey) and identifier == _PSS:
        digest = _pss_hash(algorithm.parameters)
        if digest is None:
            return "x509: cannot verify signature: algorithm unimplemented"
        key.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    elif isinstance(key, rsa.RSAPublicKey) and identifier in _RSA_SIGNATURES:
        key.verify(signature, signed, padding.PKCS1v15(), _RSA_SIGNATURES[identifier])
    elif isinstance(key, ec.EllipticCurvePublicKey) and identifier in _ECDSA_SIGNATURES:
        key.verify(signature, signed, ec.ECDSA(_ECDSA_SIGNATURES[identifier]))
    elif isinstance(key, ed25519.Ed25519PublicKey) and identifier == _ED25519 and algorithm.parameters is None:
        key.verify(signature, signed)
    else:
        return "x509: cannot verify signature: algorithm unimplemented, or not the key's"
    return None


def _pss_hash(parameters: Element | None) -> hashes.HashAlgorithm | None:
    """The hash of PSS parameters where hash, mask and salt belong together, as Go wants them; else None."""
    if parameters is None:
        return None
    fields = Fields(parameters)
    digest, mask, salt = (asn1.only(fields.take(tag).content) for tag in (0xA0, 0xA1, 0xA2))
    found = _PSS_HASHES.get(_Algorithm.read(digest).identifier)
    masked = _Algorithm.read(mask).parameters
    if found is None or masked is None or _Algorithm.read(masked).identifier != _Algorithm.read(digest).identifier:
        return None
    return found if asn1.word(salt) == found.digest_size else None
