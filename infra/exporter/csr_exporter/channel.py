"""One connection of a page server, with or without TLS, as an event loop reads and writes it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

_LARGEST_PIECE = 8 << 10

_Result = TypeVar("_Result")


class Channel:
    """What a client sends and gets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        self._loop = loop
        self._connection = connection

    async def receive(self) -> bytes:
        """Returns the next bytes.

        Raises:
            EOFError: the client sends no more.
        """
        await asyncio.sleep(0)  # lets other clients go on: `sock_recv` does not wait if a client always sends
        received = await self._loop.sock_recv(self._connection, _LARGEST_PIECE)
        if not received:
            raise EOFError
        return received

    async def send(self, content: bytes) -> None:
        """Sends everything."""
        await self._loop.sock_sendall(self._connection, content)


class TlsChannel(Channel):
    """The same in TLS. asyncio's own TLS takes 256 KiB per connection, and frees them late."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, context: ssl.SSLContext, received: bytes
    ) -> None:
        super().__init__(loop, connection)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(received)

    async def shake_hands(self) -> None:
        """Does the server's part of the handshake."""
        await self._carry(self._tls.do_handshake)

    async def receive(self) -> bytes:
        """Returns the next bytes, decrypted."""
        received = await self._carry(lambda: self._tls.read(_LARGEST_PIECE))
        if not received:
            raise EOFError
        return received

    async def send(self, content: bytes) -> None:
        """Encrypts and sends everything."""
        while content:
            sent = await self._carry(partial(self._tls.write, content))
            content = content[sent:]

    async def _carry(self, call: Callable[[], _Result]) -> _Result:
        """Calls TLS until it has the bytes that it needs, and sends those that it makes."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                pass
            finally:
                await super().send(self._outgoing.read())
            self._incoming.write(await super().receive())
