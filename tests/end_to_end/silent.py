"""An API server that takes requests and never answers, as one whose etcd has hung."""

import http.server
import ssl
import threading
from pathlib import Path
from typing import Self, cast

from sandbox import kubeconfig
from sandbox.manifests import FUNCTION_USER
from sandbox.pki import Authority

_LOOPBACK = "127.0.0.1"


class SilentApiServer:
    """Counts the requests that it keeps waiting; start it as a context manager.

    Attributes:
        kubeconfig: The function's file.
    """

    def __init__(self, directory: Path) -> None:
        """The port is bound and the files are written."""
        authority = Authority.create("silent")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("silent", addresses=[_LOOPBACK], server=True).write(directory, "tls"))
        self._server = _Server(context)
        self._thread = threading.Thread(target=self._server.serve_forever, name="silent", daemon=True)
        self.kubeconfig = directory / "kubeconfig"
        self.kubeconfig.write_text(
            kubeconfig.render(
                server=f"https://{_LOOPBACK}:{self._server.server_address[1]}",
                certificate_authority_pem=authority.certificate_pem,
                user=FUNCTION_USER,
                key_pair=authority.issue(FUNCTION_USER),
            )
        )

    def wait(self, requests: int, timeout: float) -> int:
        """Waits for so many requests since the start; returns how many have come."""
        with self._server.came:
            self._server.came.wait_for(lambda: self._server.requests >= requests, timeout)
            return self._server.requests

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__((_LOOPBACK, 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.came = threading.Condition()
        self.over = threading.Event()
        self.requests = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has given up is not worth a traceback."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        with server.came:
            server.requests += 1
            server.came.notify_all()
        server.over.wait()
        self.close_connection = True
