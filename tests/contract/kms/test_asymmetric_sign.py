"""What AsymmetricSign signs, with every algorithm, and how it answers."""

import hashlib
from collections.abc import Callable
from typing import Any

import google_crc32c
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.cloud.kms_v1 import (
    AsymmetricSignResponse,
    CryptoKeyVersion,
    KeyManagementServiceClient,
    ProtectionLevel,
)

from tests.contract.kms.keys import Keys

Level: Any = ProtectionLevel
SigningVersion = Callable[[str], CryptoKeyVersion]

DATA = b"a message that is signed"
HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
# DER of DigestInfo up to the digest, RFC 8017 §9.2 note 1.
DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def public_key(client: KeyManagementServiceClient, version: CryptoKeyVersion) -> PublicKeyTypes:
    """Return a version's public key."""
    return load_pem_public_key(client.get_public_key(name=version.name).pem.encode())


def rsa_key(client: KeyManagementServiceClient, version: CryptoKeyVersion) -> rsa.RSAPublicKey:
    """Return the public key of an RSA version."""
    key = public_key(client, version)
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def elliptic_curve_key(client: KeyManagementServiceClient, version: CryptoKeyVersion) -> ec.EllipticCurvePublicKey:
    """Return the public key of an ECDSA version."""
    key = public_key(client, version)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def check_answer(answer: AsymmetricSignResponse, version: CryptoKeyVersion) -> bytes:
    """Check everything around the signature and return it."""
    assert answer.name == version.name
    assert answer.protection_level == version.protection_level
    assert answer.signature_crc32c == google_crc32c.value(answer.signature)
    return answer.signature


@pytest.mark.parametrize(
    ("algorithm", "digest"), [("EC_SIGN_P256_SHA256", "sha256"), ("EC_SIGN_P384_SHA384", "sha384")]
)
@pytest.mark.parametrize("by_data", [False, True], ids=["digest", "data"])
def test_ecdsa(
    client: KeyManagementServiceClient,
    signing_version: SigningVersion,
    algorithm: str,
    digest: str,
    *,
    by_data: bool,
) -> None:
    """An ECDSA version signs a digest, or hashes data itself; the signature is DER and verifies."""
    version = signing_version(algorithm)
    content = {"data": DATA} if by_data else {"digest": {digest: hashlib.new(digest, DATA).digest()}}
    answer = client.asymmetric_sign(request={"name": version.name, **content})
    elliptic_curve_key(client, version).verify(check_answer(answer, version), DATA, ec.ECDSA(HASHES[digest]))


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("RSA_SIGN_PKCS1_2048_SHA256", "sha256"),
        ("RSA_SIGN_PKCS1_3072_SHA256", "sha256"),
        ("RSA_SIGN_PKCS1_4096_SHA256", "sha256"),
        ("RSA_SIGN_PKCS1_4096_SHA512", "sha512"),
    ],
)
@pytest.mark.parametrize("by_data", [False, True], ids=["digest", "data"])
def test_rsa_pkcs1(
    client: KeyManagementServiceClient,
    signing_version: SigningVersion,
    algorithm: str,
    digest: str,
    *,
    by_data: bool,
) -> None:
    """An RSA PKCS#1 version makes RSASSA-PKCS1-v1_5 signatures with its own hash."""
    version = signing_version(algorithm)
    content = {"data": DATA} if by_data else {"digest": {digest: hashlib.new(digest, DATA).digest()}}
    answer = client.asymmetric_sign(request={"name": version.name, **content})
    rsa_key(client, version).verify(check_answer(answer, version), DATA, padding.PKCS1v15(), HASHES[digest])


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("RSA_SIGN_PSS_2048_SHA256", "sha256"),
        ("RSA_SIGN_PSS_3072_SHA256", "sha256"),
        ("RSA_SIGN_PSS_4096_SHA256", "sha256"),
        ("RSA_SIGN_PSS_4096_SHA512", "sha512"),
    ],
)
def test_rsa_pss(
    client: KeyManagementServiceClient, signing_version: SigningVersion, algorithm: str, digest: str
) -> None:
    """A PSS version salts with as many octets as its digest has."""
    version = signing_version(algorithm)
    content = {"digest": {digest: hashlib.new(digest, DATA).digest()}}
    answer = client.asymmetric_sign(request={"name": version.name, **content})
    salted = padding.PSS(padding.MGF1(HASHES[digest]), HASHES[digest].digest_size)
    rsa_key(client, version).verify(check_answer(answer, version), DATA, salted, HASHES[digest])


