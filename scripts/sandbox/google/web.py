"""A small HTTP/1.1 server for the doubles: keep-alive, many connections, optional TLS, a request log, a prompt stop."""

import contextlib
import json
import socket
import socketserver
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, cast
from urllib.parse import parse_qs, urlsplit

_BODY_LIMIT = 32 << 20  # Cloud Run's limit for a request; the other services have smaller limits
_STOP_SECONDS = 1.0
_IDLE_SECONDS = 600.0  # the idle timeout of Google's front ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An incoming request.

    Attributes:
        method: The HTTP method.
        target: Path and query.
        headers: All header lines in order.
        body: The body, with chunks joined.
        peer: The client's address.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    peer: str

    @property
    def path(self) -> str:
        """Returns the target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """Returns the query's parameters, including empty ones."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def header(self, name: str) -> str | None:
        """Returns the first value of a header."""
        return next((value for other, value in self.headers if other.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response; the server adds Content-Length, Date and Connection."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def json(cls, status: int, value: object, headers: Mapping[str, str] | None = None) -> Self:
        """Returns a response with a JSON body."""
        return cls(
            status=status,
            body=json.dumps(value, indent=2).encode(),
            headers=(("Content-Type", "application/json; charset=UTF-8"), *(headers or {}).items()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and the status of its response."""

    request: Request
    status: int


@dataclass(slots=True)
class RequestLog:
    """All exchanges of a server in order."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _exchanges: list[Exchange] = field(default_factory=list)

    def append(self, exchange: Exchange) -> None:
        """Adds an exchange."""
        with self._lock:
            self._exchanges.append(exchange)

    def exchanges(self, path: str = "") -> list[Exchange]:
        """Returns the exchanges whose path starts with a prefix."""
        with self._lock:
            return [exchange for exchange in self._exchanges if exchange.request.path.startswith(path)]


class WebServer:
    """An HTTP server on the loopback address with one thread per connection.

    Args:
        handler: Answers a request; runs on many threads at once.
        port: The port; 0 for any free one.
        tls: The server's side of TLS; None for plain HTTP.
        clock: Seconds since the epoch, for the header Date.

    Attributes:
        log: All exchanges; the server adds each one before it sends the response.
    """

    def __init__(
        self,
        handler: Callable[[Request], Response],
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.log = RequestLog()
        self._handler = handler
        self._failures: deque[Response] = deque()
        self._tls = tls
        self._server = _Server(("127.0.0.1", port), self._answer, tls, clock)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """Returns HOST:PORT."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Returns the root URL without a trailing slash."""
        return f"{'https' if self._tls else 'http'}://{self.address}"

    def fail_next(self, response: Response, times: int = 1) -> None:
        """Answers the next requests with this response instead of calling the handler."""
        self._failures.extend([response] * times)

    def start(self) -> Self:
        """Serves until `stop`."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Closes all connections and the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, request: Request) -> Response:
        try:
            response = self._failures.popleft()
        except IndexError:
            response = self._handler(request)
        self.log.append(Exchange(request=request, status=response.status))
        return response


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 256
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        answer: Callable[[Request], Response],
        tls: ssl.SSLContext | None,
        clock: Callable[[], float],
    ) -> None:
        self.answer = answer
        self.clock = clock
        self._tls = tls
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls is not None:
            # The connection's own thread does the handshake, so that a silent client does not block others.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._changed:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  # the base class's signature
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def close_connections(self) -> None:
        """Wakes the threads that wait for clients, and gives them a moment to close."""
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, _STOP_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # the base class's signature
        """Ignores the error: a client may disconnect at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # sends head and body in one segment
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        try:
            body = self._body()
        except ValueError as error:
            self.send_error(400, str(error))
            self.close_connection = True
            return
        request = Request(
            method=self.command,
            target=self.path,
            headers=tuple(self.headers.items()),
            body=body,
            peer=str(self.client_address[0]),
        )
        self._send(cast("_Server", self.server).answer(request))

    # The base class requires these names.
    do_POST = do_GET  # noqa: N815
    do_PUT = do_GET  # noqa: N815
    do_PATCH = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815
    do_HEAD = do_GET  # noqa: N815
    do_OPTIONS = do_GET  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= _BODY_LIMIT:
            raise ValueError(f"content length must be 0 to {_BODY_LIMIT}, got {length}")
        return self.rfile.read(length)

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(64).split(b";", 1)[0], 16):
            if not 0 < size <= _BODY_LIMIT - len(body):
                raise ValueError(f"the body must have at most {_BODY_LIMIT} octets")
            body += self.rfile.read(size)
            self.rfile.readline(8)
        while self.rfile.readline(4096).strip():
            pass  # trailers
        return bytes(body)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Returns a time for a header; by default, the server's own."""
        return super().date_time_string(cast("_Server", self.server).clock() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's signature
        """Logs nothing; `WebServer.log` has the requests."""
