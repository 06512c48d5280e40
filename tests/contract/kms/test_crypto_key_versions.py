"""What Cloud KMS does with key versions: generation, enabling and disabling, destruction."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient, ProtectionLevel

from tests.contract.kms.keys import Keys

Algorithm: Any = CryptoKeyVersion.CryptoKeyVersionAlgorithm
State: Any = CryptoKeyVersion.CryptoKeyVersionState
Level: Any = ProtectionLevel


def test_versions_are_numbered(client: KeyManagementServiceClient, keys: Keys) -> None:
    """Version ids count from 1; a symmetric version is enabled at once."""
    key = keys.create("ENCRYPT_DECRYPT")
    for number in (1, 2):
        version = client.create_crypto_key_version(request={"parent": key.name})
        assert version.name == f"{key.name}/cryptoKeyVersions/{number}"
        assert version.state == State.ENABLED
        assert version.generate_time is not None
    assert [version.name for version in client.list_crypto_key_versions(parent=key.name)] == [
        f"{key.name}/cryptoKeyVersions/1",
        f"{key.name}/cryptoKeyVersions/2",
    ]


@pytest.mark.parametrize(
    ("purpose", "algorithm", "level"),
    [
        ("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256", "HSM"),
        ("ASYMMETRIC_SIGN", "EC_SIGN_P384_SHA384", "SOFTWARE"),
        ("ASYMMETRIC_SIGN", "RSA_SIGN_PKCS1_3072_SHA256", "SOFTWARE"),
        ("ASYMMETRIC_SIGN", "RSA_SIGN_PSS_4096_SHA512", "HSM"),
        ("ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_2048_SHA256", "SOFTWARE"),
        ("ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_4096_SHA256", "HSM"),
    ],
)
def test_asymmetric_version_is_generated_later(
    client: KeyManagementServiceClient, keys: Keys, purpose: str, algorithm: str, level: str
) -> None:
    """An asymmetric version is PENDING_GENERATION when it is created, and becomes ENABLED."""
    key = keys.create(purpose, algorithm, protection_level=level)
    created = client.create_crypto_key_version(request={"parent": key.name})
    assert created.name == f"{key.name}/cryptoKeyVersions/1"
    assert created.state == State.PENDING_GENERATION
    assert created.algorithm == Algorithm[algorithm]
    assert created.protection_level == Level[level]
    assert created.generate_time is None
    enabled = keys.wait(created.name)
    assert enabled.algorithm == Algorithm[algorithm]
    assert enabled.protection_level == Level[level]
    assert enabled.generate_time is not None


def test_version_of_a_malformed_or_absent_key(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A malformed parent is an invalid argument, an absent one is not found; so it is for the list."""
    with pytest.raises(exceptions.InvalidArgument):
        client.create_crypto_key_version(request={"parent": "locations/foo"})
    with pytest.raises(exceptions.NotFound):
        client.create_crypto_key_version(request={"parent": f"{keys.ring}/cryptoKeys/absent"})
    with pytest.raises(exceptions.InvalidArgument):
        client.list_crypto_key_versions(parent="locations/foo")
    with pytest.raises(exceptions.NotFound):
        client.list_crypto_key_versions(parent=f"{keys.ring}/cryptoKeys/absent")


def test_malformed_and_absent_version(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A malformed version name is an invalid argument, an absent version is not found."""
    key = keys.create("ENCRYPT_DECRYPT")
    with pytest.raises(exceptions.InvalidArgument):
        client.get_crypto_key_version(name=key.name)
    with pytest.raises(exceptions.NotFound):
        client.get_crypto_key_version(name=f"{key.name}/cryptoKeyVersions/1")


def test_version_is_disabled_and_enabled(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A version can be disabled and enabled again, and its key shows it."""
    key = keys.create("ENCRYPT_DECRYPT", initial_version=True)
    assert keys.switch(key.primary, "DISABLED").state == State.DISABLED
    assert client.get_crypto_key_version(name=key.primary.name).state == State.DISABLED
    assert client.get_crypto_key(name=key.name).primary.state == State.DISABLED
    assert keys.switch(key.primary, "ENABLED").state == State.ENABLED


def test_update_without_fields(client: KeyManagementServiceClient, keys: Keys) -> None:
    """An update must say what it changes."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256")
    with pytest.raises(exceptions.InvalidArgument):
        client.update_crypto_key_version(request={"crypto_key_version": version})


def test_update_of_another_field(client: KeyManagementServiceClient, keys: Keys) -> None:
    """Only a version's state can be changed."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256")
    with pytest.raises(exceptions.InvalidArgument):
        client.update_crypto_key_version(
            request={"crypto_key_version": version, "update_mask": {"paths": ["algorithm"]}}
        )


@pytest.mark.parametrize("state", ["PENDING_IMPORT", "DESTROYED", "CRYPTO_KEY_VERSION_STATE_UNSPECIFIED"])
def test_update_to_another_state(keys: Keys, state: str) -> None:
    """A version's state can only be changed to ENABLED and DISABLED."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256")
    with pytest.raises(exceptions.InvalidArgument):
        keys.switch(version, state)


def test_update_of_an_absent_version(keys: Keys) -> None:
    """A version that was never made is not found."""
    with pytest.raises(exceptions.NotFound):
        keys.switch(CryptoKeyVersion(name=f"{keys.ring}/cryptoKeys/absent/cryptoKeyVersions/1"), "DISABLED")


@pytest.mark.parametrize("state", ["ENABLED", "DISABLED"])
def test_destruction_is_scheduled(client: KeyManagementServiceClient, keys: Keys, state: str) -> None:
    """An enabled or disabled version is destroyed after its key's waiting time."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256")
    if state == "DISABLED":
        keys.switch(version, "DISABLED")
    before = datetime.now(UTC)
    destroyed = client.destroy_crypto_key_version(name=version.name)
    assert destroyed.state == State.DESTROY_SCHEDULED
    assert before <= destroyed.destroy_time - timedelta(days=30) <= datetime.now(UTC)


def test_destruction_happens_once(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A version whose destruction is scheduled can be neither destroyed again nor enabled by an update."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256")
    client.destroy_crypto_key_version(name=version.name)
    with pytest.raises(exceptions.FailedPrecondition):
        client.destroy_crypto_key_version(name=version.name)
    with pytest.raises(exceptions.FailedPrecondition):
        keys.switch(version, "ENABLED")


def test_destruction_of_an_absent_version(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A version that was never made is not found."""
    key = keys.create("ENCRYPT_DECRYPT")
    with pytest.raises(exceptions.NotFound):
        client.destroy_crypto_key_version(name=f"{key.name}/cryptoKeyVersions/1")
