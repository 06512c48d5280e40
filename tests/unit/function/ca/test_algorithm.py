"""Which key versions sign certificates: every algorithm of Cloud KMS is either supported or refused with a remedy."""

import base64
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding
from google.cloud import kms_v1

from csr_signer.ca.algorithm import (
    EVERY_ALGORITHM,
    KEYS,
    RAW_ALGORITHMS,
    SIGNATURE_ALGORITHMS,
    SIGNATURE_HASHES,
    SignatureAlgorithm,
    algorithm_for,
    kind_of,
    public_key_of,
    verifies,
)
from csr_signer.errors import ConfigurationError
from sandbox.calico import der as writer
from tests.unit.function.builders import PrivateKey, ec_key, rsa_key

ALGORITHMS: Any = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm
NAMES = [member.name for member in ALGORITHMS]
FIXED = {
    "RSA_SIGN_PKCS1_2048_SHA256": ("1.2.840.113549.1.1.11", hashes.SHA256, "RSA-2048"),
    "RSA_SIGN_PKCS1_3072_SHA256": ("1.2.840.113549.1.1.11", hashes.SHA256, "RSA-3072"),
    "RSA_SIGN_PKCS1_4096_SHA256": ("1.2.840.113549.1.1.11", hashes.SHA256, "RSA-4096"),
    "RSA_SIGN_PKCS1_4096_SHA512": ("1.2.840.113549.1.1.13", hashes.SHA512, "RSA-4096"),
    "EC_SIGN_P256_SHA256": ("1.2.840.10045.4.3.2", hashes.SHA256, "secp256r1"),
    "EC_SIGN_P384_SHA384": ("1.2.840.10045.4.3.3", hashes.SHA384, "secp384r1"),
}
RAW = ["RSA_SIGN_RAW_PKCS1_2048", "RSA_SIGN_RAW_PKCS1_3072", "RSA_SIGN_RAW_PKCS1_4096"]
RAW_IDENTIFIERS = {
    "SHA256": ("1.2.840.113549.1.1.11", hashes.SHA256),
    "SHA384": ("1.2.840.113549.1.1.12", hashes.SHA384),
    "SHA512": ("1.2.840.113549.1.1.13", hashes.SHA512),
}


def key_for(algorithm: SignatureAlgorithm) -> PrivateKey:
    """A key of the only kind that an algorithm is for."""
    kinds: dict[str, PrivateKey] = {"secp256r1": ec_key("P-256"), "secp384r1": ec_key("P-384")}
    return kinds.get(algorithm.key) or rsa_key(int(algorithm.key.removeprefix("RSA-")))


