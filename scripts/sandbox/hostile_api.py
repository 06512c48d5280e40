"""What the owner of a hostile cluster can do: run a silent or costly API server, and send events to the function."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, cast

import urllib3

from sandbox import kubeconfig
from sandbox.manifests import FUNCTION_USER, SIGNER_NAME
from sandbox.pki import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOOPBACK: Final = "127.0.0.1"
_OK: Final = 200
_SIZE: Final = 16 * 1024 * 1024 - 4096
"""Bytes: the function reads no answer of more than 16 MiB."""
_SMALL_SIZE: Final = 64 * 1024 - 4096
"""Bytes: the function's event loop parses answers of up to 64 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the API server answers.

    Attributes:
        status: HTTP status of the answer to a read or a patch of a CSR.
        field: Field of that CSR with a costly value: `managedFields`, `usages` or `conditions`.
        value: The costly value, as JSON.
        probe: The answer to each POST: a review of the function's user or rights, or an Event.
    """

    status: int = _OK
    field: str = ""
    value: bytes = b""
    probe: bytes = b'{"status": {"userInfo": {"username": "u"}, "allowed": true}}'

    def csr(self, name: str) -> tuple[bytes, bytes, bytes]:
        """Returns a CSR's JSON in three parts, of which the second one is the same each time."""
        costly = {self.field: "VALUE"} if self.field else {}
        document = {
            "kind": "CertificateSigningRequest",
            "metadata": {
                "name": name,
                "uid": name.rpartition(":")[2],
                "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                **(costly if self.field == "managedFields" else {}),
            },
            "spec": {
                "signerName": SIGNER_NAME,
                "request": "",
                "username": "u",
                **(costly if self.field == "usages" else {}),
            },
            "status": costly if self.field == "conditions" else {},
        }
        before, _, after = json.dumps(document).encode().partition(b'"VALUE"')
        return before, self.value, after


def _list(element: bytes, size: int = _SIZE) -> bytes:
    return b"[" + b",".join([element] * (size // (len(element) + 1))) + b"]"


COSTLY: Final[dict[str, Callable[[], Answers]]] = {
    "probes": lambda: Answers(status=500, probe=_list(b"[]")),
    "conditions": lambda: Answers(field="conditions", value=_list(b'{"type":"a"}')),
    "usages": lambda: Answers(
        field="usages", value=b"[" + b",".join(b'"%d"' % each for each in range(10**6, 10**6 + _SIZE // 10)) + b"]"
    ),
    "lists that are dropped": lambda: Answers(field="managedFields", value=_list(b"[]")),
    "small lists that are dropped": lambda: Answers(field="managedFields", value=_list(b"[]", _SMALL_SIZE)),
    "a text of four bytes a character": lambda: Answers(
        field="managedFields", value=b'"' + b"x" * _SIZE + "\U0001f511".encode() + b'"'
    ),
}
"""Makes answers, by what they cost: time on the event loop, memory, or CPU."""


def post_event(url: str, source: str, name: str, uid: str, *, seconds: float) -> urllib3.BaseHTTPResponse:
    """Sends the event of a CSR to the function; returns the answer."""
    event = {
        "specversion": "1.0",
        "type": "dev.csrsigner.certificatesigningrequest.actionable.v1",
        "source": source,
        "subject": name,
        "id": f"{uid}/pending",
        "datacontenttype": "application/json",
        "data": {"name": name, "uid": uid},
    }
    headers = {"Content-Type": "application/cloudevents+json"}
    with urllib3.PoolManager(retries=False) as pool:
        return pool.request("POST", url, body=json.dumps(event), headers=headers, timeout=seconds)


class HostileApiServer:
    """Counts the requests that it gets; start it as a context manager.

    Attributes:
        kubeconfig: The function's file.
    """

    def __init__(self, directory: Path, answers: Answers | None = None) -> None:
        """Binds the port and writes the files.

        Args:
            directory: The folder for its files.
            answers: What it answers; None: each request waits until the server stops.
        """
        authority = Authority.create("hostile")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("hostile", addresses=[_LOOPBACK], server=True).write(directory, "tls"))
        self._server = _Server(context, answers)
        self._thread = threading.Thread(target=self._server.serve_forever, name="hostile", daemon=True)
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
        """Waits until the server has got this number of requests since its start; returns how many it has got."""
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

    def __init__(self, context: ssl.SSLContext, answers: Answers | None) -> None:
        super().__init__((_LOOPBACK, 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.answers = answers
        self.came = threading.Condition()
        self.over = threading.Event()
        self.requests = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores a client that has given up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        with server.came:
            server.requests += 1
            server.came.notify_all()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answers = server.answers
        if answers is None:
            server.over.wait()
            self.close_connection = True
        elif self.command == "POST":
            self._send(_OK, answers.probe)
        else:
            name = self.path.split("/")[5].replace("%3A", ":")
            self._send(answers.status, *answers.csr(name))

    do_POST = do_PATCH = do_GET  # noqa: N815 - the library's names

    def _send(self, status: int, *parts: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Says nothing."""
