"""JSON Web Tokens, signed by the double or by a cluster's API server."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "RS256": hashes.SHA256(),
    "ES256": hashes.SHA256(),
    "ES384": hashes.SHA384(),
}
_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
_CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384"}


class JwtError(Exception):
    """The text is no token, or none of the keys signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """A parsed token; trust nothing in it before `verify`."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def encode_part(content: bytes) -> str:
    """Returns base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode_part(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def parse(text: str) -> Jwt:
    """Parses a token.

    Raises:
        JwtError: It is not a JWT in compact form.
    """
    parts = text.split(".")
    if len(parts) != 3:  # noqa: PLR2004  # header, claims, signature: RFC 7515 §3.1
        raise JwtError(f"a JWT has three parts, this text has {len(parts)}")
    try:
        header, claims = (json.loads(_decode_part(part)) for part in parts[:2])
        signature = _decode_part(parts[2])
    except ValueError as error:
        raise JwtError("the parts of the JWT are not base64url of JSON") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise JwtError("header and claims of the JWT must be JSON objects")
    return Jwt(header=header, claims=claims, signed=f"{parts[0]}.{parts[1]}".encode(), signature=signature)


def sign(key: rsa.RSAPrivateKey, key_id: str, claims: Mapping[str, object]) -> str:
    """Returns a token signed with RS256."""
    header = {"alg": "RS256", "kid": key_id, "typ": "JWT"}
    signed = ".".join(encode_part(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{encode_part(signature)}"


def verify(token: Jwt, keys: Mapping[str, PublicKey]) -> None:
    """Verifies a token's signature with the key that it names; without a known key id, with all keys.

    Raises:
        JwtError: None of these keys signed it.
    """
    named = keys.get(str(token.header.get("kid")))
    if not any(_verifies(token, key) for key in ([named] if named is not None else keys.values())):
        raise JwtError(f"no known key signed the JWT (kid {token.header.get('kid')!r})")


def _verifies(token: Jwt, key: PublicKey) -> bool:
    algorithm = "RS256" if isinstance(key, rsa.RSAPublicKey) else _CURVE_ALGORITHMS.get(key.curve.name)
    if algorithm is None or token.header.get("alg") != algorithm:
        return False
    digest = _HASHES[algorithm]
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(token.signature, token.signed, padding.PKCS1v15(), digest)
        else:
            half = len(token.signature) // 2
            r, s = (int.from_bytes(part) for part in (token.signature[:half], token.signature[half:]))
            key.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def to_jwk(key_id: str, key: rsa.RSAPublicKey) -> dict[str, str]:
    """Returns a public key in the form of RFC 7517."""
    numbers = key.public_numbers()
    modulus = numbers.n.to_bytes((key.key_size + 7) // 8)
    return {
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": key_id,
        "n": encode_part(modulus),
        "e": encode_part(numbers.e.to_bytes(3)),
    }


def keys_of(jwks: Mapping[str, Any]) -> dict[str, PublicKey]:
    """Returns the keys of a JSON Web Key Set by key id; leaves out kinds that no API server uses."""
    keys: dict[str, PublicKey] = {}
    for jwk in jwks["keys"]:
        if jwk["kty"] == "RSA":
            numbers = rsa.RSAPublicNumbers(n=_number(jwk["n"]), e=_number(jwk["e"]))
            keys[jwk.get("kid", "")] = numbers.public_key()
        elif jwk["kty"] == "EC" and jwk["crv"] in _CURVES:
            point = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), _CURVES[jwk["crv"]])
            keys[jwk.get("kid", "")] = point.public_key()
    return keys


def _number(text: str) -> int:
    return int.from_bytes(_decode_part(text))
