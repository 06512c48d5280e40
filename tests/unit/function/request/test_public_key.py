"""Which keys are acceptable: allow-lists, and known weaknesses by name."""

import hashlib
import sys
from itertools import count
from typing import Final

import gmpy2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer import der
from csr_signer.request.public_key import (
    CURVES,
    ECDSA_SIGNATURES,
    RSA_EXPONENT,
    RSA_SIGNATURES,
    RSA_SIZES,
    PublicKey,
    examine,
    verify_proof_of_possession,
    weakness,
)
from csr_signer.violation import Violation
from sandbox.calico import der as writer
from tests.unit.function.builders import (
    Case,
    PrivateKey,
    close_primes_modulus,
    ec_key,
    ec_public_key_info,
    large_modulus,
    make_request_der,
    prime,
    public_key_info,
    roca_modulus,
    rsa_key,
    rsa_public_key_info,
    sign,
)
from tests.unit.function.tables import KEY_CASES


def _weak(weakness: str) -> str:
    return f"spec.request.publicKey: Invalid value: must not be known to be weak: {weakness}"


@pytest.mark.parametrize(
    ("info", "name", "rsa"),
    [
        (rsa_public_key_info(large_modulus(2048)), "RSA-2048", True),
        (rsa_public_key_info(large_modulus(3072)), "RSA-3072", True),
        (rsa_public_key_info(large_modulus(4096)), "RSA-4096", True),
        (rsa_public_key_info(large_modulus(8192)), "RSA-8192", True),
        (public_key_info(ec_key("P-256")), "P-256", False),
        (public_key_info(ec_key("P-384")), "P-384", False),
        (public_key_info(ec_key("P-521")), "P-521", False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_that_calico_can_name_is_accepted(info: bytes, name: str, rsa: bool) -> None:  # noqa: FBT001 - a column
    """Every keyAlgorithm of the Installation resource, byte for byte, and its SHA-256 for the records."""
    assert examine(info) == PublicKey(subject_public_key_info=info, name=name, rsa=rsa)
    assert PublicKey(subject_public_key_info=info, name=name, rsa=rsa).sha256 == hashlib.sha256(info).hexdigest()


def _refused_info(row: Case) -> bytes:
    assert not isinstance(row.request, bytes)
    request = der.decode(der.CertificationRequest, make_request_der(**row.request or {}))
    info = der.decode(der.CertificationRequestInfo, der.encode(request.certification_request_info))
    return der.encode(info.subject_public_key_info)


_LATER: Final = ("the issuer's own key", "a prime modulus")
"""Judged by the policy, and by `weakness`."""


@pytest.mark.parametrize("row", [row for row in KEY_CASES if row.sentence not in _LATER], ids=str)
def test_refused_is(row: Case) -> None:
    """A key with one thing wrong is one violation, the row's."""
    violation = examine(_refused_info(row))
    assert isinstance(violation, Violation)
    assert {violation.code} == row.breaks


def biased_modulus() -> int:
    """2048 bits in chunks of 128 of which 48 are zero, as a faulty generator made them (badkeys calls it nautilus)."""
    chunks = sum(int.from_bytes(hashlib.sha256(bytes([at])).digest()[:4]) << 128 * at + 80 for at in range(16))
    start = chunks | 1 << 2047
    return next(start + low for low in range(1, 1 << 16, 2) if gmpy2.gcd(gmpy2.primorial(65537), start + low) == 1)


@pytest.mark.parametrize(
    ("known", "modulus"),
    [
        pytest.param("smallfactors", 2 * large_modulus(2047), id="an even modulus"),
        pytest.param("smallfactors", 3 * large_modulus(2047), id="the smallest odd prime"),
        pytest.param("smallfactors", 65521 * large_modulus(2032), id="the largest prime of 16 bits"),
        pytest.param("smallfactors", 65537 * large_modulus(2032), id="the largest small prime"),
        pytest.param("fermat", close_primes_modulus(), id="close primes"),
        pytest.param("fermat", prime(1024) ** 2, id="a square"),
        pytest.param("roca", roca_modulus(), id="ROCA"),
        pytest.param("rsapoly", biased_modulus(), id="few bits"),
    ],
)
def test_a_weakness_is_named(known: str, modulus: int) -> None:
    """The message says which weakness it is, so that the owner can look it up."""
    violation = examine(rsa_public_key_info(modulus))
    assert violation == Violation(code="public_key.weak", message=_weak(known))


def test_a_prime_that_others_have_is_a_weakness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Badkeys comes with the product of primes that devices share; a modulus with one of them is refused."""
    info = public_key_info(rsa_key())
    assert isinstance(examine(info), PublicKey)
    known = sys.modules["badkeys.rsakeys.sharedprimes"].__dict__["_moduli"]
    monkeypatch.setitem(known, 2048, known[2048] * prime(1024, 1))
    violation = examine(info)
    assert violation == Violation(
        code="public_key.weak",
        message=_weak("sharedprimes"),
    )


def test_primes_that_are_large_enough_are_no_weakness() -> None:
    """The smallest prime that is not small passes: it is for the size of the modulus to make factoring hard."""
    assert isinstance(examine(rsa_public_key_info(65539 * large_modulus(2032))), PublicKey)


def _key(modulus: int) -> PublicKey:
    return PublicKey(subject_public_key_info=rsa_public_key_info(modulus), name="RSA-2048", rsa=True)


def test_a_prime_modulus_is_a_weakness() -> None:
    """It passes every other check, and whoever reads the key can compute the private one."""
    assert examine(rsa_public_key_info(prime(2048))) == _key(prime(2048))
    violation = Violation(
        code="public_key.weak",
        message=_weak("prime modulus"),
    )
    assert weakness(_key(prime(2048))) == violation


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_a_product_of_primes_is_no_weakness(bits: int) -> None:
    """Nor is a key on a curve."""
    assert weakness(_key(large_modulus(bits))) is None
    assert weakness(PublicKey(subject_public_key_info=public_key_info(ec_key()), name="P-256", rsa=False)) is None


@pytest.mark.parametrize(
    ("modulus", "exponent", "message"),
    [
        (large_modulus(2047), 65537, "must have 2048, 3072, 4096, 8192 bits, not 2047"),
        (2 * large_modulus(2048) + 1, 65537, "must have 2048, 3072, 4096, 8192 bits, not 2049"),
        (1, 65537, "must have 2048, 3072, 4096, 8192 bits, not 1"),
        (0, 65537, "must have 2048, 3072, 4096, 8192 bits, not 0"),
        (-1, 65537, "must have 2048, 3072, 4096, 8192 bits, not a negative modulus of 1"),
        (-large_modulus(2048), 65537, "must have 2048, 3072, 4096, 8192 bits, not a negative modulus of 2048"),
        (large_modulus(2048), 65536, "must have the exponent 65537"),
        (large_modulus(2048), 65539, "must have the exponent 65537"),
        (large_modulus(2048), -65537, "must have the exponent 65537"),
        (large_modulus(2048), 0, "must have the exponent 65537"),
        (large_modulus(2048), 65537 + (1 << 32), "must have the exponent 65537"),
        (large_modulus(2048), large_modulus(2048) + 65537, "must have the exponent 65537"),
    ],
)
def test_no_rsa_numbers_are(modulus: int, exponent: int, message: str) -> None:
    """Sizes other than four, exponents other than one."""
    violation = examine(rsa_public_key_info(modulus, exponent))
    assert isinstance(violation, Violation)
    assert violation.message == f"spec.request.publicKey: Invalid value: {message}"


def _field(curve: str) -> int:
    return {"P-256": 2**256 - 2**224 + 2**192 + 2**96 - 1, "P-384": 2**384 - 2**128 - 2**96 + 2**32 - 1}.get(
        curve, 2**521 - 1
    )


_B_OF_P256: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def small_point() -> tuple[int, int]:
    """A point of P-256 with so small an x that x + p fits into 32 bytes as well (SP 800-186 §3.2.1.3)."""
    p = _field("P-256")
    for x in count(1):
        square = (x**3 - 3 * x + _B_OF_P256) % p
        y = pow(square, (p + 1) // 4, p)
        if y * y % p == square:
            return x, y
    raise AssertionError


def _point(x: int, y: int, size: int = 32, form: int = 4) -> bytes:
    return bytes([form]) + x.to_bytes(size, "big") + y.to_bytes(size, "big")


SMALL_X, SMALL_Y = small_point()
RSA, EC = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
NAMED: Final = {"P-256": "1.2.840.10045.3.1.7", "P-384": "1.3.132.0.34", "P-521": "1.3.132.0.35"}


def test_the_small_point_is_on_the_curve() -> None:
    """So that what is wrong below is what is said there."""
    assert isinstance(examine(ec_public_key_info(_point(SMALL_X, SMALL_Y))), PublicKey)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        pytest.param(ec_public_key_info(point, NAMED[curve]), f"must be {what} {curve}", id=f"{name} of {curve}")
        for curve, size in (("P-256", 32), ("P-384", 48), ("P-521", 66))
        for name, what, point in (
            ("infinity", "an uncompressed point of", b"\x00"),
            ("infinity, written out", "an uncompressed point of", bytes(1 + 2 * size)),
            ("nothing", "an uncompressed point of", b""),
            ("a form without numbers", "an uncompressed point of", b"\x04"),
            ("a byte too few", "an uncompressed point of", b"\x04" + bytes(2 * size - 1)),
            ("a byte too many", "an uncompressed point of", b"\x04" + bytes(2 * size + 1)),
            ("a compressed point", "an uncompressed point of", b"\x02" + bytes(size)),
            ("a hybrid point", "an uncompressed point of", _point(0, 0, size, 6)),
            ("the origin", "a point on the curve", _point(0, 0, size)),
            ("a point that is on no curve", "a point on the curve", _point(1, 1, size)),
            ("x = p", "a point on the curve", _point(_field(curve), 1, size)),
            ("coordinates of ones", "a point on the curve", b"\x04" + b"\xff" * (2 * size)),
        )
    ],
)
def test_no_point_is(info: bytes, message: str) -> None:
    """Forms other than one, and numbers that are no point."""
    violation = examine(info)
    assert violation == Violation(code="public_key.type", message=f"spec.request.publicKey: Invalid value: {message}")


@pytest.mark.parametrize(
    "point",
    [_point(SMALL_X + _field("P-256"), SMALL_Y), _point(SMALL_X, _field("P-256") - SMALL_Y + 1)],
    ids=["x + p, which is x", "another y"],
)
def test_no_other_numbers_are_the_point(point: bytes) -> None:
    """One point has one encoding: else two keys would be one."""
    violation = examine(ec_public_key_info(point))
    message = "spec.request.publicKey: Invalid value: must be a point on the curve P-256"
    assert violation == Violation(code="public_key.type", message=message)


_CURVE: Final = "must be on P-256, P-384 or P-521, by name"
_NULL: Final = "must have NULL as parameters of rsaEncryption"


@pytest.mark.parametrize(
    ("number", "parameters", "message"),
    [
        pytest.param(EC, writer.NULL, _CURVE, id="the curve of the issuer"),
        pytest.param(EC, writer.sequence(writer.integer(1)), _CURVE, id="a curve by its parameters"),
        pytest.param(EC, writer.object_identifier("1.3.132.0.10"), _CURVE, id="secp256k1"),
        pytest.param(EC, writer.object_identifier("1.3.132.0.33"), _CURVE, id="P-224"),
        pytest.param(EC, writer.object_identifier("1.3.36.3.3.2.8.1.1.7"), _CURVE, id="brainpoolP256r1"),
        pytest.param(EC, writer.object_identifier("1.2.156.10197.1.301"), _CURVE, id="SM2"),
        pytest.param(RSA, b"\x01\x01\x00", _NULL, id="a parameter that sorts before NULL"),
        pytest.param(RSA, writer.sequence(), _NULL, id="a parameter that sorts after NULL"),
        pytest.param(RSA, writer.object_identifier(NAMED["P-256"]), _NULL, id="RSA on a curve"),
        *(
            pytest.param(number, parameters, f"must be an RSA or EC key, not of algorithm {number}", id=name)
            for name, number, parameters in (
                ("a key for ECDH alone", "1.3.132.1.12", writer.object_identifier(NAMED["P-256"])),
                ("RSASSA-PSS", "1.2.840.113549.1.1.10", writer.NULL),
                ("RSAES-OAEP", "1.2.840.113549.1.1.7", writer.NULL),
                ("DSA", "1.2.840.10040.4.1", writer.sequence()),
                ("Diffie-Hellman", "1.2.840.10046.2.1", writer.sequence()),
            )
        ),
        *(
            pytest.param(number, parameters, f"must be an RSA or EC key: {why}", id=name)
            for name, number, parameters, why in (
                ("no curve", EC, b"", "SubjectPublicKeyInfo ShortData"),
                ("two curves", EC, writer.object_identifier(NAMED["P-256"]) * 2, "SubjectPublicKeyInfo ExtraData"),
                ("RSA without NULL", RSA, b"", "SubjectPublicKeyInfo ShortData"),
            )
        ),
    ],
)
def test_no_key_algorithm_is(number: str, parameters: bytes, message: str) -> None:
    """Named curves, three of them, and rsaEncryption with NULL; the bits of the key are right for a curve."""
    algorithm = writer.sequence(writer.object_identifier(number), parameters)
    violation = examine(writer.sequence(algorithm, writer.bit_string(_point(SMALL_X, SMALL_Y))))
    assert violation == Violation(code="public_key.type", message=f"spec.request.publicKey: Invalid value: {message}")


def test_a_key_is_a_whole_number_of_bytes() -> None:
    """Go would shift unused bits out; a key with some of them is refused."""
    algorithm = writer.sequence(writer.object_identifier(EC), writer.object_identifier(NAMED["P-256"]))
    point = _point(SMALL_X, SMALL_Y - SMALL_Y % 2)
    violation = examine(writer.sequence(algorithm, writer.element(0x03, b"\x01", point)))
    assert violation == Violation(
        code="public_key.type", message="spec.request.publicKey: Invalid value: must be a whole number of bytes"
    )


@pytest.mark.parametrize("digest", [hashes.SHA256, hashes.SHA384, hashes.SHA512])
@pytest.mark.parametrize("key", [ec_key(), ec_key("P-384"), ec_key("P-521"), rsa_key()])
def test_a_signature_proves_possession(key: PrivateKey, digest: type[hashes.HashAlgorithm]) -> None:
    """By that key, with that hash, over those bytes; by another, with another, over others it does not."""
    public = examine(public_key_info(key))
    assert isinstance(public, PublicKey)
    signature = sign(key, b"signed", digest())
    assert verify_proof_of_possession(public, digest, signed=b"signed", signature=signature)
    assert not verify_proof_of_possession(public, digest, signed=b"other", signature=signature)
    assert not verify_proof_of_possession(public, digest, signed=b"signed", signature=signature[:-1])
    other = hashes.SHA256 if digest is hashes.SHA512 else hashes.SHA512
    assert not verify_proof_of_possession(public, other, signed=b"signed", signature=signature)
    stranger = examine(public_key_info(rsa_key(3072) if public.rsa else ec_key(number=2)))
    assert isinstance(stranger, PublicKey)
    assert not verify_proof_of_possession(stranger, digest, signed=b"signed", signature=signature)


def test_a_key_that_cannot_verify_proves_nothing() -> None:
    """Whatever the library raises about a key, it is no proof."""
    nothing = PublicKey(subject_public_key_info=b"", name="RSA-2048", rsa=True)
    assert not verify_proof_of_possession(nothing, hashes.SHA256, signed=b"", signature=b"")


def test_the_allow_lists_are_complete() -> None:
    """A new entry is a decision, and must change this test."""
    assert RSA_SIZES == (2048, 3072, 4096, 8192)
    assert RSA_EXPONENT == 65537
    assert sorted(CURVES.values()) == [("P-256", 32), ("P-384", 48), ("P-521", 66)]


def test_sizes_are_compared_before_any_arithmetic() -> None:
    """A modulus of a mebibyte is refused by its size alone, which takes no time."""
    violation = examine(rsa_public_key_info((1 << (8 << 20)) | 1))
    message = "must have 2048, 3072, 4096, 8192 bits, not 8388609"
    assert violation == Violation(code="public_key.size", message=f"spec.request.publicKey: Invalid value: {message}")


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key(),
        ed448.Ed448PrivateKey.from_private_bytes(bytes(57)).public_key(),
        x25519.X25519PrivateKey.from_private_bytes(bytes(32)).public_key(),
    ],
)
def test_keys_of_other_kinds_are_refused(key: ed25519.Ed25519PublicKey) -> None:
    """Left out on purpose: they are not among Calico's."""
    violation = examine(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert isinstance(violation, Violation)
    assert violation.code == "public_key.type"


def test_signature_algorithms_are_calicos() -> None:
    """RSA PKCS#1 v1.5 and ECDSA, each with three hashes; nothing with SHA-1, no PSS, no Ed25519."""
    assert {number.dotted_string: digest().name for number, digest in RSA_SIGNATURES.items()} == {
        "1.2.840.113549.1.1.11": "sha256",
        "1.2.840.113549.1.1.12": "sha384",
        "1.2.840.113549.1.1.13": "sha512",
    }
    assert {number.dotted_string: digest().name for number, digest in ECDSA_SIGNATURES.items()} == {
        "1.2.840.10045.4.3.2": "sha256",
        "1.2.840.10045.4.3.3": "sha384",
        "1.2.840.10045.4.3.4": "sha512",
    }


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(encoded: bytes) -> None:
    """Bytes of any kind are a key or a violation, never an exception."""
    assert isinstance(examine(encoded), PublicKey | Violation)


@settings(max_examples=60)
@given(
    info=st.sampled_from([public_key_info(ec_key()), public_key_info(ec_key("P-521")), public_key_info(rsa_key())]),
    data=st.data(),
)
def test_any_changed_byte_gives_an_answer(info: bytes, data: st.DataObject) -> None:
    """So are a key's bytes with some of them changed; what is accepted is accepted as it came."""
    changed = bytearray(info)
    for _ in range(data.draw(st.integers(min_value=1, max_value=3))):
        changed[data.draw(st.integers(min_value=0, max_value=len(info) - 1))] = data.draw(
            st.integers(min_value=0, max_value=255)
        )
    answer = examine(bytes(changed))
    assert isinstance(answer, Violation) or answer.subject_public_key_info == bytes(changed)
