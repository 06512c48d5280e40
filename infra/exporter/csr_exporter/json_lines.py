"""A stream of JSON documents, one per line, as the API server sends a watch.

It is cut into lines however it was cut into chunks, and never more than a limit of it is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


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
