"""An API server that gives one prepared answer, and tells what it was asked."""

import contextlib
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from csr_signer.cluster.api_server import ACCESS_REVIEWS, SELF_REVIEWS
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.configuration.schema import Authentication, ClusterConfiguration
from tests.unit.function.ports.blocking import Blocking
from tests.unit.function.ports.conftest import connected

Reply = tuple[int, dict[str, str], bytes]
HANG_UP = 0
"""In place of a status: the connection is closed."""
HANG = -1
"""In place of a status: nothing comes until the client gives up."""
TRICKLE = -2
"""In place of a status: the answer comes byte by byte until the client gives up."""
FORBIDDEN = b'{"kind": "Status", "reason": "Forbidden", "message": "no"}'
"""The body of a 403."""
USER = "csr-signer@example.com"
"""Who the function is, unless a test's probes say otherwise."""


@dataclass(frozen=True, kw_only=True)
class Probes:
    """How an API server answers what names no item: it is there, knows the function, and allows what it is told.

    Attributes:
        allows: whether a right is given, as `VERB RESOURCE/SUBRESOURCE NAME`.
        who: the answer to the question who asks.
    """

    allows: Callable[[str], bool] = lambda _: True
    who: Reply = (201, {}, json.dumps({"status": {"userInfo": {"username": USER}}}).encode())

    def answer(self, path: str, body: bytes) -> Reply | None:
        """The answer to a probe; None to everything else."""
        if path == SELF_REVIEWS:
            return self.who
        if path != ACCESS_REVIEWS:
            return None
        asked = json.loads(body)["spec"]["resourceAttributes"]
        assert set(asked) <= {"verb", "group", "resource", "subresource", "name"}
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        right = " ".join(filter(None, (asked["verb"], resource, asked.get("name"))))
        return 201, {}, json.dumps({"status": {"allowed": self.allows(right)}}).encode()


class _Answering(BaseHTTPRequestHandler):
    """Answers everything with what the test put on the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """One answer."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        probes: Probes | None = self.server.probes  # type: ignore[attr-defined]
        answer = probes and probes.answer(self.path, content)
        status, headers, body = answer or self.server.answer  # type: ignore[attr-defined]
        asked: Asked = self.server.asked  # type: ignore[attr-defined]
        asked.append(self.path)
        asked.arrived.set()
        asked.headers.append(self.headers)
        asked.clients.append(self.client_address)
        if status == HANG:
            self.connection.recv(1)
        if status == TRICKLE:
            self._trickle()
        if status in (HANG_UP, HANG, TRICKLE):
            self.close_connection = True
            return
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Transfer-Encoding" in headers:
            self.end_headers()
            for start in range(0, len(body), 1024):
                piece = body[start : start + 1024]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_GET  # noqa: N815 - the library's names

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.connection.settimeout(0.01)
        with contextlib.suppress(ConnectionError):
            while True:
                self.connection.sendall(b" ")
                with contextlib.suppress(TimeoutError):
                    self.connection.recv(1)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Asked(list[str]):
    """The paths of all requests.

    Attributes:
        arrived: set when the first request arrives.
        headers: the headers of each request.
        clients: the client's address of each request.
        port: the server's port.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.headers: list[Message] = []
        self.clients: list[object] = []
        self.port = 0


@contextlib.contextmanager
def answering(
    status: int, body: bytes = b"{}", *, probes: Probes | None = None, **headers: str
) -> Iterator[tuple[Blocking[KubernetesCluster], Asked]]:
    """A cluster whose API server gives one answer, to probes too unless there are others, and the paths asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    server.answer = status, {key.replace("_", "-"): value for key, value in headers.items()}, body  # type: ignore[attr-defined]
    server.probes = probes  # type: ignore[attr-defined]
    asked = server.asked = Asked()  # type: ignore[attr-defined]
    asked.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder, connected(configuration_of(folder, asked.port)) as cluster:
            yield cluster, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: "secret-token"}}}}]
"""


def configuration_of(folder: str, port: int) -> ClusterConfiguration:
    """The configuration of a cluster with its API server at this port."""
    path = Path(folder) / "kubeconfig"
    path.write_text(KUBECONFIG.format(server=f"http://127.0.0.1:{port}"), encoding="utf-8")
    return ClusterConfiguration(source="//s", authentication=Authentication(kubeconfig=str(path)))
