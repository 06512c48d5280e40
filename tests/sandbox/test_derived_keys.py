"""Keys that follow from numbers are real keys, and the same for everybody."""

import gmpy2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from sandbox.derived_keys import DISTANCES, key, other_rsa_keys, prime, rsa_key, start


@pytest.mark.parametrize(("bits", "number"), [(bits, number) for bits in DISTANCES for number in DISTANCES[bits]])
def test_primes_are_prime(bits: int, number: int) -> None:
    """Each has its size and its two highest bits set, so that the product of two has exactly twice the size."""
    assert prime(bits, number) >> (bits - 2) == 3
    assert gmpy2.is_prime(prime(bits, number), 5)
    assert start(bits, number) < prime(bits, number)


@pytest.mark.parametrize("bits", [1024, 2048, 3072, 4096, 8192])
def test_an_rsa_key_has_its_size_and_signs(bits: int) -> None:
    """What it signs verifies."""
    private = rsa_key(bits)
    assert private.key_size == bits
    signature = private.sign(b"text", padding.PKCS1v15(), hashes.SHA256())
    private.public_key().verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(("bits", "number"), [(512, 1), (512, 2), (1024, 1), (1024, 2)])
def test_a_prime_is_the_one_that_a_search_finds(bits: int, number: int) -> None:
    """The distance is that of the next prime, so anyone can find it again."""
    assert prime(bits, number) == gmpy2.next_prime(start(bits, number))


@pytest.mark.parametrize(("kind", "curve"), [("P-256", ec.SECP256R1), ("P-384", ec.SECP384R1), ("P-521", ec.SECP521R1)])
def test_a_key_is_of_the_kind_that_is_named(kind: str, curve: type[ec.EllipticCurve]) -> None:
    """Each call gives the same one."""
    private = key(kind)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, curve)
    assert private is key(kind)
    assert isinstance(key("RSA-2048"), rsa.RSAPrivateKey)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_there_are_other_rsa_keys_of_a_size(bits: int) -> None:
    """No two are alike, so that each version of a key can have its own."""
    moduli = {key.public_key().public_numbers().n for key in other_rsa_keys(bits)}
    assert len(moduli) == len(list(other_rsa_keys(bits))) >= 28
    assert rsa_key(bits).public_key().public_numbers().n not in moduli
    assert {modulus.bit_length() for modulus in moduli} == {bits}