@pytest.mark.parametrize("size", [2048, 3072, 4096])
def test_raw_rsa_pads_only(client: KeyManagementServiceClient, signing_version: SigningVersion, size: int) -> None:
    """A raw RSA version signs data as it is, without hash and DigestInfo."""
    version = signing_version(f"RSA_SIGN_RAW_PKCS1_{size}")
    answer = client.asymmetric_sign(request={"name": version.name, "data": DATA})
    key = rsa_key(client, version)
    signature = check_answer(answer, version)
    assert key.recover_data_from_signature(signature, padding.PKCS1v15(), None) == DATA
    with pytest.raises(InvalidSignature):
        key.verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_raw_rsa_of_a_digest_info_is_pkcs1(
    client: KeyManagementServiceClient, signing_version: SigningVersion, digest: str
) -> None:
    """Over a DigestInfo a raw RSA version makes an ordinary PKCS#1 v1.5 signature, with any hash."""
    version = signing_version("RSA_SIGN_RAW_PKCS1_2048")
    data = DIGEST_INFO[digest] + hashlib.new(digest, DATA).digest()
    answer = client.asymmetric_sign(
        request={"name": version.name, "data": data, "data_crc32c": google_crc32c.value(data)}
    )
    assert answer.verified_data_crc32c
    rsa_key(client, version).verify(check_answer(answer, version), DATA, padding.PKCS1v15(), HASHES[digest])


def test_raw_rsa_limit(client: KeyManagementServiceClient, signing_version: SigningVersion) -> None:
    """A raw RSA version signs at most 11 octets less than its modulus has."""
    version = signing_version("RSA_SIGN_RAW_PKCS1_2048")
    data = bytes(range(245))
    answer = client.asymmetric_sign(request={"name": version.name, "data": data})
    key = rsa_key(client, version)
    assert key.recover_data_from_signature(check_answer(answer, version), padding.PKCS1v15(), None) == data


def test_ed25519(client: KeyManagementServiceClient, signing_version: SigningVersion) -> None:
    """An Ed25519 version signs data, not a digest of it."""
    version = signing_version("EC_SIGN_ED25519")
    answer = client.asymmetric_sign(request={"name": version.name, "data": DATA})
    key = public_key(client, version)
    assert isinstance(key, ed25519.Ed25519PublicKey)
    key.verify(check_answer(answer, version), DATA)


@pytest.mark.parametrize(
    ("algorithm", "member"), [("EC_SIGN_P256_SHA256", "sha256"), ("EC_SIGN_P384_SHA384", "sha384")]
)
def test_digest_of_another_hash_of_the_same_length(
    client: KeyManagementServiceClient, signing_version: SigningVersion, algorithm: str, member: str
) -> None:
    """The service sees only a length: the leftmost octets of SHA-512 make that hash's ECDSA signature."""
    version = signing_version(algorithm)
    digest = hashlib.sha512(DATA).digest()
    cut = digest[: HASHES[member].digest_size]
    answer = client.asymmetric_sign(request={"name": version.name, "digest": {member: cut}})
    elliptic_curve_key(client, version).verify(
        check_answer(answer, version), digest, ec.ECDSA(Prehashed(hashes.SHA512()))
    )


@pytest.mark.parametrize("algorithm", ["EC_SIGN_P256_SHA256", "RSA_SIGN_PKCS1_2048_SHA256"])
def test_digest_checksum_is_confirmed(
    client: KeyManagementServiceClient, signing_version: SigningVersion, algorithm: str
) -> None:
    """A checksum that arrived is confirmed; without one nothing is."""
    name = signing_version(algorithm).name
    digest = hashlib.sha256(DATA).digest()
    request = {"name": name, "digest": {"sha256": digest}}
    with_checksum = client.asymmetric_sign(request={**request, "digest_crc32c": google_crc32c.value(digest)})
    assert (with_checksum.verified_digest_crc32c, with_checksum.verified_data_crc32c) == (True, False)
    without = client.asymmetric_sign(request=request)
    assert (without.verified_digest_crc32c, without.verified_data_crc32c) == (False, False)


def test_data_checksum_is_confirmed(client: KeyManagementServiceClient, signing_version: SigningVersion) -> None:
    """A checksum of data that arrived is confirmed as one of data."""
    name = signing_version("EC_SIGN_P256_SHA256").name
    answer = client.asymmetric_sign(request={"name": name, "data": DATA, "data_crc32c": google_crc32c.value(DATA)})
    assert (answer.verified_digest_crc32c, answer.verified_data_crc32c) == (False, True)


@pytest.mark.parametrize("level", ["SOFTWARE", "HSM"])
def test_protection_level_is_the_versions(client: KeyManagementServiceClient, keys: Keys, level: str) -> None:
    """The answer says at which protection level the key was used."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256", protection_level=level)
    answer = client.asymmetric_sign(request={"name": version.name, "data": DATA})
    assert answer.protection_level == Level[level]
