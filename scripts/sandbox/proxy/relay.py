"""One client's connection and its connections to the server, with a fault that can change at any time."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.proxy.messages import Message, MessageError, compose, read_answer, read_request

if TYPE_CHECKING:
    from sandbox.proxy.counters import Counters
    from sandbox.proxy.faults import Direction, Fault, HttpFault

_PIECE = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds, so that close sends a reset


class _Ending(enum.Enum):
    CLOSE = "close"
    RESET = "reset"
    TRUNCATE = "truncate"
    STOP = "stop"


class _OverError(Exception):
    """The connection must end; no more data is forwarded."""


class Relay:
    """Forwards data until both sides end, a fault cuts, or `stop`; closes its connections.

    Args:
        upstream: Host and port of the server.
        fault: The initial fault.
        counters: The counts.
        take: Returns the fault of the next HTTP request; None to forward bytes without parsing HTTP.
    """

    def __init__(
        self, upstream: tuple[str, int], *, fault: Fault, counters: Counters, take: Callable[[], HttpFault] | None
    ) -> None:
        self._upstream = upstream
        self._fault = fault
        self._counters = counters
        self._take = take
        self._spent: dict[Direction, int] = {"up": 0, "down": 0}
        self._changed = asyncio.Event()
        self._ending: asyncio.Future[_Ending] = asyncio.get_running_loop().create_future()
        self._writers: list[asyncio.StreamWriter] = []

    def set(self, fault: Fault) -> None:
        """Sets the connection's fault."""
        self._fault = fault
        self._spent = {"up": 0, "down": 0}
        self._changed.set()
        self._changed = asyncio.Event()
        self._decide()

    def stop(self) -> None:
        """Resets both sides now. Unlike a cancellation, this cannot interrupt the cleanup."""
        self._finish(_Ending.STOP)
        self._abort(reset=True)

    async def run(self, client: socket.socket) -> None:
        """Serves an accepted connection to its end; callers must not cancel it."""
        reader, writer = await self._opened(sock=client)
        work = asyncio.create_task(self._work(reader, writer))
        ending = _Ending.RESET
        try:
            self._decide()
            await asyncio.wait({work, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.done():
                ending = self._ending.result()
                work.cancel()
                await asyncio.wait({work})
                await self._end(ending, reader, writer)
            else:
                ending = work.result()
        finally:
            await self._close(reset=ending in {_Ending.RESET, _Ending.STOP})

    async def _work(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Ending:
        """Forwards data; an error on one side resets the other, as without the proxy."""
        ending = _Ending.CLOSE
        try:
            async with asyncio.TaskGroup() as group:
                if self._take is None:
                    upstream_reader, upstream_writer = await self._connected()
                    group.create_task(self._pump("up", reader, upstream_writer))
                    group.create_task(self._pump("down", upstream_reader, writer))
                else:
                    await self._serve(self._take, reader, writer)
        except* (OSError, EOFError, MessageError, _OverError):
            ending = _Ending.RESET
        return ending

    async def _pump(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            await self._forward(direction, piece, writer)
        await self._passable(direction)
        writer.write_eof()

    async def _serve(
        self, take: Callable[[], HttpFault], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (request := await read_request(reader)) is not None:
            self._counters.add(requests=1)
            answer = await self._answer(request, take())
            await self._forward("down", answer.data, writer)
            if request.closes or answer.closes:
                return

    async def _answer(self, request: Message, fault: HttpFault) -> Message:
        if fault.status is not None:
            self._counters.add(answered=1)
            return compose(fault, fault.status)
        answers: list[Message] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(2 if fault.duplicate else 1):
                group.create_task(self._exchange(request, answers))
        if fault.duplicate:
            self._counters.add(duplicated=1)
        if fault.lose_answer:
            self._counters.add(lost=1)
            self._finish(_Ending.RESET)
            raise _OverError
        return answers[-1]

    async def _exchange(self, request: Message, answers: list[Message]) -> None:
        """Sends a request on a new connection: the server could close a kept connection just before its next use."""
        reader, writer = await self._connected()
        await self._forward("up", request.data, writer)
        answers.append(await read_answer(reader, request))
        self._writers.remove(writer)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _forward(self, direction: Direction, data: bytes, writer: asyncio.StreamWriter) -> None:
        while data:
            await asyncio.sleep(self._fault.delay(direction))
            if self._fault.holds(direction):
                self._counters.add(held=1)
                await self._passable(direction)
            if self._ending.done():
                raise _OverError
            part = data[: self._fault.room(direction, self._spent[direction])]
            writer.write(part)
            await writer.drain()
            self._spent[direction] += len(part)
            self._counters.add(**{f"bytes_{direction}": len(part)})
            data = data[len(part) :]
            self._decide()

    async def _passable(self, direction: Direction) -> None:
        while self._fault.holds(direction):
            await self._changed.wait()

    def _decide(self) -> None:
        """Ends the connection if it reaches its fault's limit."""
        if self._fault.resets(up=self._spent["up"], down=self._spent["down"]):
            self._finish(_Ending.RESET)
        elif self._fault.truncates(down=self._spent["down"]):
            self._finish(_Ending.TRUNCATE)

    def _finish(self, ending: _Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)

    async def _end(self, ending: _Ending, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ends the connection as the fault demands, then counts it."""
        if ending is _Ending.RESET:
            await self._close(reset=True)
            self._counters.add(resets=1)
        if ending is not _Ending.TRUNCATE:
            return
        for other in self._writers[1:]:
            other.transport.abort()
        with contextlib.suppress(OSError):
            writer.write_eof()
            self._counters.add(truncated=1)
            # Reads the client's remaining bytes, because closing with unread bytes would reset the connection.
            while await reader.read(_PIECE):
                pass

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._upstream
        return await self._opened(host=host, port=port)

    async def _opened(
        self, *, host: str | None = None, port: int | None = None, sock: socket.socket | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host=host, port=port, sock=sock)
        writer.transport.set_write_buffer_limits(high=0)  # `drain` returns when the kernel has all bytes
        self._writers.append(writer)
        return reader, writer

    def _abort(self, *, reset: bool) -> None:
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            if reset and connection is not None:
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def _close(self, *, reset: bool) -> None:
        self._abort(reset=reset)
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()
