"""Which keys are acceptable: allow-lists, and known weaknesses by name."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer import der
from csr_signer.public_key import SIGNATURE_ALGORITHMS, PublicKey, examine
from csr_signer.violation import Violation
from tests.function.builders import (
    Case,
    close_primes_modulus,
    ec_key,
    large_modulus,
    make_request_der,
    prime,
    public_key_info,
    roca_modulus,
    rsa_key,
    rsa_public_key_info,
)
from tests.function.tables import KEY_CASES


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
    return der.encode(request.certification_request_info.subject_public_key_info)


@pytest.mark.parametrize("row", [row for row in KEY_CASES if row.breaks != {"public_key.issuer"}], ids=str)
def test_refused_is(row: Case) -> None:
    """A key with one thing wrong is one violation, the row's."""
    violation = examine(_refused_info(row))
    assert isinstance(violation, Violation)
    assert {violation.code} == row.breaks


@pytest.mark.parametrize(
    ("weakness", "modulus"),
    [
        ("prime modulus", prime(2048)),
        ("smallfactors", 65537 * large_modulus(2032)),
        ("fermat", close_primes_modulus()),
        ("roca", roca_modulus()),
    ],
)
def test_a_weakness_is_named(weakness: str, modulus: int) -> None:
    """The message says which weakness it is, so that the owner can look it up."""
    violation = examine(rsa_public_key_info(modulus))
    assert isinstance(violation, Violation)
    assert weakness in violation.message


def test_sizes_are_compared_before_any_arithmetic() -> None:
    """A modulus of a mebibyte is refused by its size alone, which takes no time."""
    violation = examine(rsa_public_key_info((1 << (8 << 20)) | 1))
    assert isinstance(violation, Violation)
    assert violation.code == "public_key.size"


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
    assert sorted(number.dotted_string for number, rsa in SIGNATURE_ALGORITHMS.items() if rsa) == [
        "1.2.840.113549.1.1.11",
        "1.2.840.113549.1.1.12",
        "1.2.840.113549.1.1.13",
    ]
    assert sorted(number.dotted_string for number, rsa in SIGNATURE_ALGORITHMS.items() if not rsa) == [
        "1.2.840.10045.4.3.2",
        "1.2.840.10045.4.3.3",
        "1.2.840.10045.4.3.4",
    ]


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(encoded: bytes) -> None:
    """Bytes of any kind are a key or a violation, never an exception."""
    assert isinstance(examine(encoded), PublicKey | Violation)


@settings(max_examples=200)
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
