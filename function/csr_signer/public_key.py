"""Which public keys and signature algorithms of requests are acceptable: allow-lists, and known weaknesses by name.

Left out on purpose: DSA, Ed25519 and Ed448 (not among Calico's), RSASSA-PSS, explicit EC parameters, compressed points.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import ObjectIdentifier

from csr_signer import der
from csr_signer.violation import Violation

RSA_ENCRYPTION = ObjectIdentifier("1.2.840.113549.1.1.1")
EC_PUBLIC_KEY = ObjectIdentifier("1.2.840.10045.2.1")
RSA_SIZES: Final = (2048, 3072, 4096, 8192)
RSA_EXPONENT: Final = 65537
UNCOMPRESSED_POINT: Final = 0x04

CURVES: Mapping[bytes, tuple[str, int]] = MappingProxyType(
    {
        der.encode(ObjectIdentifier("1.2.840.10045.3.1.7")): ("P-256", 32),
        der.encode(ObjectIdentifier("1.3.132.0.34")): ("P-384", 48),
        der.encode(ObjectIdentifier("1.3.132.0.35")): ("P-521", 66),
    },
)
"""DER of the named curve (RFC 5480 §2.1.1.1): its name and the bytes of one coordinate."""

SIGNATURE_ALGORITHMS: Mapping[ObjectIdentifier, bool] = MappingProxyType(
    {
        ObjectIdentifier("1.2.840.113549.1.1.11"): True,  # sha256WithRSAEncryption
        ObjectIdentifier("1.2.840.113549.1.1.12"): True,  # sha384WithRSAEncryption
        ObjectIdentifier("1.2.840.113549.1.1.13"): True,  # sha512WithRSAEncryption
        ObjectIdentifier("1.2.840.10045.4.3.2"): False,  # ecdsa-with-SHA256
        ObjectIdentifier("1.2.840.10045.4.3.3"): False,  # ecdsa-with-SHA384
        ObjectIdentifier("1.2.840.10045.4.3.4"): False,  # ecdsa-with-SHA512
    },
)
"""Signature algorithms of a request, and whether they go with an RSA key (parameters NULL) or an EC key (absent)."""

# badkeys' default set downloads a block list and exits the process: its checks are named one by one.
RSA_WEAKNESSES: Final = ("fermat", "roca", "rsainvalid", "rsapoly", "sharedprimes", "smallfactors")


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
        """Hex SHA-256 of the SubjectPublicKeyInfo."""
        return hashlib.sha256(self.subject_public_key_info).hexdigest()


def examine(subject_public_key_info: bytes) -> PublicKey | Violation:
    """The key of a request, or the rule that it breaks. Sizes are compared before any arithmetic on the key."""
    try:
        info = der.decode(der.SubjectPublicKeyInfo, subject_public_key_info)
    except ValueError:
        return _violation("type", "the SubjectPublicKeyInfo is neither an RSA nor an EC key's")
    if info.subject_public_key.padding_bits():
        return _violation("type", "the public key is not a whole number of bytes")
    if info.algorithm.algorithm == RSA_ENCRYPTION:
        return _examine_rsa(subject_public_key_info, info)
    if info.algorithm.algorithm == EC_PUBLIC_KEY:
        return _examine_ec(subject_public_key_info, info)
    return _violation("type", f"algorithm {info.algorithm.algorithm.dotted_string} is not allowed")


def _examine_rsa(spki: bytes, info: der.SubjectPublicKeyInfo) -> PublicKey | Violation:
    if der.encode(info.algorithm.parameters) != der.NULL:
        return _violation("type", "the parameters of rsaEncryption are not NULL")
    try:
        key = der.decode(der.RSAPublicKey, info.subject_public_key.as_bytes())
    except ValueError:
        return _violation("type", "the RSAPublicKey is not DER")
    size = key.modulus.bit_length()
    if key.modulus <= 0 or size not in RSA_SIZES:
        return _violation("size", f"got {size} bits, allowed are {', '.join(map(str, RSA_SIZES))}")
    if key.public_exponent != RSA_EXPONENT:
        return _violation("exponent", f"got an exponent other than {RSA_EXPONENT}")
    weakness = _rsa_weakness(key.modulus)
    if weakness is not None:
        return _violation("weak", f"the RSA key is known to be weak: {weakness}")
    return PublicKey(subject_public_key_info=spki, name=f"RSA-{size}", rsa=True)


def _examine_ec(spki: bytes, info: der.SubjectPublicKeyInfo) -> PublicKey | Violation:
    curve = CURVES.get(der.encode(info.algorithm.parameters))
    if curve is None:
        return _violation("type", "the curve is not one of P-256, P-384, P-521")
    name, size = curve
    point = info.subject_public_key.as_bytes()
    if len(point) != 1 + 2 * size or point[0] != UNCOMPRESSED_POINT:
        return _violation("type", f"the {name} point is not uncompressed")
    try:
        load_der_public_key(spki)  # refuses points off the curve
    except (ValueError, UnsupportedAlgorithm):
        return _violation("type", f"the {name} point is not on the curve")
    return PublicKey(subject_public_key_info=spki, name=name, rsa=False)


def _rsa_weakness(modulus: int) -> str | None:
    """The first known weakness of a modulus of an allowed size."""
    # Costs 40 ms and 7 MiB, which a fleet with EC keys never needs: imported at the first RSA key.
    import gmpy2  # noqa: PLC0415
    from badkeys import checks  # noqa: PLC0415

    if gmpy2.is_strong_prp(modulus, 2):  # passes every check of badkeys, yet anyone can compute the private key
        return "prime modulus"
    return next(iter(checks.checkrsa(modulus, e=RSA_EXPONENT, checks=RSA_WEAKNESSES)), None)


def _violation(rule: str, message: str) -> Violation:
    return Violation(code=f"public_key.{rule}", message=message)
