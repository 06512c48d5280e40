"""An HTTP server of a few pages, with or without TLS; one thread with an event loop of its own.

Clients that hold connections open keep no other client out, however many connections they open, and no client can make
the server start a thread: the exporter's memory has a limit. prometheus-client's own server starts a thread per client
without a bound or a time-out, lets one idle TLS connection block all others, and never reads a renewed certificate.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from csr_exporter.channel import Channel, TlsChannel
from csr_exporter.log import Log

MAX_CONNECTIONS = 8
# For the TLS handshake, the request and the response of one connection. Prometheus gives up after ten seconds.
CONNECTION_SECONDS = 10.0
RETRY_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_LARGEST_REQUEST = 8 << 10

Page = Callable[[], tuple[int, str, bytes]]
"""Returns HTTP status, content type and body."""


class PageServer:
    """Serves pages by their path.

    It holds at most `MAX_CONNECTIONS`. At the limit, a new connection ends the oldest one of the client that has the
    most.

    If it cannot listen, it logs that and tries again: another program on the node's network can take the port, and the
    exporter must deliver all the same.

    Attributes:
        address: HOST:PORT as bound; as configured, while the server cannot listen.
        fault: Why the server cannot listen; empty if it can.
    """

    def __init__(
        self,
        section: str,
        address: str,
        port: int,
        pages: Mapping[str, Page],
        *,
        log: Log,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Tries to bind the address.

        Args:
            section: The section of the configuration document that has address and port.
            address: An IPv4 or IPv6 address; `::` is both.
            port: 0 is any free port.
            pages: What each path shows.
            log: Where the server reports that it cannot listen.
            tls: Makes the context of one connection; it may raise OSError. A shared context would keep TLS sessions:
                as many as clients want, and longer than their certificates are valid.
        """
        self.address = _host_and_port(address, port)
        self.fault = ""
        self._section = section
        self._where = address, port
        self._pages = pages
        self._log = log
        self._tls = tls
        self._clients: dict[asyncio.Task[None], str] = {}  # in the order of their arrival
        self._listener = self._listen()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._thread = threading.Thread(target=self._run, daemon=True, name=section)

    def start(self) -> None:
        """Starts serving."""
        self._loop = self._runner.get_loop()
        self._loop.set_exception_handler(self._log_fault)
        self._serving = self._loop.create_task(self._serve())
        self._thread.start()

    def stop(self) -> None:
        """Stops serving, and releases the port."""
        with contextlib.suppress(RuntimeError):  # its thread crashed
            self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()
        if self._listener is not None:
            self._listener.close()

    def _listen(self) -> socket.socket | None:
        """Tries to listen; logs a new fault, and its end."""
        is_ipv6 = ":" in self._where[0]
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        try:
            both = is_ipv6 and socket.has_dualstack_ipv6()
            listener = socket.create_server(self._where, family=family, dualstack_ipv6=both)
        except OSError as error:
            must = "must be a free port and an address of this machine"
            fault = f'{self._section}: Invalid value: "{self.address}": {must}: {error}'
            if fault != self.fault:
                self._log.error("the pages cannot be served", error=fault)
            self.fault = fault
            return None
        listener.settimeout(0)
        self.address = _host_and_port(*listener.getsockname()[:2])
        if self.fault:
            self._log.info("the pages are served", address=self.address)
        self.fault = ""
        return listener

    def _run(self) -> None:
        with self._runner, contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serving)

    def _log_fault(self, _: asyncio.AbstractEventLoop, fault: dict[str, Any]) -> None:
        # CPython's `sock_accept` raises this if a client comes while the server stops.
        if not isinstance(fault.get("exception"), asyncio.InvalidStateError):
            self._log.error("a page server's task failed", error=repr(fault.get("exception", fault["message"])))

    async def _serve(self) -> None:
        while self._listener is None:
            await asyncio.sleep(RETRY_SECONDS)
            self._listener = self._listen()
        while True:
            try:
                connection, client = await self._loop.sock_accept(self._listener)
            except OSError:  # the client is gone, or the process has no free descriptor
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._admit(self._loop.create_task(self._answer(connection)), client[0])
            await asyncio.sleep(0)  # lets the new client begin: `sock_accept` does not wait if more are there

    def _admit(self, conversation: asyncio.Task[None], host: str) -> None:
        self._clients[conversation] = host
        conversation.add_done_callback(lambda ended: self._clients.pop(ended, None))
        if len(self._clients) > MAX_CONNECTIONS:
            ((busiest, _),) = Counter(self._clients.values()).most_common(1)
            oldest = next(task for task, of in self._clients.items() if of == busiest)
            del self._clients[oldest]
            oldest.cancel()

    async def _answer(self, connection: socket.socket) -> None:
        """Answers one client, and closes its connection. It is no fault if a client breaks off or fails in TLS."""
        with connection, contextlib.suppress(OSError, EOFError):
            async with asyncio.timeout(CONNECTION_SECONDS):
                channel = Channel(self._loop, connection)
                head = await channel.receive()
                if self._tls is not None:  # an idle client costs no context
                    channel = TlsChannel(self._loop, connection, self._tls(), head)
                    await channel.shake_hands()
                    head = await channel.receive()
                while b"\r\n\r\n" not in head and len(head) <= _LARGEST_REQUEST:
                    head += await channel.receive()
                await channel.send(self._response(head))

    def _response(self, head: bytes) -> bytes:
        method, path, *_ = [*head.split(b"\r\n", 1)[0].decode("latin-1").split(" "), ""]
        page = self._pages.get(path)
        if method != "GET":
            status, content_type, content = 405, "text/plain", b"only GET\n"
        elif page is None:
            status, content_type, content = 404, "text/plain", b"no such page\n"
        else:
            try:
                status, content_type, content = page()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other pages are served
                self._log.error("a page failed", page=path, error=repr(error))
                status, content_type, content = 500, "text/plain", b"internal error\n"
        header = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        return header.encode() + content


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
