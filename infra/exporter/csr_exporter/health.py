"""/livez and /readyz for the kubelet, on the node's loopback address unless configured otherwise.

Alive means that the loops turn; it never depends on the function, since a restart would not mend that. Ready means that
what happens in the cluster is seen and can be sent on.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, cast

from csr_exporter import api_server, delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from csr_exporter.clock import Clock
    from csr_exporter.configuration import Health as Location
    from csr_exporter.dispatcher import Dispatcher
    from csr_exporter.identity import CachedToken
    from csr_exporter.reader import Vitals

# Three silent watches in a row, and two deliveries' time.
LONGEST_SILENCE = 3 * api_server.TIMEOUTS.read
LONGEST_DELIVERY = 2 * (delivery.TIMEOUTS.connect + delivery.TIMEOUTS.read)
LONGEST_WITHOUT_CONTACT = 120.0
_REQUEST_TIMEOUT = 1.0


class Health:
    """What is wrong, as far as a restart (`dead`) or waiting (`unready`) could mend it."""

    def __init__(
        self, *, readers: Sequence[Vitals], dispatcher: Dispatcher, token: CachedToken | None, clock: Clock
    ) -> None:
        self._readers = readers
        self._dispatcher = dispatcher
        self._token = token
        self._clock = clock
        self.stopping = False

    def dead(self) -> list[str]:
        """Why this process should be replaced; empty while it should not."""
        now = self._clock.now()
        reasons = [
            f"reader {index}: no sign of life for {now - each.beat:.0f} s"
            for index, each in enumerate(self._readers)
            if now - each.beat > LONGEST_SILENCE
        ]
        if self._dispatcher.oldest_sending > LONGEST_DELIVERY:
            reasons.append(f"a delivery takes {self._dispatcher.oldest_sending:.0f} s")
        return reasons

    def unready(self) -> list[str]:
        """Why nothing can be expected of this process now; empty when it is ready."""
        now = self._clock.now()
        reasons = ["stopping"] if self.stopping else []
        for index, each in enumerate(self._readers):
            if not each.listed:
                reasons.append(f"reader {index}: no list yet")
            elif each.refused:
                reasons.append(f"reader {index}: the API server refuses us")
            elif each.contact is None or now - each.contact > LONGEST_WITHOUT_CONTACT:
                reasons.append(f"reader {index}: no answer of the API server for {LONGEST_WITHOUT_CONTACT:.0f} s")
        if self._token is not None and not self._token.obtained:
            reasons.append("no ID token yet")
        return reasons


class HealthServer:
    """Serves the two pages from one thread, so that nobody can make it start more."""

    def __init__(self, location: Location, health: Health) -> None:
        """Binds the address.

        Raises:
            OSError: it is taken, or not this machine's.
        """
        self._server = _Server(location, {"/livez": health.dead, "/readyz": health.unready})
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="health")

    @property
    def address(self) -> str:
        """HOST:PORT as bound."""
        host, port = self._server.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Starts to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stops to serve and gives the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.TCPServer):
    """Not http.server's, which asks the DNS for its own name: the exporter starts before that works."""

    allow_reuse_address = True

    def __init__(self, location: Location, pages: dict[str, Callable[[], list[str]]]) -> None:
        self.address_family = socket.AF_INET6 if ":" in location.address else socket.AF_INET
        self.pages = pages
        super().__init__((location.address, location.port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A probe that breaks off is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_TIMEOUT
    server_version = "csr-exporter"
    sys_version = ""

    def do_GET(self) -> None:
        page = cast("_Server", self.server).pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        reasons = page()
        body = json.dumps({"ok": not reasons, "reasons": reasons}).encode() + b"\n"
        self.send_response(503 if reasons else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Probes are not worth a line."""
