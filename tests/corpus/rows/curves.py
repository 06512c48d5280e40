"""Keys that are not RSA's: curves, points, and other algorithms."""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.calico import der
from tests.corpus.entry import refused
from tests.corpus.hostile import P256_PRIME
from tests.function.builders import Case, case, ec_key, ec_public_key_info

_EC: Final = "1.2.840.10045.2.1"
_P256, _P384, _P521 = "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"


def _point(curve: str = "P-256", *, compressed: bool = False) -> bytes:
    form = PublicFormat.CompressedPoint if compressed else PublicFormat.UncompressedPoint
    return ec_key(curve).public_key().public_bytes(Encoding.X962, form)


def _key(sentence: str, info: bytes) -> Case:
    return case(sentence, "public_key.type", request={"public_key": info})


def _other(sentence: str, algorithm: bytes, bits: bytes = bytes(32)) -> Case:
    return _key(sentence, der.sequence(algorithm, der.bit_string(bits)))


def _named(sentence: str, curve: str, point: bytes) -> Case:
    return _key(sentence, ec_public_key_info(point, curve))


def _signing(sentence: str, key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey, algorithm: str) -> Case:
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return case(
        sentence,
        "public_key.type",
        request={"public_key": info, "algorithm": algorithm, "signature": key.sign},
    )


def _on_other_curve(sentence: str, curve: ec.EllipticCurve) -> Case:
    key = ec.derive_private_key(1234567, curve)
    return case(
        sentence,
        "public_key.type",
        request={
            "public_key": key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "signature": lambda data: key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)),
        },
    )


_X: Final = int.from_bytes(_point()[1:33], "big")
_EXPLICIT: Final = der.sequence(  # SpecifiedECDomain of P-256 itself (RFC 3279 §2.3.5)
    der.integer(1),
    der.sequence(der.object_identifier("1.2.840.10045.1.1"), der.integer(P256_PRIME)),
    der.sequence(
        der.octet_string((P256_PRIME - 3).to_bytes(32, "big")),
        der.octet_string(bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")),
    ),
    der.octet_string(_point()),
    der.integer(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    der.integer(1),
)

ROWS: Final = (
    *refused(
        "letsencrypt/boulder goodkey/good_key_test.go: curves",
        _on_other_curve("a key on secp256k1", ec.SECP256K1()),
        _on_other_curve("a key on brainpoolP256r1", ec.BrainpoolP256R1()),
        _named("a key on P-192", "1.2.840.10045.3.1.1", b"\x04" + bytes(48)),
        _named("a key on SM2", "1.2.156.10197.1.301", _point()),
        _named("a curve that nobody knows", "1.3.6.1.4.1.99999.5", _point()),
        _named("a point of P-256 on P-384", _P384, _point()),
        _named("a point of P-384 on P-256", _P256, _point("P-384")),
        _other("a curve that is inherited", der.sequence(der.object_identifier(_EC), der.NULL), _point()),
        _other("a curve that is absent", der.sequence(der.object_identifier(_EC)), _point()),
        _other("the parameters of P-256 written out", der.sequence(der.object_identifier(_EC), _EXPLICIT), _point()),
        _other(
            "two curves",
            der.sequence(der.object_identifier(_EC), der.object_identifier(_P256), der.object_identifier(_P384)),
            _point(),
        ),
        _other(
            "a key for ECDH alone",
            der.sequence(der.object_identifier("1.3.132.1.12"), der.object_identifier(_P256)),
            _point(),
        ),
    ),
    *refused(
        "letsencrypt/boulder goodkey/good_key_test.go: points",
        _named("a point of zeros", _P256, b"\x04" + bytes(64)),
        _named(
            "a coordinate that is not below the field's prime",
            _P256,
            b"\x04" + P256_PRIME.to_bytes(32, "big") + _point()[33:],
        ),
        _named(
            "a coordinate plus the field's prime",
            _P256,
            b"\x04" + ((_X + P256_PRIME) % (1 << 256)).to_bytes(32, "big") + _point()[33:],
        ),
        _named("a point one byte short", _P256, _point()[:-1]),
        _named("a point with a byte after it", _P256, _point() + b"\0"),
        _named("no point at all", _P256, b""),
        _named("a compressed point of P-384", _P384, _point("P-384", compressed=True)),
        _named("a compressed point of P-521", _P521, _point("P-521", compressed=True)),
        _named("a point of P-521 beyond its field", _P521, b"\x04" + b"\xff" * 132),
        _named(
            "a point of P-384 that is off the curve", _P384, _point("P-384")[:-1] + bytes([_point("P-384")[-1] ^ 1])
        ),
        _named("a point in a form that does not exist", _P256, b"\x05" + _point()[1:]),
    ),
    *refused(
        "cert-manager test/e2e/suite/conformance: Ed25519; and other algorithms",
        _signing("Ed25519, honestly signed", ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32), "1.3.101.112"),
        _signing("Ed448, honestly signed", ed448.Ed448PrivateKey.from_private_bytes(b"\x01" * 57), "1.3.101.113"),
        _other("X25519", der.sequence(der.object_identifier("1.3.101.110"))),
        _other("ML-DSA-44", der.sequence(der.object_identifier("2.16.840.1.101.3.4.3.17")), bytes(1312)),
        _other(
            "Diffie-Hellman",
            der.sequence(der.object_identifier("1.2.840.113549.1.3.1"), der.sequence(der.integer(23), der.integer(5))),
        ),
        _other("GOST R 34.10", der.sequence(der.object_identifier("1.2.643.7.1.1.1.1"))),
        _other("an algorithm that nobody knows", der.sequence(der.object_identifier("1.3.6.1.4.1.99999.6"), der.NULL)),
    ),
)
