"""A double of Google's token issuer for a real kube-apiserver: OpenID endpoints over TLS on the loopback address."""

from __future__ import annotations

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from sandbox.google.model import ISSUER, Configuration
from sandbox.google.openid import DISCOVERY, OpenIdProvider
from sandbox.google.tokens import Tokens
from sandbox.google.web import Request
from sandbox.pki import Authority

if TYPE_CHECKING:
    from pathlib import Path


class Issuer:
    """Google's OpenID endpoints over TLS on the loopback address.

    Args:
        directory: For the server's certificate.
        tokens: Whose keys it publishes; by default its own.
    """

    def __init__(self, directory: Path, tokens: Tokens | None = None) -> None:
        self.tokens = tokens or Tokens(ISSUER, time.time)
        authority = Authority.create("Double of Google's web certificates")
        self.certificate_authority = authority.certificate_pem.decode()
        answer = OpenIdProvider(Configuration(), self.tokens, lambda: self.url)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                request = Request(method="GET", target=self.path, headers=(), body=b"", peer=self.client_address[0])
                response = answer(request)
                self.send_response(response.status)
                for name, value in (*response.headers, ("Content-Length", str(len(response.body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
                """Logs nothing; the test reports errors."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            *authority.issue("issuer", addresses=["127.0.0.1"], server=True).write(directory, "issuer")
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Returns the issuer's URL."""
        return f"https://127.0.0.1:{self._server.server_port}"

    def settings(self) -> dict[str, str]:
        """Returns the fields of `jwt[].issuer` with which an API server reads the keys here instead of at Google."""
        return {"discoveryURL": self.url + DISCOVERY, "certificateAuthority": self.certificate_authority}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