def signed(key: PrivateKey, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
    """What KMS makes with such a key version."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(algorithm.digest()))
    return key.sign(data, padding.PKCS1v15(), algorithm.digest())


@pytest.mark.parametrize("name", FIXED)
def test_a_key_version_fixes_its_hash(name: str) -> None:
    """RFC 4055 §5, RFC 5758 §3.2: identifier, hash and kind of key follow from the algorithm's name."""
    algorithm = algorithm_for(name, None)
    assert algorithm is SIGNATURE_ALGORITHMS[name]
    assert (algorithm.identifier.dotted_string, algorithm.digest, algorithm.key) == FIXED[name]
    assert (algorithm.name, algorithm.rsa, algorithm.raw) == (name, name.startswith("RSA"), False)


@pytest.mark.parametrize("signature_hash", SIGNATURE_HASHES)
@pytest.mark.parametrize("name", RAW)
def test_a_raw_key_version_signs_with_the_configured_hash(name: str, signature_hash: str) -> None:
    """A raw RSA key signs any DigestInfo, so that the configuration says which hash."""
    algorithm = algorithm_for(name, signature_hash)
    assert algorithm is RAW_ALGORITHMS[name, signature_hash]
    assert (algorithm.identifier.dotted_string, algorithm.digest) == RAW_IDENTIFIERS[signature_hash]
    assert (algorithm.name, algorithm.rsa, algorithm.raw) == (name, True, True)
    assert algorithm.key == f"RSA-{name.rpartition('_')[2]}"


def test_these_are_all() -> None:
    """Six that fix their hash, three sizes of raw keys with three hashes each."""
    assert set(SIGNATURE_ALGORITHMS) == set(FIXED)
    assert set(RAW_ALGORITHMS) == {(name, signature_hash) for name in RAW for signature_hash in RAW_IDENTIFIERS}
    assert len(EVERY_ALGORITHM) == 15
    assert {algorithm.name for algorithm in EVERY_ALGORITHM} == set(KEYS) == {*FIXED, *RAW}


@pytest.mark.parametrize(
    ("signature_hash", "problem"),
    [
        (None, "Required value"),
        ("", "Required value"),
        *((weak, f'Invalid value: "{weak}"') for weak in ("SHA1", "SHA224", "sha256", "MD5")),
    ],
)
@pytest.mark.parametrize("name", RAW)
def test_a_raw_key_version_needs_a_known_hash(name: str, signature_hash: str | None, problem: str) -> None:
    """Without a hash, or with one that is too weak, nothing is signed; the message names key and choices."""
    must = f"must be one of SHA256, SHA384, SHA512, because algorithm {name} has"
    with pytest.raises(ConfigurationError, match=f"^issuer.signature_hash: {problem}: {must}"):
        algorithm_for(name, signature_hash)


@pytest.mark.parametrize("name", FIXED)
def test_only_raw_key_versions_have_a_configured_hash(name: str) -> None:
    """A hash that would be ignored, or contradicts the key version, is an error."""
    message = f"Forbidden: algorithm {name} has a fixed hash; set it only for RSA_SIGN_RAW"
    with pytest.raises(ConfigurationError, match=message):
        algorithm_for(name, "SHA256")


REMEDIES = {
    "RSA_SIGN_PSS_2048_SHA256": ("PSS", "RSA_SIGN_PKCS1_2048_SHA256"),
    "RSA_SIGN_PSS_3072_SHA256": ("PSS", "RSA_SIGN_PKCS1_3072_SHA256"),
    "RSA_SIGN_PSS_4096_SHA256": ("PSS", "RSA_SIGN_PKCS1_4096_SHA256"),
    "RSA_SIGN_PSS_4096_SHA512": ("PSS", "RSA_SIGN_PKCS1_4096_SHA512"),
    "RSA_DECRYPT_OAEP_2048_SHA256": ("for decryption", "RSA_SIGN_PKCS1_2048_SHA256"),
    "RSA_DECRYPT_OAEP_4096_SHA512": ("for decryption", "RSA_SIGN_PKCS1_4096_SHA256"),
    "RSA_DECRYPT_OAEP_3072_SHA1": ("for decryption", "RSA_SIGN_PKCS1_3072_SHA256"),
    "EC_SIGN_SECP256K1_SHA256": ("secp256k1", "EC_SIGN_P256_SHA256"),
    "EC_SIGN_ED25519": ("Ed25519", "EC_SIGN_P256_SHA256"),
    "PQ_SIGN_ML_DSA_65": ("post-quantum", "EC_SIGN_P384_SHA384"),
    "PQ_SIGN_ML_DSA_87_EXTERNAL_MU": ("post-quantum", "EC_SIGN_P384_SHA384"),
    "PQ_SIGN_HASH_SLH_DSA_SHA2_128S_SHA256": ("post-quantum", "EC_SIGN_P384_SHA384"),
    "ML_KEM_768": ("key encapsulation", "EC_SIGN_P256_SHA256"),
    "KEM_XWING": ("key encapsulation", "EC_SIGN_P256_SHA256"),
    "HMAC_SHA1": ("message authentication", "EC_SIGN_P256_SHA256"),
    "GOOGLE_SYMMETRIC_ENCRYPTION": ("for encryption", "EC_SIGN_P256_SHA256"),
    "EXTERNAL_SYMMETRIC_ENCRYPTION": ("for encryption", "EC_SIGN_P256_SHA256"),
    "AES_256_GCM": ("for encryption", "EC_SIGN_P256_SHA256"),
    "AES_256_KWP": ("for encryption", "EC_SIGN_P256_SHA256"),
    "CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED": ("names no algorithm", "EC_SIGN_P256_SHA256"),
    "4711": ("does not know", "EC_SIGN_P256_SHA256"),
    "EC_SIGN_P521_SHA512": ("does not know", "EC_SIGN_P256_SHA256"),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_an_unsupported_algorithm_names_an_alternative(name: str) -> None:
    """The message says why the key version cannot sign, and names an algorithm for a new key."""
    why, instead = REMEDIES[name]
    with pytest.raises(ConfigurationError, match=rf"^algorithm {name} is not supported: .*{why}.*; use .* {instead}$"):
        algorithm_for(name, None)


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_of_cloud_kms_is_supported_or_refused_with_a_remedy(name: str) -> None:
    """None of the client library's is met by surprise; what is named instead is supported."""
    if name in {*FIXED, *RAW}:
        assert algorithm_for(name, "SHA384" if name in RAW else None).name == name
        return
    with pytest.raises(ConfigurationError) as refused:
        algorithm_for(name, None)
    assert "not known" not in str(refused.value), "a new algorithm of the library: decide what to say of it"
    instead = re.search(r"use a key version of (\w+)$", str(refused.value))
    assert instead is not None
    assert instead[1] in SIGNATURE_ALGORITHMS


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM, ids=lambda each: f"{each.name}-{each.digest.name}")
def test_a_signature_is_verified_with_its_own_key_hash_and_padding(algorithm: SignatureAlgorithm) -> None:
    """Other data, another key, another hash, or the other kind of key is no signature."""
    key = key_for(algorithm)
    signature = signed(key, algorithm, b"data")
    assert kind_of(key.public_key()) == algorithm.key
    assert verifies(key.public_key(), algorithm, signature=signature, data=b"data")
    assert not verifies(key.public_key(), algorithm, signature=signature, data=b"other")
    assert not verifies(key.public_key(), algorithm, signature=b"", data=b"data")
    assert not verifies(ec_key("P-521").public_key(), algorithm, signature=signature, data=b"data")
    assert not verifies(rsa_key(1536).public_key(), algorithm, signature=signature, data=b"data")
    for other in EVERY_ALGORITHM:
        if (other.digest, other.rsa) != (algorithm.digest, algorithm.rsa):
            assert not verifies(key.public_key(), other, signature=signature, data=b"data")


@pytest.mark.parametrize(
    "encoded",
    [b"0", writer.sequence(writer.sequence(writer.object_identifier("1.2.3")), writer.bit_string(b""))],
    ids=["no DER", "an unknown algorithm"],
)
def test_what_cannot_be_read_is_no_public_key(encoded: bytes) -> None:
    """What KMS answers is compared with the CA's key; an answer that cannot be read is another key, not a crash."""
    body = base64.b64encode(encoded)
    assert public_key_of(b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n") is None


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key(), "Ed25519"),
        (ec_key("P-224").public_key(), "secp224r1"),
        (dsa.DSAPublicNumbers(2, dsa.DSAParameterNumbers((1 << 1023) + 1155, (1 << 159) + 7, 2)).public_key(), "DSA"),
    ],
    ids=["Ed25519", "P-224", "DSA"],
)
def test_other_keys_have_a_name_too(key: Any, kind: str) -> None:
    """Messages say which kind of key was found."""
    assert kind_of(key) == kind
    assert not verifies(key, SIGNATURE_ALGORITHMS["EC_SIGN_P256_SHA256"], signature=b"", data=b"")
