"""One client connection: HTTP/1.1 with keep-alive, requests in and answers out."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request.

    Attributes:
        target: path and query, as sent.
        headers: by lower-case name.
        certificate: the client's, DER, verified by TLS.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    certificate: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """One answer; `serve` sends the chunks of an iterator as they come, without a length."""

    code: int = 200
    media_type: str = "application/json"
    body: bytes | AsyncIterator[bytes]


_BAD_REQUEST = HttpAnswer(code=400, media_type="text/plain", body=b"400 Bad Request")


def _phrase(code: int) -> bytes:
    return HTTPStatus(code).phrase.encode()


class Connection:
    """One connection; `serve` serves it until it ends."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[HttpRequest], HttpAnswer],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._http = h11.Connection(h11.SERVER)
        tls = writer.get_extra_info("ssl_object")
        self._certificate: bytes | None = tls.getpeercert(binary_form=True)

    async def serve(self) -> None:
        """Answers request after request; returns when the client has gone or has sent something that is not HTTP."""
        try:
            while (request := await self._next()) is not None:
                await self._send(self._answer(request))
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError:
            with contextlib.suppress(h11.LocalProtocolError):
                await self._send(_BAD_REQUEST)

    async def _next(self) -> HttpRequest | None:
        head, body = None, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return HttpRequest(
                    method=head.method.decode(),
                    target=head.target.decode("latin-1"),
                    headers={name.decode(): value.decode("latin-1") for name, value in head.headers},
                    body=bytes(body),
                    certificate=self._certificate,
                )
            else:
                return None

    async def _send(self, answer: HttpAnswer) -> None:
        headers = [("Content-Type", answer.media_type), ("Cache-Control", "no-cache, private")]
        if isinstance(answer.body, bytes):
            headers.append(("Content-Length", str(len(answer.body))))
            response = h11.Response(status_code=answer.code, headers=headers, reason=_phrase(answer.code))
            content = h11.Data(data=answer.body)
            parts = [self._http.send(event) for event in (response, content, h11.EndOfMessage())]
            # In one piece: one TLS record, one packet.
            self._writer.write(b"".join(part for part in parts if part))
        else:
            headers.append(("Transfer-Encoding", "chunked"))
            self._write(h11.Response(status_code=answer.code, headers=headers, reason=_phrase(answer.code)))
            await self._stream(answer.body)
            self._write(h11.EndOfMessage())
        await self._writer.drain()

    async def _stream(self, chunks: AsyncIterator[bytes]) -> None:
        """Sends the chunks until they end; whatever the client sends meanwhile, its end included, ends the stream."""
        sending = asyncio.ensure_future(self._send_chunks(chunks))
        listening = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ConnectionResetError("the client is gone")
            await sending
        finally:
            for task in (sending, listening):
                task.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)

    async def _send_chunks(self, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            self._write(h11.Data(data=chunk))
            await self._writer.drain()

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
