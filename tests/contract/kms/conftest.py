"""Where the Cloud KMS contract tests run: the double, or what CSR_SIGNER_TEST_KMS_ENDPOINT names.

The variable is HOST:PORT of another implementation of the gRPC API, plaintext. These tests state what the real
service does, so whatever passes them may stand in for it.
"""

import os
from collections.abc import Callable, Iterator

import pytest
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient, KeyRing

from sandbox.kms import KmsServer, connect
from tests.contract.kms.keys import LOCATION, Keys, random_id


@pytest.fixture(scope="session")
def client() -> Iterator[KeyManagementServiceClient]:
    """The real client library, connected."""
    other = os.environ.get("CSR_SIGNER_TEST_KMS_ENDPOINT")
    if other:
        with connect(other) as connected:
            yield connected
    else:
        with KmsServer() as server, connect(server.endpoint) as connected:
            yield connected


@pytest.fixture(scope="session")
def location() -> str:
    """The location that rings are made in."""
    return LOCATION


@pytest.fixture(scope="session")
def keys(client: KeyManagementServiceClient) -> Keys:
    """A key ring and what is made in it."""
    ring = client.create_key_ring(parent=LOCATION, key_ring_id=random_id(), key_ring=KeyRing())
    return Keys(client=client, ring=ring.name)


@pytest.fixture(scope="session")
def signing_version(keys: Keys) -> Callable[[str], CryptoKeyVersion]:
    """Return an enabled HSM version of an algorithm: one for all tests, which must not change it."""
    made: dict[str, CryptoKeyVersion] = {}

    def version(algorithm: str) -> CryptoKeyVersion:
        if algorithm not in made:
            made[algorithm] = keys.create_signing_version(algorithm, protection_level="HSM")
        return made[algorithm]

    return version
