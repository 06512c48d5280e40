"""JSON as the API server sends it: documents, and a stream of them, one per line.

The stream is cut into lines however it was cut into chunks, and never more than a limit of it is kept.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeVar

from csr_exporter.csr import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

# Levels that are kept of what is nested too deeply to be read whole; what is needed of a list or an event is on the
# first eight.
_DEEPEST = 32
# Texts, so that brackets in them are none, and brackets. Possessive: one step back for each byte of a text of megabytes
# would take hundreds of times its size.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


class LineSplitter:
    """Lines of JSON. A line longer than `limit` bytes is dropped whole and counted in `dropped`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self.dropped = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Takes the next bytes and gives the lines that they complete, without line ends, empty ones left out."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._add(end)
            line = self._take()
            if line:
                yield line
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _take(self) -> bytes:
        line = b"".join(self._parts).strip()
        if self._size > self._limit:
            self.dropped += 1
        self._parts.clear()
        self._size = 0
        return line


def parse_object(data: bytes) -> dict[str, object]:
    """Reads a JSON object; where it is nested too deeply to be read, without what is deepest.

    Whoever may create a CSR may nest its `metadata.managedFields` almost 10,000 levels deep (tried on kube-apiserver
    1.37), and it stands in a list among all others.

    Raises:
        MalformedError: it is none.
    """
    try:
        document = _parse(data)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{len(data)} bytes that are not JSON") from error
    if not isinstance(document, dict):
        raise MalformedError(f"JSON {type(document).__name__}, allowed is an object")
    return document


def parse_list(data: bytes, read: Callable[[object], T]) -> dict[str, object]:
    """Reads a JSON object as `parse_object` does, but `items` one at a time: what `read` makes of each is kept.

    Objects take several times the memory of their text, and a list of the API server has hundreds.

    Raises:
        MalformedError: it is no object.
    """
    try:
        try:
            return _members(data.decode("utf-8", "surrogatepass"), read)
        except RecursionError:
            return _members(_cut(data).decode("utf-8", "surrogatepass"), read)
    except (ValueError, IndexError, RecursionError) as error:
        raise MalformedError(f"{len(data)} bytes that are not a JSON object") from error


def _members(text: str, read: Callable[[object], T]) -> dict[str, object]:
    members: dict[str, object] = {}
    position = _after(text, 0, "{")
    while text[position] != "}":
        if text[position] != '"':
            raise ValueError(f"got {text[position]!r}, allowed is a text")
        key, position = _decode(text, position)
        position = _after(text, position, ":")
        if key == "items" and text[position] == "[":
            members[key], position = _elements(text, position, read)
        else:
            members[key], position = _decode(text, position)
        position = _next(text, position, "}")
    if _space(text, position + 1) != len(text):
        raise ValueError("something follows the object")
    return members


def _elements(text: str, position: int, read: Callable[[object], T]) -> tuple[list[T], int]:
    """What `read` makes of the elements of the list at `position`, and where it ends."""
    elements: list[T] = []
    position = _after(text, position, "[")
    while text[position] != "]":
        element, position = _decode(text, position)
        elements.append(read(element))
        position = _next(text, position, "]")
    return elements, position + 1


def _next(text: str, position: int, end: str) -> int:
    """Where the next member or element starts, or the place of `end`."""
    position = _space(text, position)
    if text[position] == end:
        return position
    position = _after(text, position, ",")
    if text[position] == end:
        raise ValueError("nothing follows a comma")
    return position


def _after(text: str, position: int, sign: str) -> int:
    position = _space(text, position)
    if text[position] != sign:
        raise ValueError(f"got {text[position]!r}, allowed is {sign!r}")
    return _space(text, position + 1)


def _space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return position if match is None else match.end()


def _parse(data: bytes) -> object:
    try:
        return json.loads(data)
    except RecursionError:
        return json.loads(_cut(data))


def _cut(data: bytes) -> bytes:
    """The document with null in place of whatever is deeper than `_DEEPEST`."""
    kept, depth, start = bytearray(), 0, 0
    for token in _TOKEN.finditer(data):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth == _DEEPEST + 1:
                kept += data[start : token.start()] + b"null"
                start = len(data)  # where it never ends, nothing follows
        elif token[0] in (b"]", b"}"):
            if depth == _DEEPEST + 1:
                start = token.end()
            depth -= 1
    return bytes(kept + data[start:])
