"""Private keys that follow from numbers: the same in every run, made in no time, and no secret of anybody's.

For where a key's kind matters and its secrecy does not. An RSA key of 8192 bits takes seconds to find; here only how
far its primes lie from where the search began is kept, so that everybody can make them, and check that they are prime.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

EXPONENT: Final = 65537
PRIMES: Final[Mapping[tuple[int, int], int]] = MappingProxyType(
    {
        (512, 1): 222,
        (512, 2): 373,
        (1024, 1): 356,
        (1024, 2): 186,
        (1536, 1): 729,
        (1536, 2): 256,
        (2048, 1): 861,
        (2048, 2): 671,
        (4096, 1): 1591,
        (4096, 2): 3531,
    }
)
"""Size in bits and number of a prime: its distance from `start`."""

_CURVES: Final[Mapping[str, ec.EllipticCurve]] = MappingProxyType(
    {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
)


def start(bits: int, number: int) -> int:
    """Where the search for a prime began: follows from the number; the two highest bits are set."""
    stream = hashlib.shake_256(f"prime {number} of {bits} bits".encode()).digest(bits // 8)
    return int.from_bytes(stream, "big") | (3 << (bits - 2))


def prime(bits: int, number: int) -> int:
    """The next prime after `start`.

    Raises:
        KeyError: it is none of PRIMES.
    """
    return start(bits, number) + PRIMES[bits, number]


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """The RSA key of that size: 1024, 2048, 3072, 4096, 8192."""
    p, q = prime(bits // 2, 1), prime(bits // 2, 2)
    d = pow(EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(EXPONENT, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@cache
def ec_key(curve: str, number: int = 1234567) -> ec.EllipticCurvePrivateKey:
    """The key on `P-256`, `P-384` or `P-521` whose private scalar is that number."""
    return ec.derive_private_key(number, _CURVES[curve])


def key(kind: str) -> PrivateKey:
    """The key of a kind: `RSA-2048`, `P-256` and so on."""
    family, _, size = kind.partition("-")
    return rsa_key(int(size)) if family == "RSA" else ec_key(kind)
