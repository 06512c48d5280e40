"""The real client library, pointed at a plaintext endpoint on this machine."""

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
    """Sends a principal's email as the bearer token, which the double takes for proof."""

    def __init__(self, email: str) -> None:
        self._header = ("authorization", f"Bearer {email}")

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401
        """Add the header to a call."""
        metadata = [*(client_call_details.metadata or ()), self._header]
        return continuation(client_call_details._replace(metadata=metadata), request)


@contextlib.contextmanager
def connect(endpoint: str, *, principal: str | None = None) -> Iterator[KeyManagementServiceClient]:
    """Yield a client of the endpoint HOST:PORT; no credentials are looked for.

    Args:
        endpoint: The double's, or another plaintext implementation's.
        principal: Whose calls these are, for the double's `iam`; None for an anonymous caller's.
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
    """Create a key ring where it is missing, a key and its first version, and wait until that is enabled.

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
        google.api_core.exceptions.AlreadyExists: There is such a key.
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
    """Poll a version while its key is being made, every `interval` seconds.

    Raises:
        TimeoutError: It is not enabled within `timeout` seconds.
    """
    end = time.monotonic() + timeout
    version = client.get_crypto_key_version(name=name)
    while version.state != State.ENABLED:
        if time.monotonic() > end:
            raise TimeoutError(f"{name} is {name_of(version.state)} after {timeout:g} s")
        time.sleep(interval)
        version = client.get_crypto_key_version(name=name)
    return version
