"""The supported algorithms of Cloud KMS, and alternatives for unsupported ones.

Algorithm and digest come from the key version, not from the configuration. Only a raw RSA key needs a configured hash,
because it signs any input.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.x509 import ObjectIdentifier

from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote

Digest = type[hashes.SHA256] | type[hashes.SHA384] | type[hashes.SHA512]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """The signature algorithm of a key version.

    Attributes:
        name: name of the CryptoKeyVersionAlgorithm, for example `EC_SIGN_P256_SHA256`.
        identifier: OID of the certificate's AlgorithmIdentifier (RFC 4055 §5, RFC 5758 §3.2).
        digest: the hash of the key version; for a raw key, the configured hash.
        rsa: RSA PKCS#1 v1.5, whose parameters are NULL; ECDSA has none.
        raw: KMS only pads and signs, so it gets a DigestInfo instead of a digest.
        key: the matching kind of key, as `kind_of` names it.
    """

    name: str
    identifier: ObjectIdentifier
    digest: Digest
    rsa: bool
    raw: bool
    key: str


_RSA_IDENTIFIERS: Final = {
    hashes.SHA256: "1.2.840.113549.1.1.11",
    hashes.SHA384: "1.2.840.113549.1.1.12",
    hashes.SHA512: "1.2.840.113549.1.1.13",
}
_ECDSA_IDENTIFIERS: Final = {hashes.SHA256: "1.2.840.10045.4.3.2", hashes.SHA384: "1.2.840.10045.4.3.3"}
SIGNATURE_HASHES: Final[Mapping[str, Digest]] = MappingProxyType(
    {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384, "SHA512": hashes.SHA512}
)
"""The allowed values of `issuer.signature_hash`."""


def _rsa(name: str, size: int, digest: Digest, *, raw: bool = False) -> SignatureAlgorithm:
    identifier = ObjectIdentifier(_RSA_IDENTIFIERS[digest])
    return SignatureAlgorithm(name=name, identifier=identifier, digest=digest, rsa=True, raw=raw, key=f"RSA-{size}")


def _ecdsa(name: str, curve: str, digest: Digest) -> SignatureAlgorithm:
    identifier = ObjectIdentifier(_ECDSA_IDENTIFIERS[digest])
    return SignatureAlgorithm(name=name, identifier=identifier, digest=digest, rsa=False, raw=False, key=curve)


SIGNATURE_ALGORITHMS: Final[Mapping[str, SignatureAlgorithm]] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            _rsa("RSA_SIGN_PKCS1_2048_SHA256", 2048, hashes.SHA256),
            _rsa("RSA_SIGN_PKCS1_3072_SHA256", 3072, hashes.SHA256),
            _rsa("RSA_SIGN_PKCS1_4096_SHA256", 4096, hashes.SHA256),
            _rsa("RSA_SIGN_PKCS1_4096_SHA512", 4096, hashes.SHA512),
            _ecdsa("EC_SIGN_P256_SHA256", "secp256r1", hashes.SHA256),
            _ecdsa("EC_SIGN_P384_SHA384", "secp384r1", hashes.SHA384),
        )
    }
)
"""Key version algorithms with a fixed hash, by name."""

RAW_ALGORITHMS: Final[Mapping[tuple[str, str], SignatureAlgorithm]] = MappingProxyType(
    {
        (f"RSA_SIGN_RAW_PKCS1_{size}", name): _rsa(f"RSA_SIGN_RAW_PKCS1_{size}", size, digest, raw=True)
        for size in (2048, 3072, 4096)
        for name, digest in SIGNATURE_HASHES.items()
    }
)
"""Key version algorithms that need `issuer.signature_hash`, by name and hash."""

EVERY_ALGORITHM: Final = (*SIGNATURE_ALGORITHMS.values(), *RAW_ALGORITHMS.values())
"""All supported algorithms."""

KEYS: Final[Mapping[str, str]] = MappingProxyType({algorithm.name: algorithm.key for algorithm in EVERY_ALGORITHM})
"""The kind of key of each algorithm."""

_RAW_NAMES: Final = frozenset(name for name, _ in RAW_ALGORITHMS)
_REFUSED: Final = tuple(
    (re.compile(pattern), why, instead)
    for pattern, why, instead in (
        (r"RSA_SIGN_PSS_(\w+)", "Calico's signature algorithms do not include RSASSA-PSS", r"RSA_SIGN_PKCS1_\1"),
        (r"RSA_DECRYPT_OAEP_(\d+)_\w+", "it is for decryption, not for signing", r"RSA_SIGN_PKCS1_\1_SHA256"),
        (r"EC_SIGN_ED25519", "some TLS stacks and FIPS modes refuse Ed25519", "EC_SIGN_P256_SHA256"),
        (r"EC_SIGN_SECP256K1_SHA256", "TLS does not use the curve secp256k1", "EC_SIGN_P256_SHA256"),
        (r"PQ_SIGN_\w+", "Calico's clients do not verify post-quantum signatures yet", "EC_SIGN_P384_SHA384"),
        (r"ML_KEM_\w+|KEM_\w+", "it is for key encapsulation, not for signing", "EC_SIGN_P256_SHA256"),
        (r"HMAC_\w+", "it is for message authentication codes, not for signing", "EC_SIGN_P256_SHA256"),
        (r"AES_\w+|\w+_SYMMETRIC_ENCRYPTION", "it is for encryption, not for signing", "EC_SIGN_P256_SHA256"),
        (r"CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED", "KMS names no algorithm", "EC_SIGN_P256_SHA256"),
        (r".*", "kms-csr-signer does not know it", "EC_SIGN_P256_SHA256"),
    )
)
"""The reason why an algorithm is unsupported, and the algorithm for a new key."""


def algorithm_for(kms_algorithm: str, signature_hash: str | None) -> SignatureAlgorithm:
    """Returns the signature algorithm of a key version.

    Args:
        kms_algorithm: name of the CryptoKeyVersionAlgorithm.
        signature_hash: the configured hash: one of SIGNATURE_HASHES for a raw RSA key, None for every other key.

    Raises:
        ConfigurationError: the algorithm is unsupported; the message says why, and names an alternative.
    """
    hashes_named = ", ".join(SIGNATURE_HASHES)
    if kms_algorithm in _RAW_NAMES:
        algorithm = RAW_ALGORITHMS.get((kms_algorithm, signature_hash or ""))
        if algorithm is None:
            problem = f"Invalid value: {quote(signature_hash)}" if signature_hash else "Required value"
            raise ConfigurationError(
                f"issuer.signature_hash: {problem}: must be one of {hashes_named}, because algorithm {kms_algorithm}"
                " has no fixed hash"
            )
        return algorithm
    fixed = SIGNATURE_ALGORITHMS.get(kms_algorithm)
    if fixed is None:
        raise ConfigurationError(f"algorithm {kms_algorithm} is not supported: {_remedy(kms_algorithm)}")
    if signature_hash is not None:
        raise ConfigurationError(
            f"issuer.signature_hash: Forbidden: algorithm {kms_algorithm} has a fixed hash; set it only for"
            f" {', '.join(sorted(_RAW_NAMES))}"
        )
    return fixed


def _remedy(kms_algorithm: str) -> str:
    why, found, instead = next(
        (why, found, instead) for pattern, why, instead in _REFUSED if (found := pattern.fullmatch(kms_algorithm))
    )
    return f"{why}; use a key version of {found.expand(instead)}"


def public_key_of(pem: bytes) -> PublicKeyTypes | None:
    """Parses a public key from PEM; None if pyca cannot read the key."""
    try:
        return serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None


def subject_public_key_info(key: PublicKeyTypes | CertificatePublicKeyTypes) -> bytes:
    """Returns the DER of a public key."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def kind_of(key: PublicKeyTypes | CertificatePublicKeyTypes) -> str:
    """Returns `RSA-BITS`, the name of an elliptic curve, or the type of another key."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    return (
        key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__.removesuffix("PublicKey")
    )


def verifies(
    key: PublicKeyTypes | CertificatePublicKeyTypes, algorithm: SignatureAlgorithm, *, signature: bytes, data: bytes
) -> bool:
    """Tells whether a key made a signature over data with an algorithm."""
    digest = algorithm.digest()
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm.rsa:
            key.verify(signature, data, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and not algorithm.rsa:
            key.verify(signature, data, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True
