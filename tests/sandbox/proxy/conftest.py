"""Servers to stand in front of."""

import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE


class EchoServer(socketserver.ThreadingTCPServer):
    """Sends back what it gets; at the end of that, its own end."""

    daemon_threads = True
    allow_reuse_address = True

    @property
    def endpoint(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except ConnectionError:
            return


class HttpServer(http.server.ThreadingHTTPServer):
    """Answers with the number of the request and its body, and remembers the bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Numbered)
        self.bodies: list[bytes] = []

    @property
    def endpoint(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.server_port}"


class _Numbered(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HttpServer

    def do_POST(self) -> None:
        """Answer in one piece, in chunks, or up to the connection's end, as the path says."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        answer = b"%d %s" % (len(self.server.bodies), body)
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x;extension\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(answer), answer))
        elif self.path == "/unframed":
            self.close_connection = True
            self.end_headers()
            self.wfile.write(answer)
        else:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def do_HEAD(self) -> None:
        """Answer with the length of a body that is not sent."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    """A TCP server."""
    with EchoServer(("127.0.0.1", 0), _Echo) as server:
        thread = _serve(server)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def web() -> Iterator[HttpServer]:
    """An HTTP server."""
    with HttpServer() as server:
        thread = _serve(server)
        yield server
        server.shutdown()
        thread.join()


def connect(endpoint: str) -> socket.socket:
    """Opens a connection whose reads end after ten seconds at the latest."""
    host, port = endpoint.split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def received(connection: socket.socket, size: int) -> bytes:
    """Reads so many bytes, or fewer where the connection ends before."""
    data = b""
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return data


def _serve(server: socketserver.BaseServer) -> threading.Thread:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    return thread
