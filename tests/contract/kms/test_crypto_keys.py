"""What Cloud KMS does with keys."""

from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyManagementServiceClient, ProtectionLevel

from tests.contract.kms.keys import Keys

Algorithm: Any = CryptoKeyVersion.CryptoKeyVersionAlgorithm
State: Any = CryptoKeyVersion.CryptoKeyVersionState
Level: Any = ProtectionLevel


def test_defaults_of_a_symmetric_key(keys: Keys) -> None:
    """Without more than a purpose a key is a software key that is destroyed after 30 days, and version 1 is primary."""
    key = keys.create("ENCRYPT_DECRYPT", initial_version=True)
    assert key.name.startswith(f"{keys.ring}/cryptoKeys/")
    assert key.purpose == CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
    assert key.version_template.algorithm == Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    assert key.version_template.protection_level == Level.SOFTWARE
    assert key.destroy_scheduled_duration == timedelta(days=30)
    assert key.primary.name == f"{key.name}/cryptoKeyVersions/1"
    assert key.primary.state == State.ENABLED


@pytest.mark.parametrize(
    ("purpose", "algorithm", "level"),
    [
        ("ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION", "SOFTWARE"),
        ("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256", "HSM"),
        ("ASYMMETRIC_SIGN", "EC_SIGN_P384_SHA384", "SOFTWARE"),
        ("ASYMMETRIC_SIGN", "RSA_SIGN_PKCS1_3072_SHA256", "SOFTWARE"),
        ("ASYMMETRIC_SIGN", "RSA_SIGN_PSS_4096_SHA512", "HSM"),
        ("ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_2048_SHA256", "SOFTWARE"),
        ("ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_4096_SHA256", "HSM"),
    ],
)
def test_algorithm_and_level_are_kept(
    client: KeyManagementServiceClient, keys: Keys, purpose: str, algorithm: str, level: str
) -> None:
    """A key has the algorithm and the protection level that it was asked for, and no version where none was wanted."""
    key = keys.create(purpose, algorithm, protection_level=level)
    assert key.version_template.algorithm == Algorithm[algorithm]
    assert key.version_template.protection_level == Level[level]
    assert not key.primary.name
    assert not list(client.list_crypto_key_versions(parent=key.name))


def test_initial_version_of_a_signing_key(client: KeyManagementServiceClient, keys: Keys) -> None:
    """Version 1 is made with the key unless that is skipped; a signing key has no primary version."""
    key = keys.create("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256", initial_version=True)
    versions = list(client.list_crypto_key_versions(parent=key.name))
    assert [version.name for version in versions] == [f"{key.name}/cryptoKeyVersions/1"]
    assert not key.primary.name


def test_key_is_shown_and_listed(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A key can be read back, and is in its ring's list."""
    key = keys.create("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
    assert client.get_crypto_key(name=key.name) == key
    assert key in list(client.list_crypto_keys(parent=keys.ring))


def test_key_of_the_same_name(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A key's name can be used once."""
    name = keys.create("ENCRYPT_DECRYPT").name.rsplit("/", 1)[1]
    with pytest.raises(exceptions.AlreadyExists):
        client.create_crypto_key(parent=keys.ring, crypto_key_id=name, crypto_key=CryptoKey(purpose="ENCRYPT_DECRYPT"))


@pytest.mark.parametrize("purpose", ["ASYMMETRIC_SIGN", "ASYMMETRIC_DECRYPT"])
def test_asymmetric_key_without_algorithm(keys: Keys, purpose: str) -> None:
    """An asymmetric key needs an algorithm."""
    with pytest.raises(exceptions.InvalidArgument):
        keys.create(purpose)


def test_algorithm_of_another_purpose(keys: Keys) -> None:
    """An algorithm belongs to one purpose."""
    with pytest.raises(exceptions.InvalidArgument):
        keys.create("ASYMMETRIC_DECRYPT", "EC_SIGN_P256_SHA256")


def test_key_without_purpose(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A key needs a purpose."""
    with pytest.raises(exceptions.InvalidArgument):
        client.create_crypto_key(parent=keys.ring, crypto_key_id="no-purpose", crypto_key=CryptoKey())


@pytest.mark.parametrize("name", ["", "&bar", "x" * 64])
def test_malformed_key_id(client: KeyManagementServiceClient, keys: Keys, name: str) -> None:
    """An id is 1 to 63 ASCII letters, digits, hyphens and underscores."""
    with pytest.raises(exceptions.InvalidArgument):
        client.create_crypto_key(parent=keys.ring, crypto_key_id=name, crypto_key=CryptoKey(purpose="ENCRYPT_DECRYPT"))


def test_malformed_names(client: KeyManagementServiceClient, location: str) -> None:
    """A name of another form is an invalid argument."""
    with pytest.raises(exceptions.InvalidArgument):
        client.create_crypto_key(
            parent="locations/foo", crypto_key_id="bar", crypto_key=CryptoKey(purpose="ENCRYPT_DECRYPT")
        )
    with pytest.raises(exceptions.InvalidArgument):
        client.get_crypto_key(name="malformed name")
    with pytest.raises(exceptions.InvalidArgument):
        client.list_crypto_keys(parent=location)


def test_absent_ring_and_key(client: KeyManagementServiceClient, keys: Keys, location: str) -> None:
    """What was never made is not found."""
    with pytest.raises(exceptions.NotFound):
        client.get_crypto_key(name=f"{keys.ring}/cryptoKeys/absent")
    with pytest.raises(exceptions.NotFound):
        client.list_crypto_keys(parent=f"{location}/keyRings/absent")
    with pytest.raises(exceptions.NotFound):
        client.create_crypto_key(
            parent=f"{location}/keyRings/absent",
            crypto_key_id="bar",
            crypto_key=CryptoKey(purpose="ENCRYPT_DECRYPT"),
        )
