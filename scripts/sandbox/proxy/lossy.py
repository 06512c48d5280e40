"""An API server that keeps something from who watches: every so many lines of a watch are swallowed.

It opens TLS with a certificate of its own, hands requests on with the token that they bring, and answers as the API
server does. That is no fault of a network, which never loses a line from the middle of a connection: it stands for a
watch loop that skips events, so that the alarm for it can be heard.
"""

from __future__ import annotations

import http.server
import ssl
import threading
from typing import TYPE_CHECKING, Self, cast

import urllib3

from sandbox.pki import Authority

if TYPE_CHECKING:
    from pathlib import Path

_LOOPBACK = "127.0.0.1"
_SECONDS = 400.0  # longer than any watch
_PASSED_ON = ("Accept", "Authorization")
_PIECE = 1 << 16


class LossyApiServer:
    """Stands in front of an API server, for reading only.

    Attributes:
        certificate_authority: PEM file of the CA whose certificate it shows.
    """

    def __init__(self, upstream: str, upstream_authority: Path, directory: Path, *, every: int) -> None:
        """The port is bound.

        Args:
            upstream: URL of the API server.
            upstream_authority: PEM file of its CA.
            directory: Where certificate and key go.
            every: Of so many lines of watches that tell of a new object, the last is swallowed.
        """
        authority = Authority.create("lossy")
        self.certificate_authority = directory / "lossy-ca.pem"
        self.certificate_authority.write_bytes(authority.certificate_pem)
        files = authority.issue("lossy", addresses=[_LOOPBACK], server=True).write(directory, "lossy")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        self._server = _Server(upstream, upstream_authority, context, every)
        self._thread = threading.Thread(target=self._server.serve_forever, name="lossy", daemon=True)

    @property
    def server(self) -> str:
        """Its URL."""
        return f"https://{_LOOPBACK}:{self._server.server_address[1]}"

    @property
    def swallowed(self) -> tuple[bytes, ...]:
        """The lines that nobody was shown."""
        return tuple(self._server.swallowed)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # watches end when the client's process does

    def __init__(self, upstream: str, authority: Path, context: ssl.SSLContext, every: int) -> None:
        super().__init__((_LOOPBACK, 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.upstream = upstream
        self.pool = urllib3.PoolManager(ca_certs=str(authority), retries=False, maxsize=8)
        self.swallowed: list[bytes] = []
        self._every = every
        self._told = 0
        self._lock = threading.Lock()

    def passes(self, line: bytes) -> bool:
        """Whether a line of a watch is shown."""
        with self._lock:
            self._told += line.startswith(b'{"type":"ADDED"')
            if not line.startswith(b'{"type":"ADDED"') or self._told % self._every:
                return True
            self.swallowed.append(line)
            return False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is not worth a traceback."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        answer = server.pool.request(
            "GET",
            server.upstream + self.path,
            headers={name: self.headers[name] for name in _PASSED_ON if name in self.headers},
            preload_content=False,
            timeout=_SECONDS,
        )
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        rest = b""
        while piece := answer.read1(_PIECE):
            if "watch=true" in self.path:
                *lines, rest = (rest + piece).split(b"\n")
                piece = b"".join(line + b"\n" for line in lines if server.passes(line))
            self._chunk(piece)
        self.wfile.write(b"0\r\n\r\n")
        answer.release_conn()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Requests are not worth a line."""

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
