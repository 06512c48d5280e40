"""A Cloud KMS double of each test's own, and a signing key in it."""

from collections.abc import Iterator

import pytest
from google.cloud.kms_v1 import KeyManagementServiceClient

from sandbox.kms import KmsServer, connect, create_signing_key


@pytest.fixture
def server() -> Iterator[KmsServer]:
    """A running double."""
    with KmsServer(instant=True) as running:
        yield running


@pytest.fixture
def client(server: KmsServer) -> Iterator[KeyManagementServiceClient]:
    """The real client library, connected to it."""
    with connect(server.endpoint) as connected:
        yield connected


@pytest.fixture
def version(client: KeyManagementServiceClient) -> str:
    """An enabled P-256 version at HSM level."""
    return create_signing_key(client, "EC_SIGN_P256_SHA256")
