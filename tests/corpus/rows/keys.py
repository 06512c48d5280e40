"""RSA keys: sizes, exponents and known weaknesses, each with an honest proof of possession where one can be made."""

import hashlib
from typing import Final

import gmpy2

from sandbox.calico import der
from tests.corpus.entry import permitted, refused
from tests.corpus.hostile import rsa, rsa_numbers
from tests.function.builders import (
    Case,
    case,
    ec_key,
    large_modulus,
    make_authority,
    make_issuer,
    prime,
    rsa_key,
    rsa_public_key_info,
)

_RSA: Final = "1.2.840.113549.1.1.1"
_SMALL: Final = 751  # the largest prime that boulder looks for


def _of_size(bits: int) -> Case:
    p = prime((bits + 15) // 16 * 8, 3)
    q = int(gmpy2.next_prime((3 << (bits - 2)) // p))
    assert (p * q).bit_length() == bits
    return case(f"an RSA key of {bits} bits", "public_key.size", request=rsa(p, q))


def _unsigned(sentence: str, code: str, modulus: int, exponent: int = 65537) -> Case:
    info = rsa_public_key_info(modulus, exponent)
    return case(sentence, code, request={"key": rsa_key(), "public_key": info})  # no signature can be right


def _info(sentence: str, *content: bytes, algorithm: str = _RSA, parameters: bytes = der.NULL) -> Case:
    info = der.sequence(der.sequence(der.object_identifier(algorithm), parameters), *content)
    return case(sentence, "public_key.type", request={"key": rsa_key(), "public_key": info})


def _exponent(sentence: str, exponent: int) -> Case:
    return case(sentence, "public_key.exponent", request=rsa(*_friendly(exponent), exponent))


def _friendly(exponent: int) -> tuple[int, int]:
    """Two primes of 1024 bits of which neither is one more than a multiple of a factor of the exponent."""
    found: list[int] = []
    number = 20
    while len(found) < 2:
        candidate = prime(1024, number)
        if gmpy2.gcd(candidate - 1, exponent) == 1:
            found.append(candidate)
        number += 1
    return found[0], found[1]


def _numbers(*integers: bytes) -> bytes:
    return der.bit_string(der.sequence(*integers))


_MODULUS: Final = der.element(0x02, b"\0" + rsa_key().public_key().public_numbers().n.to_bytes(256, "big"))
_EXPONENT: Final = der.integer(65537)
# A prime of 8192 bits takes half a minute to find. It was found once, and is told by its distance from a digest.
_PRIME: Final = (int.from_bytes(hashlib.shake_256(b"prime 0 of 8192 bits").digest(1024), "big") | 3 << 8190) + 9648
_ROOT: Final = make_authority(common_name="Calico root", key=ec_key(number=424242), path_length=1)
_ISSUING: Final = make_authority(common_name="Calico issuing CA", above=_ROOT)
_ISSUED: Final = {"issuer": make_issuer(_ISSUING, trust=_ROOT.pem)}

ROWS: Final = (
    *refused(
        "letsencrypt/boulder goodkey/good_key_test.go: sizes",
        *map(_of_size, (512, 1023, 1024, 1536, 2040, 2047, 2049, 3071, 4095, 6144)),
        _unsigned("an RSA modulus of zero", "public_key.size", 0),
        _unsigned("an RSA modulus of one", "public_key.size", 1),
        _unsigned("an RSA modulus of 8191 bits", "public_key.size", large_modulus(8191)),
        _unsigned("an RSA modulus of 8193 bits", "public_key.size", large_modulus(8193)),
    ),
    *refused(
        "letsencrypt/boulder goodkey/good_key_test.go: exponents",
        _exponent("RSA with e = 3, honestly signed", 3),
        _exponent("RSA with e = 17", 17),
        _exponent("RSA with e = 65539", 65539),
        _exponent("RSA with an exponent of 33 bits", (1 << 32) + 15),
        _exponent("RSA with an exponent of 257 bits", (1 << 256) + 297),
        _unsigned("RSA with e = 0", "public_key.exponent", large_modulus(2048), 0),
        _unsigned("RSA with e = 2", "public_key.exponent", large_modulus(2048), 2),
        _unsigned("RSA with e = 65536", "public_key.exponent", large_modulus(2048), 65536),
        _unsigned("RSA with a negative exponent", "public_key.exponent", large_modulus(2048), -65537),
        _unsigned(
            "RSA with an exponent beyond the modulus",
            "public_key.exponent",
            large_modulus(2048),
            large_modulus(2048) + 2,
        ),
    ),
    *refused(
        "letsencrypt/boulder goodkey/good_key_test.go: known weaknesses, each key with its proof of possession",
        case("neighbouring primes", "public_key.weak", request=rsa(prime(1024), int(gmpy2.next_prime(prime(1024))))),
        case(
            "primes that differ in their lower half",
            "public_key.weak",
            request=rsa(prime(1024), int(gmpy2.next_prime(prime(1024) + (1 << 515)))),
        ),
        case("the square of a prime", "public_key.weak", request=rsa(prime(1024), prime(1024))),
        case(
            "a factor of 10 bits", "public_key.weak", request=rsa(_SMALL, int(gmpy2.next_prime((3 << 2046) // _SMALL)))
        ),
        case(
            "a prime as modulus, honestly signed",
            "public_key.weak",
            request=rsa_numbers(prime(2048), 65537, pow(65537, -1, prime(2048) - 1)),
        ),
        case(
            "neighbouring primes of 3072 bits",
            "public_key.weak",
            request=rsa(prime(1536), int(gmpy2.next_prime(prime(1536)))),
        ),
    ),
    *refused(
        "ours: a prime of 8192 bits passes the checks of badkeys",
        case(
            "a prime of 8192 bits as modulus",
            "public_key.weak",
            request=rsa_numbers(_PRIME, 65537, pow(65537, -1, _PRIME - 1)),
        ),
    ),
    *refused(
        "RFC 3279 section 2.3.1, RFC 8017 appendix A.1: RSA keys in other forms",
        _info(
            "an RSA key under the identifier of PSS", _numbers(_MODULUS, _EXPONENT), algorithm="1.2.840.113549.1.1.10"
        ),
        _info(
            "an RSA key under the identifier of OAEP", _numbers(_MODULUS, _EXPONENT), algorithm="1.2.840.113549.1.1.7"
        ),
        _info("an RSA key of three numbers", _numbers(_MODULUS, _EXPONENT, der.integer(3))),
        _info("an RSA key of one number", _numbers(_MODULUS)),
        _info("an RSA key with a padded exponent", _numbers(_MODULUS, bytes.fromhex("020400010001"))),
        _info("an RSA key with data after it", der.bit_string(der.sequence(_MODULUS, _EXPONENT) + der.NULL)),
        _info("a key with data after its bits", _numbers(_MODULUS, _EXPONENT), der.NULL),
        _info("an RSA key with two parameters", _numbers(_MODULUS, _EXPONENT), parameters=der.NULL + der.NULL),
        _info("an RSA key without bits", der.bit_string(b"")),
        case(
            "a key's algorithm without an identifier",
            "public_key.type",
            request={"public_key": der.sequence(der.sequence(), _numbers(_MODULUS, _EXPONENT))},
        ),
        case("a key that is a number", "public_key.type", request={"public_key": der.integer(1)}),
    ),
    *refused(
        "ours: keys of the issuer, in chain and trust bundle",
        case("the issuing CA's key", "public_key.issuer", request={"key": _ISSUING.key}, signer=_ISSUED),
        case("the root's key", "public_key.issuer", request={"key": _ROOT.key}, signer=_ISSUED),
    ),
    *permitted(
        "tigera/operator api/v1/installation_types.go: keyAlgorithm",
        case("RSA-2048", request={"key": rsa_key(2048)}),
        case("RSA-3072", request={"key": rsa_key(3072)}),
        case("RSA-4096", request={"key": rsa_key(4096)}),
        case("RSA-8192", request={"key": rsa_key(8192)}),
        case("P-256", request={"key": ec_key("P-256", 2345)}),
        case("P-384", request={"key": ec_key("P-384")}),
        case("P-521", request={"key": ec_key("P-521")}),
        case("a point with a coordinate that starts with zeros", request={"key": ec_key("P-256", 379)}),
    ),
)
