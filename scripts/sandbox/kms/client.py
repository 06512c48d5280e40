"""The real client library with a plaintext endpoint on this machine."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.api_core.exceptions import AlreadyExists
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyManagementServiceClient, KeyRing
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from sandbox.kms.enums import Algorithm, Level, Purpose, State, name_of

LOCATION = "projects/example-project/locations/europe-west1"


class _Principal(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Sends a principal's email as the bearer token; the double accepts it without proof."""

    def __init__(self, email: str) -> None:
        self._header = ("authorization", f"Bearer {email}")

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401
        """Adds the header to a call."""
        metadata = [*(client_call_details.metadata or ()), self._header]
        return continuation(client_call_details._replace(metadata=metadata), request)


@contextlib.contextmanager
def connect(endpoint: str, *, principal: str | None = None) -> Iterator[KeyManagementServiceClient]:
    """Yields a client for HOST:PORT, without credentials.

    Args:
        endpoint: The endpoint of the double or of another plaintext implementation.
        principal: The caller's email for the double's `iam`; None for an anonymous caller.
    """
    channel = grpc.insecure_channel(endpoint)
    if principal is not None:
        channel = grpc.intercept_channel(channel, _Principal(principal))
    transport = KeyManagementServiceGrpcTransport(channel=channel)
    with KeyManagementServiceClient(transport=transport) as client:
        yield client


def create_signing_key(
    client: KeyManagementServiceClient,
    algorithm: str = "EC_SIGN_P256_SHA256",
    *,
    protection_level: str = "HSM",
    location: str = LOCATION,
    key_ring: str = "csr-signer",
    key: str = "ca",
) -> str:
    """Creates a key ring if it is missing, a key and its first version, and waits until the version is enabled.

    Args:
        client: From `connect`.
        algorithm: A name of CryptoKeyVersionAlgorithm.
        protection_level: SOFTWARE or HSM.
        location: projects/P/locations/L.
        key_ring: The ring's id.
        key: The key's id.

    Returns:
        The full name of the key version.

    Raises:
        google.api_core.exceptions.AlreadyExists: The key exists already.
    """
    with contextlib.suppress(AlreadyExists):
        client.create_key_ring(parent=location, key_ring_id=key_ring, key_ring=KeyRing())
    template = {"algorithm": Algorithm[algorithm], "protection_level": Level[protection_level]}
    created = client.create_crypto_key(
        parent=f"{location}/keyRings/{key_ring}",
        crypto_key_id=key,
        crypto_key=CryptoKey(purpose=Purpose.ASYMMETRIC_SIGN, version_template=template),
    )
    return wait_until_enabled(client, f"{created.name}/cryptoKeyVersions/1").name


def wait_until_enabled(
    client: KeyManagementServiceClient, name: str, timeout: float = 60.0, *, interval: float = 0.01
) -> CryptoKeyVersion:
    """Polls a version every `interval` seconds until its key is ready.

    Raises:
        TimeoutError: The version was not enabled within `timeout` seconds.
    """
    end = time.monotonic() + timeout
    version = client.get_crypto_key_version(name=name)
    while version.state != State.ENABLED:
        if time.monotonic() > end:
            raise TimeoutError(f"{name} is {name_of(version.state)} after {timeout:g} s")
        time.sleep(interval)
        version = client.get_crypto_key_version(name=name)
    return version
