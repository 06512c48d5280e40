"""Makes the client library's connection to Cloud KMS, and replaces a dead one."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import google.auth.exceptions
import grpc
from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from csr_signer.errors import ConfigurationError

T = TypeVar("T")

PUBLIC_ENDPOINT: Final = "cloudkms.googleapis.com"
_CHANNEL_OPTIONS: Final = (
    # A proxy from the environment would see our token's destination, and could break a double on the loopback address.
    ("grpc.enable_http_proxy", 0),
    # By default, gRPC waits up to two minutes before it reconnects, but a pod gives up after 90 s.
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Otherwise a new client would reuse the dead connection of the client that it replaces.
    ("grpc.use_local_subchannel_pool", 1),
)


def connect(*, endpoint: str | None, unsafe_plaintext_endpoint: str | None) -> kms_v1.KeyManagementServiceClient:
    """Makes a client; all other code uses this function.

    Args:
        endpoint: host name of another TLS endpoint; None: the public endpoint.
        unsafe_plaintext_endpoint: HOST:PORT of a double; the configuration allows only loopback addresses.

    Raises:
        ConfigurationError: there are no credentials.
    """
    try:
        if unsafe_plaintext_endpoint is not None:
            channel = grpc.insecure_channel(unsafe_plaintext_endpoint, options=_CHANNEL_OPTIONS)
            transport = KeyManagementServiceGrpcTransport(channel=channel)
        else:
            transport = KeyManagementServiceGrpcTransport(host=endpoint or PUBLIC_ENDPOINT, channel=_secure_channel)
        return kms_v1.KeyManagementServiceClient(transport=transport)
    except google.auth.exceptions.GoogleAuthError as error:
        raise ConfigurationError(f"Cloud KMS: no credentials: {error}") from error


def _secure_channel(host: str, **options: Any) -> grpc.Channel:  # noqa: ANN401 - the transport's own types
    options["options"] = [*(options.get("options") or ()), *_CHANNEL_OPTIONS]
    return KeyManagementServiceGrpcTransport.create_channel(host, **options)


class Connection:
    """A client that replaces itself after a call without an answer in time.

    If the network drops an established connection silently, gRPC continues to use it for minutes.

    Args:
        make: makes a new client, like `connect`.

    Raises:
        ConfigurationError: there are no credentials.
    """

    def __init__(self, make: Callable[[], kms_v1.KeyManagementServiceClient]) -> None:
        self._make = make
        self._client = make()
        self._guard = threading.Lock()

    def get_public_key(self, **options: Any) -> kms_v1.PublicKey:  # noqa: ANN401 - the client's own
        """Calls GetPublicKey."""
        return self._ask(lambda client: client.get_public_key(**options))

    def asymmetric_sign(self, **options: Any) -> kms_v1.AsymmetricSignResponse:  # noqa: ANN401 - the client's own
        """Calls AsymmetricSign."""
        return self._ask(lambda client: client.asymmetric_sign(**options))

    def _ask(self, question: Callable[[kms_v1.KeyManagementServiceClient], T]) -> T:
        client = self._client
        try:
            return question(client)
        except exceptions.DeadlineExceeded:
            # The old client stays open, because other threads may wait for it. Each thread replaces only the client
            # that it used.
            with self._guard, contextlib.suppress(ConfigurationError):
                self._client = self._make() if self._client is client else self._client
            raise
