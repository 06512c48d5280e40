"""PEM, certification requests and certificates, with the API server's tolerance and its refusals.

The API server reads them with Go's libraries: text around blocks is skipped, so are blocks that are not well formed,
SHA-1 is accepted in requests, RSA keys below 1024 bits are not.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = re.compile(
    rb"(?:\A|(?<=\n))-----BEGIN (?P<label>[^\n]*?)-----[ \t\r]*\n"
    rb"(?P<headers>(?:[^\n:]*:[^\n]*\n)*)"
    rb"(?P<body>[^-:]*?)(?<=\n)-----END (?P=label)-----[ \t\r]*(?:\n|\Z)"
)
_BLANKS = re.compile(rb"[ \t\r\n]")
_CURVES = (ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HASHES = frozenset({"sha1", "sha256", "sha384", "sha512"})
_RSA_BITS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One PEM block."""

    label: str
    has_headers: bool
    der: bytes


def blocks(data: bytes) -> Iterator[Block]:
    """Every well-formed PEM block, in order."""
    for match in _BLOCK.finditer(data):
        try:
            der = base64.b64decode(_BLANKS.sub(b"", match["body"]), validate=True)
        except binascii.Error:
            continue
        label = match["label"].decode(errors="replace")
        yield Block(label=label, has_headers=bool(match["headers"]), der=der)


def request_violation(data: bytes) -> str | None:
    """Say why `data` is no acceptable ``spec.request``: its first block, a request that its own key signed."""
    block = next(blocks(data), None)
    if block is None or block.label != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        request = x509.load_der_x509_csr(block.der)
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"x509: malformed certificate request: {error}"
    try:
        return _signature_violation(request, key)
    except InvalidSignature:
        return "x509: verification failure"
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"x509: cannot verify signature: {error}"


def certificate_violation(data: bytes) -> str | None:
    """Say why `data` is no acceptable ``status.certificate``: certificates only, at least one, no headers."""
    found = list(blocks(data))
    if not found:
        return "must contain at least one CERTIFICATE PEM block"
    for block in found:
        if block.label != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block.label}"'
        if block.has_headers:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(block.der)
        except ValueError as error:
            return f"x509: malformed certificate ({error})"
    return None


def _signature_violation(request: x509.CertificateSigningRequest, key: object) -> str | None:
    signed, signature = request.tbs_certrequest_bytes, request.signature
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
        return None
    algorithm = request.signature_hash_algorithm
    if algorithm is None or algorithm.name not in _HASHES:
        return "x509: cannot verify signature: algorithm unimplemented or insecure"
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _RSA_BITS:
            return f"crypto/rsa: {key.key_size}-bit keys are insecure"
        scheme: padding.AsymmetricPadding = padding.PKCS1v15()
        if isinstance(request.signature_algorithm_parameters, padding.PSS):
            scheme = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
        key.verify(signature, signed, scheme, algorithm)
        return None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        key.verify(signature, signed, ec.ECDSA(algorithm))
        return None
    return "x509: unsupported elliptic curve, or algorithm unimplemented"
