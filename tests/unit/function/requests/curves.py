"""Keys that are not RSA keys: curves, points, and other algorithms."""

from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.calico import der
from tests.unit.function.builders import ec_key, ec_public_key_info
from tests.unit.function.requests.table import invalid, refused, row, table

_GOOD_KEY: Final = "boulder good_key_test.go"
_EC: Final = der.object_identifier("1.2.840.10045.2.1")
_P256, _P384, _P521 = "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PRIME: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


def _point(curve: str = "P-256", *, compressed: bool = False) -> bytes:
    form = PublicFormat.CompressedPoint if compressed else PublicFormat.UncompressedPoint
    return ec_key(curve).public_key().public_bytes(Encoding.X962, form)


def _info(algorithm: bytes, bits: bytes = bytes(32)) -> bytes:
    return der.sequence(algorithm, der.bit_string(bits))


def _on(point_and_curve: tuple[bytes, str]) -> bytes:
    return ec_public_key_info(*point_and_curve)


def _edwards(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> dict[str, Any]:
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    number = "1.3.101.112" if isinstance(key, ed25519.Ed25519PrivateKey) else "1.3.101.113"
    return {"public_key": info, "algorithm": number, "signature": key.sign}


def _other_curve(curve: ec.EllipticCurve) -> dict[str, Any]:
    key = ec.derive_private_key(1234567, curve)
    return {
        "public_key": key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "signature": lambda data: key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)),
    }


_X: Final = int.from_bytes(_point()[1:33], "big")
_P384_POINT: Final = _point("P-384")
_EXPLICIT: Final = der.sequence(  # SpecifiedECDomain of P-256 itself (RFC 3279 §2.3.5)
    der.integer(1),
    der.sequence(der.object_identifier("1.2.840.10045.1.1"), der.integer(_PRIME)),
    der.sequence(
        der.octet_string((_PRIME - 3).to_bytes(32, "big")),
        der.octet_string(bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")),
    ),
    der.octet_string(_point()),
    der.integer(P256_ORDER),
    der.integer(1),
)

CASES: Final = table(
    refused(f"{_GOOD_KEY}: curves", "request", "public_key.type", of=_other_curve),
    invalid("a key on secp256k1", ec.SECP256K1()),
    invalid("a key on brainpoolP256r1", ec.BrainpoolP256R1()),
    refused(f"{_GOOD_KEY}: curves", "request.public_key", "public_key.type", of=_on),
    invalid("a key on P-192", (b"\x04" + bytes(48), "1.2.840.10045.3.1.1")),
    invalid("a key on SM2", (_point(), "1.2.156.10197.1.301")),
    invalid("an unknown curve", (_point(), "1.3.6.1.4.1.99999.5")),
    invalid("a point of P-256 on P-384", (_point(), _P384)),
    invalid("a point of P-384 on P-256", (_P384_POINT, _P256)),
    refused(
        f"{_GOOD_KEY}: curves",
        "request.public_key",
        "public_key.type",
        of=lambda algorithm: _info(der.sequence(*algorithm), _point()),
    ),
    invalid("a curve that is inherited", (_EC, der.NULL)),
    invalid("a curve that is absent", (_EC,)),
    invalid("the parameters of P-256 written out", (_EC, _EXPLICIT)),
    row("two curves", (_EC, der.object_identifier(_P256), der.object_identifier(_P384))),
    invalid("a key for ECDH alone", (der.object_identifier("1.3.132.1.12"), der.object_identifier(_P256))),
    refused(f"{_GOOD_KEY}: points", "request.public_key", "public_key.type", of=_on),
    invalid("a point of zeros", (b"\x04" + bytes(64), _P256)),
    invalid(
        "a coordinate that is not below the field's prime",
        (b"\x04" + _PRIME.to_bytes(32, "big") + _point()[33:], _P256),
    ),
    invalid(
        "a coordinate plus the field's prime",
        (b"\x04" + ((_X + _PRIME) % (1 << 256)).to_bytes(32, "big") + _point()[33:], _P256),
    ),
    invalid("a point one byte short", (_point()[:-1], _P256)),
    invalid("a point with a byte after it", (_point() + b"\0", _P256)),
    invalid("no point at all", (b"", _P256)),
    invalid("a compressed point of P-384", (_point("P-384", compressed=True), _P384)),
    invalid("a compressed point of P-521", (_point("P-521", compressed=True), _P521)),
    invalid("a point of P-521 beyond its field", (b"\x04" + b"\xff" * 132, _P521)),
    invalid("a point of P-384 that is off the curve", (_P384_POINT[:-1] + bytes([_P384_POINT[-1] ^ 1]), _P384)),
    invalid("a point in a form that does not exist", (b"\x05" + _point()[1:], _P256)),
    refused("cert-manager test/e2e/suite/conformance: Ed25519; Ed448", "request", "public_key.type", of=_edwards),
    row("Ed25519, honestly signed", ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)),
    invalid("Ed448, honestly signed", ed448.Ed448PrivateKey.from_private_bytes(b"\x01" * 57)),
    refused("ours: other algorithms", "request.public_key", "public_key.type"),
    invalid("X25519", _info(der.sequence(der.object_identifier("1.3.101.110")))),
    invalid("ML-DSA-44", _info(der.sequence(der.object_identifier("2.16.840.1.101.3.4.3.17")), bytes(1312))),
    invalid(
        "Diffie-Hellman",
        _info(
            der.sequence(der.object_identifier("1.2.840.113549.1.3.1"), der.sequence(der.integer(23), der.integer(5)))
        ),
    ),
    invalid("GOST R 34.10", _info(der.sequence(der.object_identifier("1.2.643.7.1.1.1.1")))),
    invalid("an unknown algorithm", _info(der.sequence(der.object_identifier("1.3.6.1.4.1.99999.6"), der.NULL))),
)
