"""Allow-lists of public keys and signature algorithms of requests, and checks for known weaknesses.

Deliberately left out: DSA, Ed25519 and Ed448 (not among Calico's), RSASSA-PSS, explicit EC parameters, compressed
points.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import ObjectIdentifier

from csr_signer import der, field_error
from csr_signer.violation import Violation

RSA_ENCRYPTION = ObjectIdentifier("1.2.840.113549.1.1.1")
EC_PUBLIC_KEY = ObjectIdentifier("1.2.840.10045.2.1")
RSA_SIZES: Final = (2048, 3072, 4096, 8192)
RSA_EXPONENT: Final = 65537
LARGEST_SMALL_PRIME: Final = 65537
UNCOMPRESSED_POINT: Final = 0x04

CURVES: Mapping[bytes, tuple[str, int]] = MappingProxyType(
    {
        der.encode(ObjectIdentifier("1.2.840.10045.3.1.7")): ("P-256", 32),
        der.encode(ObjectIdentifier("1.3.132.0.34")): ("P-384", 48),
        der.encode(ObjectIdentifier("1.3.132.0.35")): ("P-521", 66),
    },
)
"""Name and bytes per coordinate of each named curve, by its DER (RFC 5480 §2.1.1.1)."""

RSA_SIGNATURES: Mapping[ObjectIdentifier, type[hashes.HashAlgorithm]] = MappingProxyType(
    {
        ObjectIdentifier("1.2.840.113549.1.1.11"): hashes.SHA256,  # sha256WithRSAEncryption
        ObjectIdentifier("1.2.840.113549.1.1.12"): hashes.SHA384,  # sha384WithRSAEncryption
        ObjectIdentifier("1.2.840.113549.1.1.13"): hashes.SHA512,  # sha512WithRSAEncryption
    },
)
"""Signature algorithms of a request with an RSA key; their parameters are NULL (RFC 8017 A.2.4)."""

ECDSA_SIGNATURES: Mapping[ObjectIdentifier, type[hashes.HashAlgorithm]] = MappingProxyType(
    {
        ObjectIdentifier("1.2.840.10045.4.3.2"): hashes.SHA256,  # ecdsa-with-SHA256
        ObjectIdentifier("1.2.840.10045.4.3.3"): hashes.SHA384,  # ecdsa-with-SHA384
        ObjectIdentifier("1.2.840.10045.4.3.4"): hashes.SHA512,  # ecdsa-with-SHA512
    },
)
"""Signature algorithms of a request with an EC key; their parameters are absent (RFC 5758 §3.2)."""

# badkeys' default checks download a block list and may exit the process, so this list names each check. `smallfactors`
# is missing because this module does it at a thousandth of the worst-case cost; `rsainvalid` checks the exponent.
RSA_WEAKNESSES: Final = ("fermat", "roca", "rsapoly", "sharedprimes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key of an acceptable form.

    Attributes:
        subject_public_key_info: DER, byte for byte as requested.
        name: a name such as `RSA-2048` or `P-256`.
        rsa: whether it is an RSA key, which may encipher keys; an EC key may not (RFC 5280 §4.2.1.3, RFC 5480 §3).
    """

    subject_public_key_info: bytes
    name: str
    rsa: bool

    @property
    def sha256(self) -> str:
        """Returns the hex SHA-256 of the SubjectPublicKeyInfo."""
        return hashlib.sha256(self.subject_public_key_info).hexdigest()


_WEAK: Final = "must not be known to be weak"


def examine(subject_public_key_info: bytes) -> PublicKey | Violation:
    """Returns the key of a request, or its violation; `weakness` does one more check.

    It compares sizes before any arithmetic on the key.
    """
    try:
        info = der.decode(der.SubjectPublicKeyInfo, subject_public_key_info)
    except ValueError as error:
        return _violation("type", f"must be an RSA or EC key: {error}")
    if info.subject_public_key.padding_bits():
        return _violation("type", "must be a whole number of bytes")
    if info.algorithm.algorithm == RSA_ENCRYPTION:
        return _examine_rsa(subject_public_key_info, info)
    if info.algorithm.algorithm == EC_PUBLIC_KEY:
        return _examine_ec(subject_public_key_info, info)
    return _violation("type", f"must be an RSA or EC key, not of algorithm {info.algorithm.algorithm.dotted_string}")


def signature_algorithms(key: PublicKey) -> Mapping[ObjectIdentifier, type[hashes.HashAlgorithm]]:
    """Returns the matching signature algorithms with their hashes."""
    return RSA_SIGNATURES if key.rsa else ECDSA_SIGNATURES


