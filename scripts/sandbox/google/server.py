"""Runs all doubles: a metadata server, one port for the APIs, and the front door of a Cloud Run service."""

import ssl
import time
from collections.abc import Callable
from typing import Self

from sandbox.google import iam_credentials, sts
from sandbox.google.iam_credentials import IamCredentials
from sandbox.google.metadata import Metadata
from sandbox.google.model import Configuration, example
from sandbox.google.openid import OpenIdProvider
from sandbox.google.run import FrontDoor
from sandbox.google.sts import SecurityTokenService
from sandbox.google.tokens import Tokens
from sandbox.google.web import Request, Response, WebServer


class GoogleServer:
    """Google's identity services, and Cloud Run in front of a service.

    Args:
        configuration: The accounts and grants; by default `model.example()`.
        run_target: The root URL of the service behind the front door; None for no front door.
        port: The port of the APIs; 0 for any free one.
        metadata_port: The port of the metadata server.
        run_port: The port of the front door.
        tls: TLS of the APIs and the front door (the metadata server never has it); None for plain HTTP.
        clock: Seconds since the epoch.

    Attributes:
        tokens: The issued tokens.
        metadata_server: The metadata server, with its request log.
        api: The server of STS, IAM Credentials and OpenID, with its request log.
        front_door: The front door, with its request log.
    """

    def __init__(
        self,
        configuration: Configuration | None = None,
        *,
        run_target: str | None = None,
        port: int = 0,
        metadata_port: int = 0,
        run_port: int = 0,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.configuration = configuration or example()
        self.tokens = Tokens(self.configuration.issuer, clock)
        self._sts = SecurityTokenService(self.configuration, self.tokens)
        self._iam_credentials = IamCredentials(self.configuration, self.tokens)
        self._openid = OpenIdProvider(self.configuration, self.tokens, lambda: self.api.url)
        self._forwarder: FrontDoor | None = None
        self.front_door: WebServer | None = None
        if run_target is not None:
            self._forwarder = FrontDoor(self.configuration, self.tokens, run_target, lambda: self.run)
            self.front_door = WebServer(self._forwarder, port=run_port, tls=tls, clock=clock)
        self.metadata_server = WebServer(Metadata(self.configuration, self.tokens), port=metadata_port, clock=clock)
        self.api = WebServer(self._answer, port=port, tls=tls, clock=clock)

    @property
    def metadata(self) -> str:
        """Returns HOST:PORT for the variables GCE_METADATA_HOST, GCE_METADATA_IP and GCE_METADATA_ROOT."""
        return self.metadata_server.address

    @property
    def sts(self) -> str:
        """Returns the root URL that replaces https://sts.googleapis.com."""
        return self.api.url

    @property
    def iam_credentials(self) -> str:
        """Returns the root URL that replaces https://iamcredentials.googleapis.com."""
        return self.api.url

    @property
    def run(self) -> str:
        """Returns the service's URL, its default audience; empty without a front door."""
        return self.front_door.url if self.front_door is not None else ""

    def start(self) -> Self:
        """Serves until `stop`."""
        for server in self._servers():
            server.start()
        return self

    def stop(self) -> None:
        """Closes all ports and connections."""
        if self._forwarder is not None:
            self._forwarder.close()
        for server in self._servers():
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _servers(self) -> list[WebServer]:
        return [server for server in (self.metadata_server, self.api, self.front_door) if server is not None]

    def _answer(self, request: Request) -> Response:
        if request.path == sts.PATH:
            return self._sts(request)
        if request.path.startswith(iam_credentials.PREFIX):
            return self._iam_credentials(request)
        return self._openid(request)
