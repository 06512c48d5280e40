"""One client connection: HTTP/1.1 with keep-alive, requests in and answers out."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from sandbox.kubernetes import status
from sandbox.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

_READ_BYTES = 1 << 16
_BODY_BYTES = 3 << 20  # as kube-apiserver's limit


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, as it came.

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
    """One answer; a body that is an iterator is sent as it comes, without a length."""

    code: int = 200
    media_type: str = "application/json"
    body: bytes | AsyncIterator[bytes]


BAD_REQUEST = HttpAnswer(code=400, media_type="text/plain", body=b"400 Bad Request")


def refusal(error: status.StatusError) -> HttpAnswer:
    """A Status object as an answer."""
    return HttpAnswer(code=error.code, body=encode(error.body) + b"\n")


def _phrase(code: int) -> bytes:
    return HTTPStatus(code).phrase.encode()


class Connection:
    """Serves one connection until it ends."""

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
        """Answer request after request; returns when the client is gone or has sent what is no HTTP."""
        try:
            while (request := await self._next()) is not None:
                too_large = len(request.body) > _BODY_BYTES
                answer = refusal(status.body_too_large(_BODY_BYTES)) if too_large else self._answer(request)
                await self._send(answer, bodiless=request.method == "HEAD")
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError:
            with contextlib.suppress(h11.LocalProtocolError):
                await self._send(BAD_REQUEST)

    async def _next(self) -> HttpRequest | None:
        head, body = None, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                # One byte too many shows that it is too large; the rest is read and dropped.
                body += event.data[: _BODY_BYTES + 1 - len(body)]
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

    async def _send(self, answer: HttpAnswer, *, bodiless: bool = False) -> None:
        headers = [("Content-Type", answer.media_type), ("Cache-Control", "no-cache, private")]
        if isinstance(answer.body, bytes):
            headers.append(("Content-Length", str(len(answer.body))))
            response = h11.Response(status_code=answer.code, headers=headers, reason=_phrase(answer.code))
            content = h11.Data(data=b"" if bodiless else answer.body)
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
        """Send what comes, until it ends or the client does: whatever it sends now ends the stream."""
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