def verify_proof_of_possession(
    key: PublicKey, digest: type[hashes.HashAlgorithm], *, signed: bytes, signature: bytes
) -> bool:
    """Tells whether the key made a signature over bytes."""

    def verify() -> bool:
        public = load_der_public_key(key.subject_public_key_info)
        if key.rsa:
            cast("rsa.RSAPublicKey", public).verify(signature, signed, padding.PKCS1v15(), digest())
        else:
            cast("ec.EllipticCurvePublicKey", public).verify(signature, signed, ec.ECDSA(digest()))
        return True

    try:
        return der.attempt(verify)
    except ValueError:  # any other error also means that there is no proof
        return False


def weakness(key: PublicKey) -> Violation | None:
    """Returns a violation for a prime modulus: it passes all other checks, but anyone can compute its private key.

    It needs one exponentiation: 70 ms for RSA-8192, 13 ms for RSA-4096, 2 ms for RSA-2048. So it runs last, for
    requests without other violations.
    """
    if not key.rsa:
        return None
    import gmpy2  # noqa: PLC0415 - see _known_weakness

    bits = der.decode(der.SubjectPublicKeyInfo, key.subject_public_key_info).subject_public_key
    modulus = der.decode(der.RSAPublicKey, bits.as_bytes()).modulus
    with gmpy2.context(allow_release_gil=True):  # is_strong_prp would hold up all other threads
        passes = gmpy2.powmod(2, modulus - 1, modulus) == 1  # Fermat's test: so does every prime
    return _violation("weak", f"{_WEAK}: prime modulus") if passes else None


def _examine_rsa(spki: bytes, info: der.SubjectPublicKeyInfo) -> PublicKey | Violation:
    if der.encode(info.algorithm.parameters) != der.NULL:
        return _violation("type", "must have NULL as parameters of rsaEncryption")
    try:
        key = der.decode(der.RSAPublicKey, info.subject_public_key.as_bytes())
    except ValueError as error:
        return _violation("type", f"must be an RSA key in DER: {error}")
    size, negative = key.modulus.bit_length(), key.modulus < 0
    if negative or size not in RSA_SIZES:
        got = f"a negative modulus of {size}" if negative else size
        return _violation("size", f"must have {', '.join(map(str, RSA_SIZES))} bits, not {got}")
    if key.public_exponent != RSA_EXPONENT:
        return _violation("exponent", f"must have the exponent {RSA_EXPONENT}")
    known = _known_weakness(key.modulus)
    if known is not None:
        return _violation("weak", f"{_WEAK}: {known}")
    return PublicKey(subject_public_key_info=spki, name=f"RSA-{size}", rsa=True)


def _examine_ec(spki: bytes, info: der.SubjectPublicKeyInfo) -> PublicKey | Violation:
    curve = CURVES.get(der.encode(info.algorithm.parameters))
    if curve is None:
        return _violation("type", "must be on P-256, P-384 or P-521, by name")
    name, size = curve
    point = info.subject_public_key.as_bytes()
    if len(point) != 1 + 2 * size or point[0] != UNCOMPRESSED_POINT:
        return _violation("type", f"must be an uncompressed point of {name}")
    try:
        der.attempt(lambda: load_der_public_key(spki))  # refuses points off the curve
    except ValueError:
        return _violation("type", f"must be a point on the curve {name}")
    return PublicKey(subject_public_key_info=spki, name=name, rsa=False)


def _known_weakness(modulus: int) -> str | None:
    """Returns the first known weakness of a modulus of an allowed size."""
    # The import costs 40 ms and 7 MiB, and a fleet with EC keys never needs it, so it happens at the first RSA key.
    import gmpy2  # noqa: PLC0415
    from badkeys import checks  # noqa: PLC0415

    # badkeys would test the remaining factor for primality, which costs more than all other checks.
    if gmpy2.gcd(_small_primes(), modulus) != 1:
        return "smallfactors"
    return next(iter(checks.checkrsa(modulus, e=RSA_EXPONENT, checks=RSA_WEAKNESSES)), None)


@cache
def _small_primes() -> int:
    """Returns the product of all primes up to LARGEST_SMALL_PRIME."""
    import gmpy2  # noqa: PLC0415 - see _known_weakness

    return cast("int", gmpy2.primorial(LARGEST_SMALL_PRIME))


def _violation(rule: str, must: str) -> Violation:
    return Violation(code=f"public_key.{rule}", message=field_error.malformed("spec.request.publicKey", must))
