"""JSON of the API server, read as it arrives: only the fields that a mask names are kept.

A requester may fill a CSR with what etcd stores, 1.5 MB, and a list shows that to every client. As Python values
`metadata.managedFields` of this size take 45 MB, and nested as deeply as kube-apiserver takes them (9,995 levels, tried
on 1.37) `json` cannot read them at all. So what the mask does not name is checked to be JSON and dropped.
"""

import codecs
from collections.abc import Generator, Iterator
from typing import Any

from ijson.backends import yajl2_c
from ijson.common import JSONError

from csr_exporter.csr import MalformedError, Mask


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


_LEVELS = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
# A text that begins in one block and ends in another is looked at from its beginning in each: 9 MB in blocks of 16 KiB,
# as TLS has them, took 17 s. A page of several CSRs is no larger than a block.
_BLOCK = 2 << 20
# Decoded, a single character outside the BMP makes every other as large as itself.
_PIECE = 1 << 16


class FieldReader:
    """Reads one document.

    Attributes:
        kept: What is read so far, as the only element.
        size: How many bytes were read.
    """

    def __init__(self, mask: Mask) -> None:
        self.kept: list[object] = []
        self.size = 0
        target = _keep(mask, self.kept)
        next(target)
        # Without use_float, ijson 3.6 hands out an invalid object for an integer of 4,301 digits.
        self._parser = yajl2_c.basic_parse_coro(target, use_float=True)
        # A client may write bytes into managedFields that are no UTF-8, and kube-apiserver shows them as they are. Each
        # becomes a question mark: U+FFFD would be three times as large.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self._block = bytearray()

    def feed(self, data: bytes) -> None:
        """Takes what comes next; `kept` may lag behind.

        Raises:
            MalformedError: This is no JSON.
        """
        self.size += len(data)
        for start in range(0, len(data), _PIECE):
            self._add(self._decoder.decode(data[start : start + _PIECE]))
            if len(self._block) >= _BLOCK:
                self._parse()

    def end(self) -> dict[str, object]:
        """Returns the document.

        Raises:
            MalformedError: It is no object, or it is not complete.
        """
        self._add(self._decoder.decode(b"", final=True))
        self._parse()
        try:
            self._parser.close()
        except JSONError as error:
            raise self._malformed() from error
        (document,) = self.kept
        if not isinstance(document, dict):
            raise MalformedError(f"JSON {type(document).__name__}, allowed is an object")
        return document

    def _add(self, text: str) -> None:
        self._block += text.encode(errors="replace")

    def _parse(self) -> None:
        if not self._block:  # it would end the document
            return
        try:
            self._parser.send(self._block)
        except (JSONError, UnicodeDecodeError) as error:  # the latter for an escaped surrogate
            raise self._malformed() from error
        self._block.clear()

    def _malformed(self) -> MalformedError:
        return MalformedError(f"{self.size} bytes that are not JSON")


def parse_object(data: bytes, mask: Mask) -> dict[str, object]:
    """Reads an object.

    Raises:
        MalformedError: It is none.
    """
    reader = FieldReader(mask)
    reader.feed(data)
    return reader.end()


def _keep(mask: Mask, kept: list[object]) -> Generator[None, tuple[str, object], None]:
    """Appends to `kept` what the mask names of a document whose parser events are sent; the last of two equal keys."""
    container, inside = kept, [mask]  # type: Any, Any
    outer: list[tuple[Any, Any]] = []
    key: object = None
    dropped = 0  # levels that are open in what is dropped
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
