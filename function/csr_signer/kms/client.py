"""Makes the connection to Cloud KMS, and replaces a dead one."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import google.auth
import google.auth.exceptions
import grpc.aio
from google.api_core import exceptions
from google.api_core.gapic_v1 import routing_header
from google.auth.credentials import Credentials
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcAsyncIOTransport
from google.protobuf.message import DecodeError

from csr_signer.errors import ConfigurationError

Metadata = tuple[tuple[str, str], ...]

PUBLIC_ENDPOINT: Final = "cloudkms.googleapis.com"
_CHANNEL_OPTIONS: Final = (
    # A proxy from the environment would see our token's destination, and could break a double on the loopback address.
    ("grpc.enable_http_proxy", 0),
    # By default, gRPC waits up to two minutes before it reconnects, but a pod gives up after 90 s.
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Otherwise a new transport would reuse the dead connection of the transport that it replaces.
    ("grpc.use_local_subchannel_pool", 1),
)


async def connect(*, endpoint: str | None, unsafe_plaintext_endpoint: str | None) -> "Connection":
    """Makes a connection; all other code uses this function. The connection belongs to the running event loop.

    Args:
        endpoint: host name of another TLS endpoint; None: the public endpoint.
        unsafe_plaintext_endpoint: HOST:PORT of a double; the configuration allows only loopback addresses.

    Raises:
        ConfigurationError: there are no credentials.
    """
    if unsafe_plaintext_endpoint is not None:
        address = unsafe_plaintext_endpoint
        return Connection(
            lambda: KeyManagementServiceGrpcAsyncIOTransport(
                channel=grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
            )
        )
    try:
        credentials = await asyncio.to_thread(_credentials)  # it blocks, and may call the metadata server
    except google.auth.exceptions.GoogleAuthError as error:
        raise ConfigurationError(f"Cloud KMS: no credentials: {error}", access_denied=True) from error
    host = endpoint or PUBLIC_ENDPOINT
    return Connection(
        lambda: KeyManagementServiceGrpcAsyncIOTransport(host=host, credentials=credentials, channel=_secure_channel)
    )


def _credentials() -> Credentials:
    scopes = KeyManagementServiceGrpcAsyncIOTransport.AUTH_SCOPES
    credentials, _ = google.auth.default(default_scopes=scopes)
    return credentials


def _secure_channel(host: str, **options: Any) -> grpc.aio.Channel:  # noqa: ANN401 - the transport's own types
    options["options"] = [*(options.get("options") or ()), *_CHANNEL_OPTIONS]
    return KeyManagementServiceGrpcAsyncIOTransport.create_channel(host, **options)


class Connection:
    """Replaces its transport after a call without an answer in time.

    If the network drops an established connection silently, gRPC continues to use it for minutes.

    Args:
        make: makes a new transport.
    """

    def __init__(self, make: Callable[[], KeyManagementServiceGrpcAsyncIOTransport]) -> None:
        self._make = make
        self._transport = make()

    async def get_public_key(self, request: kms_v1.GetPublicKeyRequest, *, seconds: float) -> kms_v1.PublicKey:
        """Calls GetPublicKey.

        Raises:
            GoogleAPICallError: the status that ended the call. `asymmetric_sign` raises the same errors.
        """
        answer: kms_v1.PublicKey = await self._call(lambda transport: transport.get_public_key, request, seconds, ())
        return answer

    async def asymmetric_sign(
        self, request: kms_v1.AsymmetricSignRequest, *, seconds: float, metadata: Metadata
    ) -> kms_v1.AsymmetricSignResponse:
        """Calls AsymmetricSign with additional headers in `metadata`."""
        answer: kms_v1.AsymmetricSignResponse = await self._call(
            lambda transport: transport.asymmetric_sign, request, seconds, metadata
        )
        return answer

    async def close(self) -> None:
        """Closes the connection."""
        await self._transport.close()

    async def _call(
        self,
        method: Callable[[KeyManagementServiceGrpcAsyncIOTransport], Callable[..., Any]],
        request: kms_v1.GetPublicKeyRequest | kms_v1.AsymmetricSignRequest,
        seconds: float,
        metadata: Metadata,
    ) -> Any:  # noqa: ANN401 - the method's own response
        transport = self._transport
        # Google's front end uses this header to find the key's location (Google AIP-4222).
        routing = routing_header.to_grpc_metadata((("name", request.name),))
        try:
            return await method(transport)(request, timeout=seconds, metadata=(routing, *metadata))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and self._transport is transport:
                # The old transport stays open, because other calls may wait for it. Each call replaces only the
                # transport that it used.
                self._transport = self._make()
            raise _status(error) from error
        except (ValueError, DecodeError) as error:
            raise exceptions.Unknown(f"{type(error).__name__}: {error}") from error


def _status(error: grpc.aio.AioRpcError) -> exceptions.GoogleAPICallError:
    """Returns the status that ended a call, even if its details are malformed or have another code."""
    status: exceptions.GoogleAPICallError
    try:
        status = exceptions.from_grpc_error(error)
    except (ValueError, DecodeError):
        status = exceptions.from_grpc_status(error.code(), f"{error.details()} (its details cannot be read)")
    return status
