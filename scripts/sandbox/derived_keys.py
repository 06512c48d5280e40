"""Private keys that follow from numbers: the same in every run, fast to make, and not secret.

Use them if a key's kind matters and its secrecy does not. Finding an RSA key of 8192 bits takes seconds. This module
stores only the distance of each prime from the start of its search, so that any reader can verify the primes.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

EXPONENT: Final = 65537
DISTANCES: Final[Mapping[int, Mapping[int, int]]] = {
    256: {3: 26},
    512: {1: 222, 2: 373, 3: 85},
    768: {1: 510, 2: 43, 3: 169},
    1024: {0: 479, 1: 356, 2: 186, 3: 757}
    | dict(enumerate((3752, 278, 85, 78, 303, 1004, 1512, 1762, 614, 31, 398, 140, 37, 1019, 79), 10)),
    1032: {3: 107},
    1536: {0: 1833, 1: 729, 2: 256, 3: 14} | dict(enumerate((223, 172, 1629, 202, 2881, 1605, 2030, 175), 10)),
    2048: {0: 505, 1: 861, 2: 671, 3: 1226} | dict(enumerate((60, 416, 1829, 1493, 1502, 3257, 1179, 404), 10)),
    3072: {3: 3858},
    4096: {1: 1591, 2: 3531},
    8192: {0: 9648},
}
"""The distance of a prime from `start`, by size in bits and number: `gmpy2.next_prime(start(B, N)) - start(B, N)`."""
_FIRST_OF_OTHERS: Final = 10

_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-224": ec.SECP224R1(),
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


def start(bits: int, number: int) -> int:
    """Returns the start of the search for a prime; it follows from the number, and its two highest bits are set."""
    stream = hashlib.shake_256(f"prime {number} of {bits} bits".encode()).digest(bits // 8)
    return int.from_bytes(stream, "big") | (3 << (bits - 2))


def prime(bits: int, number: int = 0) -> int:
    """Returns the next prime after `start`.

    Raises:
        KeyError: DISTANCES does not have it.
    """
    return start(bits, number) + DISTANCES[bits][number]


@cache
def rsa_key(bits: int = 2048, exponent: int = EXPONENT) -> rsa.RSAPrivateKey:
    """Returns the RSA key of that size: 1024, 1536, 2048, 3072, 4096 or 8192 bits."""
    return _rsa_key(prime(bits // 2, 1), prime(bits // 2, 2), exponent)


def other_rsa_keys(bits: int) -> Iterator[rsa.RSAPrivateKey]:
    """Yields keys of 2048, 3072 or 4096 bits, each once and none of them `rsa_key`'s."""
    primes = [prime(bits // 2, number) for number in DISTANCES[bits // 2] if number >= _FIRST_OF_OTHERS]
    return (_rsa_key(p, q, EXPONENT) for p, q in itertools.combinations(primes, 2))


def _rsa_key(p: int, q: int, exponent: int) -> rsa.RSAPrivateKey:
    d = pow(exponent, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(exponent, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@cache
def ec_key(curve: str = "P-256", number: int = 1234567) -> ec.EllipticCurvePrivateKey:
    """Returns the key on `P-224`, `P-256`, `P-384` or `P-521` whose private scalar is that number."""
    return ec.derive_private_key(number, _CURVES[curve])


def key(kind: str) -> PrivateKey:
    """Returns the key of a kind, such as `RSA-2048` or `P-256`."""
    family, _, size = kind.partition("-")
    return rsa_key(int(size)) if family == "RSA" else ec_key(kind)
