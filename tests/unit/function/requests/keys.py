"""RSA keys: sizes, exponents and known weaknesses, each with an honest proof of possession where one can be made."""

from typing import Any, Final

import gmpy2

from sandbox.calico import der
from tests.unit.function.builders import (
    ec_key,
    large_modulus,
    make_authority,
    make_issuer,
    prime,
    rsa_key,
    rsa_public_key_info,
    rsa_request,
)
from tests.unit.function.requests.table import invalid, permitted, refused, row, table

_RSA: Final = "1.2.840.113549.1.1.1"
_GOOD_KEY: Final = "boulder good_key_test.go"


def _next_prime(start: int) -> int:
    return int(gmpy2.next_prime(start))


def _of_size(bits: int) -> dict[str, Any]:
    p = prime((bits + 15) // 16 * 8, 3)
    q = _next_prime((3 << (bits - 2)) // p)
    assert (p * q).bit_length() == bits
    return rsa_request(p, q)


def _unsigned(modulus: int, exponent: int = 65537) -> dict[str, Any]:
    """An RSA key of any numbers; no signature can be right."""
    return {"key": rsa_key(), "public_key": rsa_public_key_info(modulus, exponent)}


def _with_any_exponent(exponent: int) -> dict[str, Any]:
    return _unsigned(large_modulus(2048), exponent)


def _with_exponent(exponent: int) -> dict[str, Any]:
    """An RSA key whose primes fit the exponent."""
    candidates = (prime(1024, number) for number in range(20, 25))
    p, q, *_ = (candidate for candidate in candidates if gmpy2.gcd(candidate - 1, exponent) == 1)
    return rsa_request(p, q, exponent=exponent)


def _factors(factors: tuple[int, ...]) -> dict[str, Any]:
    return rsa_request(*factors)


def _info(*content: bytes, algorithm: str = _RSA, parameters: bytes = der.NULL) -> bytes:
    return der.sequence(der.sequence(der.object_identifier(algorithm), parameters), *content)


def _info_request(info: bytes) -> dict[str, Any]:
    return {"key": rsa_key(), "public_key": info}


def _numbers(*integers: bytes) -> bytes:
    return der.bit_string(der.sequence(*integers))


_MODULUS: Final = der.integer(rsa_key().public_key().public_numbers().n)
_EXPONENT: Final = der.integer(65537)
_KEY: Final = _numbers(_MODULUS, _EXPONENT)
_ROOT: Final = make_authority(common_name="Calico root", key=ec_key(number=424242), path_length=1)
_ISSUING: Final = make_authority(common_name="Calico issuing CA", above=_ROOT)
_CHAIN: Final = make_issuer(_ISSUING, trust=_ROOT.pem)

CASES: Final = table(
    refused(f"{_GOOD_KEY}: sizes", "request", "public_key.size", of=_of_size),
    *(invalid(f"an RSA key of {bits} bits", bits) for bits in (512, 1023)),
    *(row(f"an RSA key of {bits} bits", bits) for bits in (1024, 1536, 2040, 2047, 2049, 3071, 4095, 6144)),
    refused(f"{_GOOD_KEY}: sizes", "request", "public_key.size", of=_unsigned),
    invalid("an RSA modulus of zero", 0),
    invalid("an RSA modulus of one", 1),
    invalid("an RSA modulus of 8191 bits", large_modulus(8191)),
    invalid("an RSA modulus of 8193 bits", large_modulus(8193)),
    refused(f"{_GOOD_KEY}: exponents", "request", "public_key.exponent", of=_with_exponent),
    row("RSA with e = 3, honestly signed", 3),
    row("RSA with e = 17", 17),
    row("RSA with e = 65539", 65539),
    invalid("RSA with an exponent of 33 bits", (1 << 32) + 15),
    invalid("RSA with an exponent of 257 bits", (1 << 256) + 297),
    refused(f"{_GOOD_KEY}: exponents", "request", "public_key.exponent", of=_with_any_exponent),
    invalid("RSA with e = 0", 0),
    invalid("RSA with e = 2", 2),
    invalid("RSA with e = 65536", 65536),
    invalid("RSA with a negative exponent", -65537),
    invalid("RSA with an exponent beyond the modulus", large_modulus(2048) + 2),
    refused(f"{_GOOD_KEY}: known weaknesses", "request", "public_key.weak", of=_factors),
    row("neighbouring primes", (prime(1024), _next_prime(prime(1024)))),
    row("primes that differ in their lower half", (prime(1024), _next_prime(prime(1024) + (1 << 515)))),
    row("the square of a prime", (prime(1024), prime(1024))),
    row("a factor of 10 bits", (751, _next_prime((3 << 2046) // 751))),  # the largest prime that boulder looks for
    row("a prime as modulus, honestly signed", (prime(2048),)),
    row("neighbouring primes of 3072 bits", (prime(1536), _next_prime(prime(1536)))),
    refused("ours: a prime of 8192 bits passes the checks of badkeys", "request", "public_key.weak", of=_factors),
    row("a prime of 8192 bits as modulus", (prime(8192),)),
    refused("RFC 3279 section 2.3.1, RFC 8017 appendix A.1", "request", "public_key.type", of=_info_request),
    invalid("an RSA key under the identifier of PSS", _info(_KEY, algorithm="1.2.840.113549.1.1.10")),
    invalid("an RSA key under the identifier of OAEP", _info(_KEY, algorithm="1.2.840.113549.1.1.7")),
    row("an RSA key of three numbers", _info(_numbers(_MODULUS, _EXPONENT, der.integer(3)))),
    invalid("an RSA key of one number", _info(_numbers(_MODULUS))),
    invalid("an RSA key with a padded exponent", _info(_numbers(_MODULUS, bytes.fromhex("020400010001")))),
    row("an RSA key with data after it", _info(der.bit_string(der.sequence(_MODULUS, _EXPONENT) + der.NULL))),
    row("a key with data after its bits", _info(_KEY, der.NULL)),
    row("an RSA key with two parameters", _info(_KEY, parameters=der.NULL * 2)),
    invalid("an RSA key without bits", _info(der.bit_string(b""))),
    refused("RFC 5280 section 4.1", "request.public_key", "public_key.type"),
    invalid("a key's algorithm without an identifier", der.sequence(der.sequence(), _KEY)),
    invalid("a key that is a number", der.integer(1)),
    refused("ours: chain and trust bundle", "request.key", "public_key.issuer", signer={"issuer": _CHAIN}),
    row("the issuing CA's key", _ISSUING.key),
    row("the root's key", _ROOT.key),
    permitted("operator installation_types.go: keyAlgorithm", "request.key"),
    *(row(f"RSA-{bits}", rsa_key(bits)) for bits in (2048, 3072, 4096, 8192)),
    row("P-256", ec_key("P-256", 2345)),
    row("P-384", ec_key("P-384")),
    row("P-521", ec_key("P-521")),
    row("a point with a coordinate that starts with zeros", ec_key("P-256", 379)),
)
