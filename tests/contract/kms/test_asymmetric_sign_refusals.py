"""What AsymmetricSign refuses, and with which status."""

import hashlib
from collections.abc import Callable
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient

from tests.contract.kms.keys import Keys

SigningVersion = Callable[[str], CryptoKeyVersion]

DATA = b"a message that is signed"
SHA256 = hashlib.sha256(DATA).digest()
SHA384 = hashlib.sha384(DATA).digest()


@pytest.mark.parametrize(
    "name",
    [
        "malformed name",
        "",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1/",
        "projects/p/locations/l/keyRings/r r/cryptoKeys/k/cryptoKeyVersions/1",
        "//cloudkms.googleapis.com/projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
    ],
)
def test_malformed_name(client: KeyManagementServiceClient, name: str) -> None:
    """A name that is no key version's is an invalid argument."""
    with pytest.raises(exceptions.InvalidArgument):
        client.asymmetric_sign(request={"name": name, "digest": {"sha256": SHA256}})


def test_absent_version(client: KeyManagementServiceClient, location: str) -> None:
    """A version that was never made is not found, whatever else is wrong with the request."""
    name = f"{location}/keyRings/absent/cryptoKeys/bar/cryptoKeyVersions/1"
    with pytest.raises(exceptions.NotFound):
        client.asymmetric_sign(request={"name": name})


def test_disabled_version(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A disabled version does not sign, whatever else is wrong with the request, and signs again once enabled."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256")
    keys.switch(version, "DISABLED")
    keys.refuses(lambda: client.asymmetric_sign(request={"name": version.name, "digest": {"sha256": SHA256}}))
    with pytest.raises(exceptions.FailedPrecondition):
        client.asymmetric_sign(request={"name": version.name})
    keys.switch(version, "ENABLED")
    assert client.asymmetric_sign(request={"name": version.name, "digest": {"sha256": SHA256}}).signature


def test_destroyed_version(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A version whose destruction is scheduled does not sign."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256")
    client.destroy_crypto_key_version(name=version.name)
    keys.refuses(lambda: client.asymmetric_sign(request={"name": version.name, "digest": {"sha256": SHA256}}))
    assert client.get_crypto_key_version(name=version.name).state.name == "DESTROY_SCHEDULED"


def test_key_of_another_purpose(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A symmetric key and a decryption key do not sign."""
    symmetric = keys.create("ENCRYPT_DECRYPT", initial_version=True).primary
    decrypting = keys.create_version(keys.create("ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_2048_SHA256"))
    for version in (symmetric, decrypting):
        with pytest.raises(exceptions.FailedPrecondition):
            client.asymmetric_sign(request={"name": version.name, "digest": {"sha256": SHA256}})


INVALID: list[tuple[str, str, dict[str, Any]]] = [
    ("digest of another kind", "EC_SIGN_P384_SHA384", {"digest": {"sha256": SHA256}}),
    ("digest of another kind for RSA", "RSA_SIGN_PKCS1_2048_SHA256", {"digest": {"sha384": SHA384}}),
    ("digest too short", "EC_SIGN_P384_SHA384", {"digest": {"sha384": SHA256}}),
    ("digest too long", "EC_SIGN_P256_SHA256", {"digest": {"sha256": SHA384}}),
    ("digest empty", "EC_SIGN_P256_SHA256", {"digest": {}}),
    ("both digest and data", "EC_SIGN_P256_SHA256", {"digest": {"sha256": SHA256}, "data": DATA}),
    ("neither digest nor data", "EC_SIGN_P256_SHA256", {}),
    ("digest for a raw key", "RSA_SIGN_RAW_PKCS1_2048", {"digest": {"sha256": SHA256}}),
    ("data too long for a raw key", "RSA_SIGN_RAW_PKCS1_2048", {"data": b"x" * 246}),
    ("digest for an Ed25519 key", "EC_SIGN_ED25519", {"digest": {"sha256": SHA256}}),
    (
        "wrong checksum of the digest",
        "EC_SIGN_P256_SHA256",
        {"digest": {"sha256": SHA256}, "digest_crc32c": google_crc32c.value(SHA256) ^ 1},
    ),
    (
        "zero as checksum of the digest",
        "EC_SIGN_P256_SHA256",
        {"digest": {"sha256": SHA256}, "digest_crc32c": 0},
    ),
    (
        "wrong checksum of data",
        "EC_SIGN_P256_SHA256",
        {"data": DATA, "data_crc32c": google_crc32c.value(DATA) ^ 1},
    ),
    (
        "wrong checksum of raw data",
        "RSA_SIGN_RAW_PKCS1_2048",
        {"data": DATA, "data_crc32c": google_crc32c.value(DATA) ^ 1},
    ),
    (
        "both checksums",
        "EC_SIGN_P256_SHA256",
        {
            "digest": {"sha256": SHA256},
            "digest_crc32c": google_crc32c.value(SHA256),
            "data_crc32c": google_crc32c.value(DATA),
        },
    ),
]


@pytest.mark.parametrize(("algorithm", "content"), [row[1:] for row in INVALID], ids=[row[0] for row in INVALID])
def test_invalid_content(
    client: KeyManagementServiceClient,
    signing_version: SigningVersion,
    algorithm: str,
    content: dict[str, Any],
) -> None:
    """Content that the version cannot sign, or that its checksum does not fit, is an invalid argument."""
    version = signing_version(algorithm)
    with pytest.raises(exceptions.InvalidArgument):
        client.asymmetric_sign(request={"name": version.name, **content})
