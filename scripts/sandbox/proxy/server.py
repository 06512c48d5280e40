"""The proxy: a port, its connections and their faults. Its event loop has its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Self, TypeVar

from sandbox.proxy.counters import Counters, Counts
from sandbox.proxy.faults import Fault, HttpFault
from sandbox.proxy.relay import Relay

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOOPBACK = "127.0.0.1"
_BACKLOG = 256
_SECONDS = 60.0
# Linux shares a port only with a socket that does not listen; on other systems, both sockets must request sharing.
_SHARING = (socket.SO_REUSEADDR,) if sys.platform == "linux" else (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
_T = TypeVar("_T")


class FaultProxy:
    """A proxy in front of a TCP server; all methods are thread-safe.

    Methods that change faults return when the change is effective. Set faults only while the proxy runs.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, upstream: str, *, port: int = 0, http: bool = False) -> None:
        """Prepares a proxy, without opening a port.

        Args:
            upstream: HOST:PORT of the server.
            port: Port on 127.0.0.1; 0 for any free port.
            http: Whether the server speaks plain HTTP; `add_http` requires it.

        Raises:
            ValueError: `upstream` is malformed.
        """
        host, _, digits = upstream.rpartition(":")
        if not host or not digits.isdecimal():
            raise ValueError(f"upstream must be HOST:PORT, got {upstream!r}")
        self._upstream = host, int(digits)
        self._port = port
        self._http = http
        self._counters = Counters()
        self._fault = Fault()
        self._next: deque[Fault] = deque()
        self._requests: deque[tuple[HttpFault, int]] = deque()
        self._relays: dict[int, Relay] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._placeholder: socket.socket | None = None
        self._listener: socket.socket | None = None

    def start(self) -> Self:
        """Starts to accept connections.

        Raises:
            OSError: The port is in use.
        """
        # A bound socket that does not listen reserves the port while the proxy refuses connections.
        self._placeholder = _bound(self._port)
        self._port = self._placeholder.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        try:
            self._call(self._listen)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Closes the port and all connections; does nothing when called again."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self._call(self._refuse)
            self._result(asyncio.run_coroutine_threadsafe(self._end_connections(), self._loop))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()
            if self._placeholder is not None:
                self._placeholder.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Returns HOST:PORT of the started proxy."""
        return f"{_LOOPBACK}:{self._port}"

    @property
    def counts(self) -> Counts:
        """Returns the current counts."""
        return self._counters.counts

    def wait(self, condition: Callable[[Counts], bool], timeout: float = _SECONDS) -> bool:
        """Waits until the counts fulfil a condition; return whether they did within `timeout` seconds."""
        return self._counters.wait(condition, timeout)

    @property
    def connections(self) -> tuple[int, ...]:
        """Returns the numbers of the open connections, counted from 1 in opening order."""
        return self._call(lambda: tuple(self._relays))

    def set(self, fault: Fault, *, only: Collection[int] | None = None) -> None:
        """Sets the fault of all open and future connections, or only of the given numbers."""

        def change() -> None:
            if only is None:
                self._fault = fault
            for number, relay in self._relays.items():
                if only is None or number in only:
                    relay.set(fault)

        self._call(change)

    def add(self, fault: Fault, *, times: int = 1) -> None:
        """Sets the fault of the next new connections."""
        self._call(lambda: self._next.extend([fault] * times))

    def add_http(self, fault: HttpFault, *, times: int = 1) -> None:
        """Sets the fault of the next requests, after earlier calls' requests; 0 for all requests until `clear`.

        Raises:
            ValueError: The proxy does not speak HTTP.
        """
        if not self._http:
            raise ValueError("faults of HTTP need a proxy with http=True")
        self._call(lambda: self._requests.append((fault, times)))

    def refuse(self) -> None:
        """Refuses new connections, like a server that is down; open connections continue."""
        self._call(self._refuse)

    def clear(self) -> None:
        """Removes all faults, including those of open connections, and accepts new connections again."""

        def change() -> None:
            self._next.clear()
            self._requests.clear()
            self._listen()

        self._call(change)
        self.set(Fault())

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = _bound(self._port)
        listener.listen(_BACKLOG)
        self._listener = listener
        self._loop.add_reader(listener, self._accept, listener)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # the client has disconnected already
        client.settimeout(0)
        self._counters.add(connections=1)
        number = self._counters.counts.connections
        fault = self._next.popleft() if self._next else self._fault
        if fault.close:
            client.close()
            self._counters.add(closed=1)
            return
        relay = Relay(self._upstream, fault=fault, counters=self._counters, take=self._take if self._http else None)
        self._relays[number] = relay
        task = self._loop.create_task(relay.run(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._relays.pop(number))

    def _take(self) -> HttpFault:
        if not self._requests:
            return HttpFault()
        fault, times = self._requests[0]
        if times == 1:
            self._requests.popleft()
        elif times > 1:
            self._requests[0] = fault, times - 1
        return fault

    async def _end_connections(self) -> None:
        for relay in self._relays.values():
            relay.stop()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    def _call(self, function: Callable[[], _T]) -> _T:
        """Calls a function in the loop's thread."""

        async def call() -> _T:
            return function()

        return self._result(asyncio.run_coroutine_threadsafe(call(), self._loop))

    @staticmethod
    def _result(future: Future[_T]) -> _T:
        return future.result(_SECONDS)


def _bound(port: int) -> socket.socket:
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(socket.socket())
        bound.settimeout(0)
        for option in _SHARING:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((_LOOPBACK, port))
        stack.pop_all()
        return bound
