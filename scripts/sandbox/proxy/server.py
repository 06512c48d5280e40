"""The proxy: a port, its connections, and the faults that they get. An event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Self, TypeVar

from sandbox.proxy.faults import Fault, HttpFault
from sandbox.proxy.relay import Relay
from sandbox.proxy.tally import Counts, Tally

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOOPBACK = "127.0.0.1"
_BACKLOG = 256
_SECONDS = 10.0
# Linux shares a port with a socket that does not listen, and with no other; elsewhere both must ask for sharing.
_SHARING = (socket.SO_REUSEADDR,) if sys.platform == "linux" else (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
_T = TypeVar("_T")


class FaultProxy:
    """Stands in front of a TCP server on a port of its own; every method may be called from any thread.

    Whatever changes a fault returns when the change is in force. Faults are set while it runs.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, upstream: str, *, port: int = 0, http: bool = False) -> None:
        """Nothing is opened yet.

        Args:
            upstream: HOST:PORT of the server.
            port: On 127.0.0.1; 0 for any free one.
            http: The server speaks plain HTTP: requests are told apart, and `add_http` has an effect.

        Raises:
            ValueError: `upstream` is something else.
        """
        host, _, digits = upstream.rpartition(":")
        if not host or not digits.isdecimal():
            raise ValueError(f"upstream must be HOST:PORT, got {upstream!r}")
        self._upstream = host, int(digits)
        self._port = port
        self._http = http
        self._tally = Tally()
        self._fault = Fault()
        self._next: deque[Fault] = deque()
        self._requests: deque[tuple[HttpFault, int]] = deque()
        self._relays: dict[int, Relay] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._placeholder: socket.socket | None = None
        self._listener: socket.socket | None = None

    def start(self) -> Self:
        """Accept connections from now on.

        Raises:
            OSError: The port is taken.
        """
        # A bound socket that does not listen keeps the port while the proxy refuses connections.
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
        """Close the port and all connections; harmless when called again."""
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
        """HOST:PORT of the proxy, once it is started."""
        return f"{_LOOPBACK}:{self._port}"

    @property
    def counts(self) -> Counts:
        """What was seen and done so far."""
        return self._tally.counts

    def wait(self, condition: Callable[[Counts], bool], timeout: float = _SECONDS) -> bool:
        """Wait until the counts fulfil a condition; return whether they did within `timeout` seconds."""
        return self._tally.wait(condition, timeout)

    @property
    def connections(self) -> tuple[int, ...]:
        """Numbers of the open connections, counted from 1 in the order of their beginning."""
        return self._call(lambda: tuple(self._relays))

    def set(self, fault: Fault, *, only: Collection[int] | None = None) -> None:
        """Treat connections like this: all that are open and all that come, or only those with these numbers."""

        def change() -> None:
            if only is None:
                self._fault = fault
            for number, relay in self._relays.items():
                if only is None or number in only:
                    relay.set(fault)

        self._call(change)

    def add(self, fault: Fault, *, times: int = 1) -> None:
        """Treat so many of the next new connections like this."""
        self._call(lambda: self._next.extend([fault] * times))

    def add_http(self, fault: HttpFault, *, times: int = 1) -> None:
        """Treat so many of the next requests like this, after those of earlier calls; 0 for all until `clear`.

        Raises:
            ValueError: The proxy does not speak HTTP.
        """
        if not self._http:
            raise ValueError("faults of HTTP need a proxy with http=True")
        self._call(lambda: self._requests.append((fault, times)))

    def refuse(self) -> None:
        """Refuse new connections as a server does that is not there; open ones go on."""
        self._call(self._refuse)

    def clear(self) -> None:
        """Take all faults away, those of open connections too, and accept new ones again."""

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
            return  # the client has gone already
        client.settimeout(0)
        self._tally.add(connections=1)
        number = self._tally.counts.connections
        fault = self._next.popleft() if self._next else self._fault
        if fault.close:
            client.close()
            self._tally.add(closed=1)
            return
        relay = Relay(self._upstream, fault=fault, tally=self._tally, take=self._take if self._http else None)
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
        """Call a function in the loop's thread."""

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
