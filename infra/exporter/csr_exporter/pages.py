"""An HTTP server of a few pages, with or without TLS; from one thread, unless a subclass has more.

No client can make it start more threads, or hold one for long: the exporter's memory has a limit, and a probe is
urgent. prometheus-client's own server starts a thread per client without a bound or a time-out, lets one idle TLS
connection block all others, and never reads a renewed certificate.
"""

import io
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import cast

_LARGEST_REQUEST = 8 << 10
# A client sends its first byte with its part of the TCP handshake, so a far one needs no longer.
FIRST_BYTE_SECONDS = 0.5

Page = Callable[[], tuple[int, str, bytes]]
"""Returns HTTP status, content type and body."""


class PageServer(socketserver.TCPServer):
    """Serves pages by their path.

    Not http.server's server, which asks the DNS for its own name: the exporter starts before the DNS works.

    Attributes:
        pages: What each path shows.
        seconds: For a whole request, and for a whole response.
    """

    allow_reuse_address = True
    request_queue_size = 16

    def __init__(
        self,
        address: str,
        port: int,
        pages: Mapping[str, Page],
        *,
        seconds: float,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Binds the address.

        Args:
            address: An IPv4 or IPv6 address; `::` is both.
            port: 0 is any free port.
            pages: What each path shows.
            seconds: For a TLS handshake, for a whole request, and for a whole response.
            tls: Makes the context of one connection; it may raise OSError. A shared context would keep TLS sessions:
                as many as clients want, and longer than their certificates are valid.

        Raises:
            OSError: the address is in use, or not this machine's.
        """
        self.pages = pages
        self.seconds = seconds
        self._tls = tls
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True, name="pages")

    @property
    def address(self) -> str:
        """HOST:PORT as bound."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Starts to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stops to serve, and releases the port."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def server_bind(self) -> None:
        """Lets `::` accept IPv4 too, whatever the node's default is."""
        if self.address_family is socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def finish_request(self, request: object, client_address: object) -> None:
        """Answers one client; with TLS, after a handshake that has its own time limit."""
        connection = cast("socket.socket", request)
        connection.settimeout(min(self.seconds, FIRST_BYTE_SECONDS))
        connection.recv(1, socket.MSG_PEEK)
        if self._tls is None:
            super().finish_request(connection, client_address)
            return
        connection.settimeout(self.seconds)
        with self._tls().wrap_socket(connection, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores a client that breaks off or fails the handshake: it is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server_version = "csr-exporter"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self._server = cast("PageServer", self.server)
        # Whole, not line by line: a client that sends one byte at a time would hold the thread.
        self.rfile = io.BytesIO(_head(self.connection, self._server.seconds))

    def do_GET(self) -> None:
        page = self._server.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        status, content_type, content = page()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Logs nothing: probes are not worth a line."""


def _head(connection: socket.socket, seconds: float) -> bytes:
    """Reads a request up to its empty line, within the time and the size that it may take."""
    head, deadline = b"", time.monotonic() + seconds
    while b"\r\n\r\n" not in head and len(head) < _LARGEST_REQUEST and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        chunk = connection.recv(_LARGEST_REQUEST)
        if not chunk:
            break
        head += chunk
    connection.settimeout(seconds)  # of a whole response: sendall's
    return head
