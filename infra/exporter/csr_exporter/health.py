"""/livez and /readyz for the kubelet, /metrics for Prometheus: by default on the node's loopback address only.

Alive means that the loops run. It does not depend on the function: a restart would not fix that. Ready means that the
exporter sees what happens in the cluster and can send it on. /debug/queue shows the work queue, on loopback only.

prometheus-client's own server has no probes, and a client that sends one byte at a time holds it.
"""

import io
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import cast

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from csr_exporter.clock import Clock
from csr_exporter.configuration import Health as Location
from csr_exporter.delivery import sender
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.delivery.misconfiguration import WRONG
from csr_exporter.document import LOOPBACK
from csr_exporter.identity import CachedToken
from csr_exporter.watch import client
from csr_exporter.watch.reflector import ReflectorStatus

# Three watches in a row without a byte, and twice the time of a delivery.
LONGEST_SILENCE = 3 * client.TIMEOUTS.read
LONGEST_DELIVERY = 2 * (sender.TIMEOUTS.connect + sender.TIMEOUTS.read)
LONGEST_WITHOUT_CONTACT = 120.0
# For a whole request, and for a whole response: there is one thread, and a probe gives up after about a second.
REQUEST_SECONDS = 0.5
_LARGEST_REQUEST = 8 << 10

Page = Callable[[], tuple[int, str, bytes]]
"""Returns HTTP status, content type and body."""


@dataclass(kw_only=True, eq=False)
class Health:
    """What the pages show: why the exporter is dead or unready, its metrics and its work queue."""

    reflectors: Sequence[ReflectorStatus]
    dispatcher: Dispatcher
    token: CachedToken | None
    clock: Clock
    registry: CollectorRegistry
    stopping: bool = False

    def dead(self) -> list[str]:
        """Returns why a new process should replace this one; empty if it is alive."""
        now = self.clock.now()
        reasons = [
            f"reflector {index}: no heartbeat for {now - each.beat:.0f} s"
            for index, each in enumerate(self.reflectors)
            if now - each.beat > LONGEST_SILENCE
        ]
        if self.dispatcher.oldest_sending > LONGEST_DELIVERY:
            reasons.append(f"a delivery takes {self.dispatcher.oldest_sending:.0f} s")
        return reasons

    def unready(self) -> list[str]:
        """Returns why the exporter cannot do its work now; empty if it is ready."""
        now = self.clock.now()
        reasons = ["stopping"] if self.stopping else []
        for index, each in enumerate(self.reflectors):
            if not each.listed:
                reasons.append(f"reflector {index}: no list yet")
            elif each.refused:
                reasons.append(f"reflector {index}: the API server refuses the list or the watch; check RBAC")
            elif each.contact is None or now - each.contact > LONGEST_WITHOUT_CONTACT:
                reasons.append(f"reflector {index}: no answer from the API server for {LONGEST_WITHOUT_CONTACT:.0f} s")
        if self.token is not None and not self.token.obtained:
            reasons.append("no ID token yet")
        return reasons

    def warnings(self) -> list[str]:
        """Returns what an operator must fix elsewhere. The exporter is ready all the same.

        All replicas see the same function. If they turned unready together, a rollout of the StatefulSet would stop and
        the PodDisruptionBudget would allow no disruption, while each replica does its work.
        """
        return [f"{signer_name}: {WRONG}" for signer_name in self.dispatcher.misconfigured]

    def metrics(self) -> bytes:
        """Returns the metrics as they are now, in Prometheus' text format."""
        self.dispatcher.update_gauges()
        return generate_latest(self.registry)


class HealthServer(socketserver.TCPServer):
    """Serves the pages from one thread, so that no client can make it start more, or hold it for long.

    Not http.server's server, which asks the DNS for its own name: the exporter starts before the DNS works.
    """

    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, location: Location, health: Health) -> None:
        """Binds the address.

        Raises:
            OSError: the address is in use, or not this machine's.
        """
        self.pages: dict[str, Page] = {
            "/livez": lambda: _verdict(health.dead()),
            "/readyz": lambda: _verdict(health.unready(), health.warnings()),
            "/metrics": lambda: (200, CONTENT_TYPE_PLAIN_0_0_4, health.metrics()),
        }
        if location.address in LOOPBACK:
            self.pages["/debug/queue"] = lambda: _json(200, health.dispatcher.snapshot())
        self.address_family = socket.AF_INET6 if ":" in location.address else socket.AF_INET
        super().__init__((location.address, location.port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True, name="health")

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

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores a probe that breaks off: it is not worth a traceback."""


def _verdict(reasons: list[str], warnings: Sequence[str] = ()) -> tuple[int, str, bytes]:
    return _json(503 if reasons else 200, {"ok": not reasons, "reasons": [*reasons, *warnings]})


def _json(status: int, document: object) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(document).encode() + b"\n"


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS  # of a whole response: sendall's
    server_version = "csr-exporter"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        # Whole, not line by line: a client that sends one byte at a time would hold the only thread.
        self.rfile = io.BytesIO(_head(self.connection))

    def do_GET(self) -> None:
        page = cast("HealthServer", self.server).pages.get(self.path)
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


def _head(connection: socket.socket) -> bytes:
    """Reads a request up to its empty line, within the time and the size that it may take."""
    head, deadline = b"", time.monotonic() + REQUEST_SECONDS
    while b"\r\n\r\n" not in head and len(head) < _LARGEST_REQUEST and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        chunk = connection.recv(_LARGEST_REQUEST)
        if not chunk:
            break
        head += chunk
    connection.settimeout(REQUEST_SECONDS)
    return head
