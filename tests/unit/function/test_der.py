"""The ASN.1 types: DER and nothing but DER, and no bytes that make the library fail in a way of its own."""

import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from csr_signer import der
from sandbox.calico import der as writer
from tests.unit.function.builders import ec_key, make_request_der, public_key_info, rsa_key
from tests.unit.function.der_trees import Tree, change

REQUEST = make_request_der()
KINDS: tuple[type[Any], ...] = (
    der.AlgorithmIdentifier,
    der.Attribute,
    der.AttributeTypeAndValue,
    der.BasicConstraints,
    der.CertificationRequest,
    der.CertificationRequestInfo,
    der.Extension,
    der.RSAPublicKey,
    der.SubjectPublicKeyInfo,
)
LISTS: tuple[type[Any], ...] = (der.Elements, der.Name, der.ObjectIdentifiers, der.GeneralNames)


def reencoded(kind: type[Any], encoded: bytes) -> bytes | None:
    """What a type makes of bytes, written again; None where it refuses them."""
    try:
        return (
            der.encode_list(der.decode_list(kind, encoded)) if kind in LISTS else der.encode(der.decode(kind, encoded))
        )
    except ValueError:
        return None


@given(st.sampled_from([*KINDS, *LISTS]), st.binary(max_size=60))
def test_any_bytes_are_refused_or_come_back(kind: type[Any], encoded: bytes) -> None:
    """Re-encoding gives the input back: there is one encoding of a value, so nothing in it can be overlooked."""
    assert reencoded(kind, encoded) in (None, encoded)


@given(st.sampled_from([*KINDS, *LISTS]), st.randoms())
def test_any_tree_is_refused_or_comes_back(kind: type[Any], random: Random) -> None:
    """So does whatever stands somewhere in a request with one thing changed."""
    tree = Tree.read(random.choice([REQUEST, public_key_info(rsa_key()), public_key_info(ec_key())]))
    change(tree, random)
    encoded = random.choice(tree.all()).write()
    assert reencoded(kind, encoded) in (None, encoded)


def test_each_type_reads_what_it_is_for() -> None:
    """The refusals above are not for nothing: every type reads something."""
    places = [part.write() for encoded in (REQUEST, public_key_info(rsa_key())) for part in Tree.read(encoded).all()]
    bits = der.decode(der.SubjectPublicKeyInfo, public_key_info(rsa_key())).subject_public_key.as_bytes()
    for kind in (*KINDS, *LISTS):
        assert any(reencoded(kind, place) == place for place in (*places, bits)), kind


@pytest.mark.parametrize(
    ("encoded", "what"),
    [
        ("", "ShortData"),
        ("04", "ShortData"),
        ("0401", "ShortData"),
        ("04010000", "ExtraData"),
        ("04810100", "InvalidLength"),
        ("0482000100", "InvalidLength"),
        ("30800000", "InvalidLength"),
        ("04800000", "InvalidLength"),
        ("0488ffffffffffffffff", "InvalidLength"),
        ("048901ffffffffffffffff", "InvalidLength"),
        ("04ff", "InvalidLength"),
        ("04847fffffff", "ShortData"),
        ("1f0c0161", "InvalidTag"),
        ("1f80800161", "InvalidTag"),
        ("3fffffffffffffffff7f00", "InvalidTag"),
        ("1f", "ShortData"),
    ],
)
def test_no_element_is(encoded: str, what: str) -> None:
    """Lengths and tags that are not the shortest, indefinite, too large, or end in the middle."""
    with pytest.raises(ValueError, match=what):
        der.tlv(bytes.fromhex(encoded))


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        (int, "0200"),
        (int, "02020000"),
        (int, "0202007f"),
        (int, "0202ff80"),
        (int, "220100"),
        (bool, "010101"),
        (bool, "0101"),
        (bool, "01020000"),
        (bytes, "24030401ff"),
        (str, "0c01ff"),
        (str, "0c03eda080"),
        (str, "0c02c080"),
        (str, "2c030c0161"),
        (asn1.PrintableString, "13022a40"),
        (asn1.PrintableString, "1301e4"),
        (asn1.BitString, "0300"),
        (asn1.BitString, "030101"),
        (asn1.BitString, "03020880"),
        (asn1.BitString, "03020181"),
        (asn1.BitString, "230403020000"),
        (asn1.Null, "050100"),
        (ObjectIdentifier, "0600"),
        (ObjectIdentifier, "060180"),
        (ObjectIdentifier, "0603558004"),
        (ObjectIdentifier, "0640" + "2a" * 64),
        (ObjectIdentifier, "0614" + "2a" + "ff" * 18 + "7f"),
    ],
)
def test_no_value_is(kind: type[Any], encoded: str) -> None:
    """Contents that BER knows and DER does not, and such as nobody knows."""
    with pytest.raises(ValueError, match=f"^{kind.__name__} "):
        der.decode(kind, bytes.fromhex(encoded))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: der.decode(der.BasicConstraints, b"\x04\x06secret"), "BasicConstraints UnexpectedTag"),
        (lambda: der.decode(str, b"\x0c\x07secret\xff"), "str InvalidValue"),
        (lambda: der.decode_list(der.Elements, b"\x04\x06secret"), "Elements UnexpectedTag"),
        (lambda: der.decode_list(der.Elements, b"\x04\x07secret"), "Tlv ShortData"),
        (
            lambda: der.decode(der.BasicConstraints, writer.sequence(b"\x01\x01\x00")),
            'BasicConstraints "invalid DER: DEFAULT value was explicitly encoded"',
        ),
    ],
)
def test_a_refusal_says_which_type_and_why(call: Callable[[], object], message: str) -> None:
    """Its text is the library's and the type's, bounded and escaped, and nothing of what a requester wrote."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


class Panic(BaseException):
    """As pyo3's PanicException: no Exception."""


@pytest.mark.parametrize("error", [Panic("a"), ValueError("b"), TypeError("c"), OverflowError("d")])
def test_every_exception_of_the_library_is_a_value_error(error: BaseException) -> None:
    """Otherwise the exporter would resend a requester's bytes that cause a panic forever."""

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match=str(error)) as caught:
        der.attempt(fail)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), SystemExit(1)])
def test_a_fault_of_the_process_is_no_refusal(error: BaseException) -> None:
    """Being out of memory or being stopped says nothing of the bytes: a transient fault never denies."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        der.attempt(fail)
    assert caught.value is error


def test_a_result_without_an_exception_is_returned() -> None:
    """The wrapper changes no result."""
    assert der.attempt(lambda: 42) == 42


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "00"), (7, "07"), (0x5EED, "5EED"), (2**158, "40" + "00" * 19), (2**155, "08" + "00" * 19), (-1, "-01")],
)
def test_a_serial_number_has_whole_octets(number: int, text: str) -> None:
    """As OpenSSL prints it: a leading zero does not get lost, so every number of 20 octets has 40 digits."""
    assert der.hexadecimal(number) == text
