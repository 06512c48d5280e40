"""The double's algorithms: key generation and signing."""

from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed

from sandbox.derived_keys import other_rsa_keys
from sandbox.kms.enums import Algorithm, Purpose, name_of
from sandbox.kms.errors import invalid_argument, unimplemented

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Digest = Literal["sha256", "sha384", "sha512"]

HASHES: dict[Digest, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_PKCS1_OVERHEAD = 11  # the shortest PKCS#1 v1.5 padding in octets: RFC 8017 §9.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """An algorithm.

    Attributes:
        purpose: The only purpose of a CryptoKey that may use it.
        bits: The size of an RSA key; 0 for other keys.
        curve: The curve of an ECDSA key.
        digest: The member of the Digest message that it signs; None if it signs only data.
        pss: Whether it is RSASSA-PSS; the salt is as long as the digest.
        edwards: Whether it is Ed25519.
    """

    purpose: int
    bits: int = 0
    curve: ec.EllipticCurve | None = None
    digest: Digest | None = None
    pss: bool = False
    edwards: bool = False

    @property
    def asymmetric(self) -> bool:
        """Tells whether there is a public key; symmetric keys exist only so that signing with them fails."""
        return self.purpose != int(Purpose.ENCRYPT_DECRYPT)

    @property
    def data_limit(self) -> int | None:
        """Returns the largest number of octets that it can sign without hashing; None for no limit."""
        return self.bits // 8 - _PKCS1_OVERHEAD if self.bits and self.digest is None else None


def _rsa(bits: int, digest: Digest | None, *, pss: bool = False) -> Scheme:
    return Scheme(purpose=Purpose.ASYMMETRIC_SIGN, bits=bits, digest=digest, pss=pss)


def _decrypt(bits: int) -> Scheme:
    return Scheme(purpose=Purpose.ASYMMETRIC_DECRYPT, bits=bits)


# Deliberately left out: EC_SIGN_SECP256K1_SHA256 (no use for X.509), the post-quantum signatures, MAC, raw
# encryption and key encapsulation.
SCHEMES: dict[int, Scheme] = {
    Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION: Scheme(purpose=Purpose.ENCRYPT_DECRYPT),
    Algorithm.RSA_DECRYPT_OAEP_2048_SHA256: _decrypt(2048),
    Algorithm.RSA_DECRYPT_OAEP_3072_SHA256: _decrypt(3072),
    Algorithm.RSA_DECRYPT_OAEP_4096_SHA256: _decrypt(4096),
    Algorithm.RSA_SIGN_PKCS1_2048_SHA256: _rsa(2048, "sha256"),
    Algorithm.RSA_SIGN_PKCS1_3072_SHA256: _rsa(3072, "sha256"),
    Algorithm.RSA_SIGN_PKCS1_4096_SHA256: _rsa(4096, "sha256"),
    Algorithm.RSA_SIGN_PKCS1_4096_SHA512: _rsa(4096, "sha512"),
    Algorithm.RSA_SIGN_PSS_2048_SHA256: _rsa(2048, "sha256", pss=True),
    Algorithm.RSA_SIGN_PSS_3072_SHA256: _rsa(3072, "sha256", pss=True),
    Algorithm.RSA_SIGN_PSS_4096_SHA256: _rsa(4096, "sha256", pss=True),
    Algorithm.RSA_SIGN_PSS_4096_SHA512: _rsa(4096, "sha512", pss=True),
    Algorithm.RSA_SIGN_RAW_PKCS1_2048: _rsa(2048, None),
    Algorithm.RSA_SIGN_RAW_PKCS1_3072: _rsa(3072, None),
    Algorithm.RSA_SIGN_RAW_PKCS1_4096: _rsa(4096, None),
    Algorithm.EC_SIGN_P256_SHA256: Scheme(purpose=Purpose.ASYMMETRIC_SIGN, curve=ec.SECP256R1(), digest="sha256"),
    Algorithm.EC_SIGN_P384_SHA384: Scheme(purpose=Purpose.ASYMMETRIC_SIGN, curve=ec.SECP384R1(), digest="sha384"),
    Algorithm.EC_SIGN_ED25519: Scheme(purpose=Purpose.ASYMMETRIC_SIGN, edwards=True),
}


def scheme_for(algorithm: int, purpose: int) -> Scheme:
    """Returns the scheme of an algorithm for a key of this purpose.

    Raises:
        KmsError: UNIMPLEMENTED: the double lacks it; INVALID_ARGUMENT: it is for another purpose.
    """
    scheme = SCHEMES.get(algorithm)
    if scheme is None:
        raise unimplemented(f"unsupported algorithm {name_of(algorithm)}")
    if scheme.purpose != purpose:
        raise invalid_argument(f"algorithm {name_of(algorithm)} is not valid for purpose {name_of(purpose)}")
    return scheme


_KNOWN = {bits: other_rsa_keys(bits) for bits in (2048, 3072, 4096)}


def generate(scheme: Scheme, *, instant: bool = False) -> PrivateKey | None:
    """Makes key material; None for symmetric keys, which the double cannot use.

    Args:
        scheme: The algorithm.
        instant: Whether to use known primes for RSA while there are some: finding new primes takes up to seconds.
    """
    if instant and scheme.bits and (known := next(_KNOWN[scheme.bits], None)):
        return known
    if scheme.bits:
        return rsa.generate_private_key(public_exponent=65537, key_size=scheme.bits)
    if scheme.curve is not None:
        return ec.generate_private_key(scheme.curve)
    return ed25519.Ed25519PrivateKey.generate() if scheme.edwards else None


def sign(scheme: Scheme, key: PrivateKey, content: bytes) -> bytes:
    """Signs a digest of the scheme's kind, or data.

    Returns:
        ECDSA: DER of SEQUENCE (r, s); the others: their octets.
    """
    digest = HASHES[scheme.digest] if scheme.digest else None
    match key:
        case rsa.RSAPrivateKey():
            if digest is None:
                return key.sign(content, padding.PKCS1v15(), NoDigestInfo())
            pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            return key.sign(content, pss if scheme.pss else padding.PKCS1v15(), Prehashed(digest))
        case ec.EllipticCurvePrivateKey() if digest is not None:
            return key.sign(content, ec.ECDSA(Prehashed(digest)))
        case ed25519.Ed25519PrivateKey():
            return key.sign(content)
        case _:
            pass
    raise TypeError(f"no signature with {key!r} by {scheme!r}")
