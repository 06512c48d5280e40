"""JSON of the API server, read as it arrives. The exporter keeps only the fields that a mask names.

Attack: a requester fills a CSR with 1.5 MB, as much as etcd stores, and the list shows it to the exporter. As Python
values, `metadata.managedFields` of this size take 45 MB. Nested as deeply as kube-apiserver allows (9,995 levels in
1.37), `json` cannot read them at all. So the reader checks that the other fields are JSON, and drops them.
"""

import codecs
from collections.abc import Generator, Iterator
from typing import Any

# ijson's default falls back to a parser in Python, which is eight times as slow.
from ijson.backends import yajl2_c
from ijson.common import JSONError

from csr_exporter.csr import MalformedError, Mask


class LineSplitter:
    """Splits a stream into lines. It drops a line longer than `limit` bytes, and counts it in `dropped`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self.dropped = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Takes the next bytes, and yields the lines that they complete, without line ends and empty lines."""
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


_LEVELS = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
# yajl reads a string that spans blocks from its beginning in each block: 9 MB in TLS' blocks of 16 KiB took 17 s. A
# page of several CSRs is no larger than a block.
_BLOCK = 2 << 20
# A character outside the BMP makes every other character of its Python string four bytes long, so that strings are
# short.
_PIECE = 1 << 16


class FieldReader:
    """Reads one document.

    Attributes:
        kept: the fields that arrived so far, in one element.
        size: bytes.
    """

    def __init__(self, mask: Mask) -> None:
        self.kept: list[object] = []
        self.size = 0
        target = _keep(mask, self.kept)
        next(target)
        # Without use_float, ijson 3.6 yields an invalid object for an integer of 4,301 digits.
        self._parser = yajl2_c.basic_parse_coro(target, use_float=True)
        # managedFields may contain bytes that are not UTF-8. Each becomes a question mark; U+FFFD is three bytes long.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self._block = bytearray()

    def feed(self, data: bytes) -> None:
        """Takes the next bytes; `kept` may lag behind.

        Raises:
            MalformedError: they are no JSON.
        """
        self.size += len(data)
        for start in range(0, len(data), _PIECE):
            self._add(self._decoder.decode(data[start : start + _PIECE]))
            if len(self._block) >= _BLOCK:
                self._parse()

    def end(self) -> dict[str, object]:
        """Returns the document.

        Raises:
            MalformedError: it is no object, or not complete.
        """
        self._add(self._decoder.decode(b"", final=True))
        self._parse()
        try:
            self._parser.close()
        except JSONError as error:
            raise self._malformed() from error
        (document,) = self.kept
        if not isinstance(document, dict):
            raise MalformedError(f"the document: Invalid value: {type(document).__name__}: must be an object")
        return document

    def _add(self, text: str) -> None:
        self._block += text.encode(errors="replace")

    def _parse(self) -> None:
        if not self._block:  # an empty block ends the document
            return
        try:
            self._parser.send(self._block)
        except (JSONError, UnicodeDecodeError) as error:  # UnicodeDecodeError: an escaped surrogate
            raise self._malformed() from error
        self._block.clear()

    def _malformed(self) -> MalformedError:
        return MalformedError(f"{self.size} bytes that are not JSON")


def parse_object(data: bytes, mask: Mask) -> dict[str, object]:
    """Reads an object.

    Raises:
        MalformedError: it is none.
    """
    reader = FieldReader(mask)
    reader.feed(data)
    return reader.end()


def _keep(mask: Mask, kept: list[object]) -> Generator[None, tuple[str, object], None]:
    """Receives the parser's events of a document, and appends to `kept` the fields that the mask names."""
    container, inside = kept, [mask]  # type: Any, Any
    outer: list[tuple[Any, Any]] = []
    key: object = None
    dropped = 0  # open levels inside a dropped value
    while True:
        event, value = yield
        level = _LEVELS.get(event, 0)
        if dropped:
            dropped += level
        elif event == "map_key":
            key = value
        elif level < 0:
            container, inside = outer.pop()
        elif isinstance(inside, dict) and key not in inside:
            dropped = level
        else:
            if level:
                value = {} if event == "start_map" else []
            if isinstance(inside, list):
                (wanted,) = inside
                container.append(value)
            else:
                wanted = inside[key]
                container[key] = value
            if level and type(value) is type(wanted):
                outer.append((container, inside))
                container, inside = value, wanted
            else:
                dropped = level
