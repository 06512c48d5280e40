"""What GetPublicKey answers."""

from collections.abc import Callable
from typing import Any

import google_crc32c
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient, ProtectionLevel, PublicKey

from tests.contract.kms.keys import Keys

Algorithm: Any = CryptoKeyVersion.CryptoKeyVersionAlgorithm
Level: Any = ProtectionLevel
SigningVersion = Callable[[str], CryptoKeyVersion]


def check_public_key(answer: PublicKey, version: CryptoKeyVersion) -> PublicKeyTypes:
    """Check everything around the key and return it."""
    assert answer.name == version.name
    assert answer.algorithm == version.algorithm
    assert answer.protection_level == version.protection_level
    assert answer.pem_crc32c == google_crc32c.value(answer.pem.encode())
    assert answer.pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    return load_pem_public_key(answer.pem.encode())


@pytest.mark.parametrize(
    ("algorithm", "curve"), [("EC_SIGN_P256_SHA256", "secp256r1"), ("EC_SIGN_P384_SHA384", "secp384r1")]
)
def test_elliptic_curve_key(
    client: KeyManagementServiceClient, signing_version: SigningVersion, algorithm: str, curve: str
) -> None:
    """An ECDSA version answers with a public key on its curve, its checksum, algorithm and level."""
    version = signing_version(algorithm)
    key = check_public_key(client.get_public_key(name=version.name), version)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == curve


def test_rsa_key(client: KeyManagementServiceClient, signing_version: SigningVersion) -> None:
    """An RSA version answers with a modulus of its size and the exponent 65537."""
    version = signing_version("RSA_SIGN_PKCS1_3072_SHA256")
    key = check_public_key(client.get_public_key(name=version.name), version)
    assert isinstance(key, rsa.RSAPublicKey)
    assert (key.key_size, key.public_numbers().e) == (3072, 65537)


def test_ed25519_key(client: KeyManagementServiceClient, signing_version: SigningVersion) -> None:
    """An Ed25519 version answers with an Ed25519 key."""
    version = signing_version("EC_SIGN_ED25519")
    key = check_public_key(client.get_public_key(name=version.name), version)
    assert isinstance(key, ed25519.Ed25519PublicKey)


def test_decryption_key(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A decryption key has a public key too."""
    key = keys.create("ASYMMETRIC_DECRYPT", "RSA_DECRYPT_OAEP_2048_SHA256", protection_level="HSM")
    version = keys.create_version(key)
    public_key = check_public_key(client.get_public_key(name=version.name), version)
    assert isinstance(public_key, rsa.RSAPublicKey)


def test_key_stays_the_same(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A version's key never changes, and another version has another key."""
    key = keys.create("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
    first, second = keys.create_version(key), keys.create_version(key)
    pem = client.get_public_key(name=first.name).pem
    assert client.get_public_key(name=first.name).pem == pem
    assert client.get_public_key(name=second.name).pem != pem


def test_symmetric_key(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A symmetric key has no public key."""
    key = keys.create("ENCRYPT_DECRYPT", initial_version=True)
    with pytest.raises(exceptions.FailedPrecondition):
        client.get_public_key(name=key.primary.name)


def test_malformed_and_absent_version(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A malformed name is an invalid argument, an absent version is not found."""
    with pytest.raises(exceptions.InvalidArgument):
        client.get_public_key(name="malformed name")
    with pytest.raises(exceptions.NotFound):
        client.get_public_key(name=f"{keys.ring}/cryptoKeys/absent/cryptoKeyVersions/1")


def test_disabled_version(client: KeyManagementServiceClient, keys: Keys) -> None:
    """Only an enabled version answers."""
    version = keys.create_signing_version("EC_SIGN_P384_SHA384")
    keys.switch(version, "DISABLED")
    keys.refuses(lambda: client.get_public_key(name=version.name))
    assert client.get_crypto_key_version(name=version.name).state.name == "DISABLED"


def test_destroyed_version(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A version whose destruction is scheduled does not answer."""
    version = keys.create_signing_version("EC_SIGN_P384_SHA384")
    client.destroy_crypto_key_version(name=version.name)
    keys.refuses(lambda: client.get_public_key(name=version.name))
    assert client.get_crypto_key_version(name=version.name).state.name == "DESTROY_SCHEDULED"
