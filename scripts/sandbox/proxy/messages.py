"""Reads complete HTTP/1.1 messages, to forward them unchanged.

It only finds the end of a message (RFC 9112 §6.3), and whether its sender closes the connection. It does not support
clients that wait for `100 Continue`.
"""

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus

from sandbox.proxy.faults import HttpFault

_LARGEST = 32 << 20
_FIRST_FINAL = 200
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class MessageError(Exception):
    """The bytes are not HTTP, or too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request or an answer.

    Attributes:
        data: All its bytes.
        method: Method of a request; empty for an answer.
        closes: Whether it is the last message of its connection.
    """

    data: bytes
    method: str = ""
    closes: bool = False


async def read_request(reader: asyncio.StreamReader) -> Message | None:
    """Reads a request; None if the client has ended its connection.

    Raises:
        MessageError: The bytes are no request.
        asyncio.IncompleteReadError: The message is incomplete.
    """
    try:
        head = await _head(reader)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    method = head.split(b" ", 1)[0].decode("latin-1")
    body = await _body(reader, head, to_the_end=False)
    return Message(data=head + body, method=method, closes=_field(head, b"connection").lower() == b"close")


async def read_answer(reader: asyncio.StreamReader, request: Message) -> Message:
    """Reads the final answer to a request.

    Raises:
        MessageError: The bytes are no answer.
        asyncio.IncompleteReadError: The message is incomplete.
    """
    status = 0
    head = b""
    while status < _FIRST_FINAL:
        head = await _head(reader)
        status = _status(head)
    closes = _field(head, b"connection").lower() == b"close"
    if request.method == "HEAD" or status in _BODILESS:
        return Message(data=head, closes=closes)
    framed = bool(_field(head, b"content-length") or _field(head, b"transfer-encoding"))
    return Message(data=head + await _body(reader, head, to_the_end=not framed), closes=closes or not framed)


def compose(fault: HttpFault, status: int) -> Message:
    """Returns the answer of a fault."""
    reason = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "Fault"
    fields = [*fault.headers, ("Content-Length", str(len(fault.body)))]
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return Message(data="\r\n".join(lines).encode("latin-1") + fault.body)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise MessageError(f"no end of a message's head: {error}") from error


async def _body(reader: asyncio.StreamReader, head: bytes, *, to_the_end: bool) -> bytes:
    if to_the_end:
        return await reader.read()
    if _field(head, b"transfer-encoding").lower() == b"chunked":
        return await _chunks(reader)
    length = _field(head, b"content-length") or b"0"
    return await reader.readexactly(_size(length, 10))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = -1
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        size = _size(line.partition(b";")[0].strip(), 16)
        parts += [line, await reader.readexactly(size + 2) if size else await _trailer(reader)]
    return b"".join(parts)


async def _trailer(reader: asyncio.StreamReader) -> bytes:
    lines = [await reader.readuntil(b"\r\n")]
    while lines[-1] != b"\r\n":
        lines.append(await reader.readuntil(b"\r\n"))
    return b"".join(lines)


def _size(digits: bytes, base: int) -> int:
    try:
        size = int(digits, base)
    except ValueError:
        size = -1
    if not 0 <= size <= _LARGEST:
        raise MessageError(f"a message's length must be 0 to {_LARGEST}, got {digits!r}")
    return size


def _status(head: bytes) -> int:
    match = re.match(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]", head)
    if match is None:
        raise MessageError(f"not the head of an answer: {head[:80]!r}")
    return int(match[1])


def _field(head: bytes, name: bytes) -> bytes:
    """Returns a header field's value; empty if it is absent."""
    match = re.search(rb"^%s:[ \t]*(.*?)[ \t]*\r$" % re.escape(name), head, re.IGNORECASE | re.MULTILINE)
    return match[1] if match is not None else b""
