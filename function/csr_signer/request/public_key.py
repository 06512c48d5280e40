"""Which public keys and signature algorithms of requests are acceptable: allow-lists, and known weaknesses by name.

Left out on purpose: DSA, Ed25519 and Ed448 (not among Calico's), RSASSA-PSS, explicit EC parameters, compressed points.
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
"""DER of the named curve (RFC 5480 §2.1.1.1): its name and the bytes of one coordinate."""

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

# badkeys' default set downloads a block list and exits the process: its checks are named one by one. `smallfactors` is
# left out because it is done here, at a thousandth of the cost in the worst case; `rsainvalid` looks at the exponent.
RSA_WEAKNESSES: Final = ("fermat", "roca", "rsapoly", "sharedprimes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key whose form is acceptable.

    Attributes:
        subject_public_key_info: DER, byte for byte as requested.
        name: `RSA-2048`, `P-256` and so on.
        rsa: an RSA key, which may encipher keys; an EC key may not (RFC 5280 §4.2.1.3, RFC 5480 §3).
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
    """Returns the key of a request, or the rule that it breaks, but for the one that `weakness` looks for.

    Sizes are compared before any arithmetic on the key.
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
    """Returns those that go with the key, each with its hash."""
    return RSA_SIGNATURES if key.rsa else ECDSA_SIGNATURES


def verify_proof_of_possession(
    key: PublicKey, digest: type[hashes.HashAlgorithm], *, signed: bytes, signature: bytes
) -> bool:
    """Tells whether a signature over bytes is the key's."""

    def verify() -> bool:
        public = load_der_public_key(key.subject_public_key_info)
        if key.rsa:
            cast("rsa.RSAPublicKey", public).verify(signature, signed, padding.PKCS1v15(), digest())
        else:
            cast("ec.EllipticCurvePublicKey", public).verify(signature, signed, ec.ECDSA(digest()))
        return True

    try:
        return der.attempt(verify)
    except ValueError:  # any other error about such a key is no proof
        return False


def weakness(key: PublicKey) -> Violation | None:
    """Finds a prime modulus: it passes every other check, and anyone can compute its private key.

    One exponentiation, which nothing cheaper replaces: 70 ms for RSA-8192, 13 for RSA-4096, 2 for RSA-2048. So it is
    asked last, of requests that break no other rule.
    """
    if not key.rsa:
        return None
    import gmpy2  # noqa: PLC0415 - see _known_weakness

    bits = der.decode(der.SubjectPublicKeyInfo, key.subject_public_key_info).subject_public_key
    modulus = der.decode(der.RSAPublicKey, bits.as_bytes()).modulus
    return _violation("weak", f"{_WEAK}: prime modulus") if gmpy2.is_strong_prp(modulus, 2) else None


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
    # Costs 40 ms and 7 MiB, which a fleet with EC keys never needs: imported at the first RSA key.
    import gmpy2  # noqa: PLC0415
    from badkeys import checks  # noqa: PLC0415

    # badkeys would test what is left for primality, which costs more than all the rest.
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
