"""One page of a list of CSRs, as the API server answers it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from csr_exporter import csr
from csr_exporter.csr import MalformedError, Seen
from csr_exporter.json_lines import parse_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The beginning of a PartialObjectMetadataList of one CSR. Whoever makes that large, by its name say, cannot reach what
# stands before it, nor imitate what follows: the API server writes members in the order of its types, so that the first
# uid is the CSR's own, and it writes quotation marks in texts escaped.
_LIST = re.compile(
    rb'\{[^{}]*"metadata":\{"resourceVersion":"([^"\\]+)"(?:,"continue":"([^"\\]*)")?[^{}]*\},"items":\['
)
_LONGEST_LIST = 1 << 20
_UID = re.compile(rb'"uid":"([^"\\]{1,128})"')
_LONGEST_UID = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list; `version` is the whole list's, and where a watch continues.

    `malformed` items were not understood and `oversize` ones not read; both are missing in `seen`. `unread` has their
    uids, as far as those could be seen.
    """

    version: str
    seen: tuple[Seen, ...]
    malformed: int = 0
    oversize: int = 0
    unread: tuple[str, ...] = ()
    continuation: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the uid of every item is known: what this page does not show is not there."""
        return len(self.unread) == self.malformed + self.oversize

    @property
    def uids(self) -> Iterator[str]:
        """Of all items, as far as they could be seen."""
        return chain((seen.reference.uid for seen in self.seen), self.unread)


def read_page(body: bytes) -> Page:
    """Reads a list; the CSRs in it are read one by one.

    Raises:
        MalformedError: it is no list. What is not understood of one CSR is counted only.
    """
    document = parse_list(body, _read)
    items = document.get("items")
    if not isinstance(items, list):  # an empty list would end all work
        raise MalformedError(f"list: items is {type(items).__name__}, allowed is a list")
    version, continuation = _list_metadata(document)
    seen = tuple(item for item in items if isinstance(item, Seen))
    return Page(
        version=version,
        seen=seen,
        malformed=len(items) - len(seen),
        unread=tuple(item for item in items if isinstance(item, str)),
        continuation=continuation,
    )


def read_head(parts: Iterable[bytes]) -> Page:
    """Reads a list of the metadata of one CSR, what could not be read as a whole, until its uid; little is kept of it.

    Raises:
        MalformedError: it is no such list.
    """
    kept, listed, found = bytearray(), None, None
    for part in parts:
        kept += part
        if listed is None:
            listed = _LIST.match(bytes(kept))
            if listed is None and len(kept) <= _LONGEST_LIST:
                continue
            del kept[: listed.end() if listed else 0]
        found = _UID.search(kept)
        if listed is None or found is not None:
            break
        del kept[:-_LONGEST_UID]
    if listed is None:
        raise MalformedError("list: its metadata are not written as by the API server")
    return Page(
        version=listed[1].decode(),
        seen=(),
        oversize=1,
        unread=() if found is None else (bytes(found[1]).decode(errors="replace"),),
        continuation=(listed[2] or b"").decode(),
    )


def version_of(document: object) -> str:
    """The resourceVersion of a list, an object or a bookmark.

    Raises:
        MalformedError: there is none.
    """
    metadata = document.get("metadata") if isinstance(document, dict) else None
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if isinstance(version, str) and version:
        return version
    raise MalformedError(f"metadata.resourceVersion is {type(version).__name__}, allowed is text")


def _read(item: object) -> Seen | str | None:
    """A CSR; of what is not understood the uid, or None where that is not there either."""
    try:
        return csr.from_api(item)
    except MalformedError:
        metadata = item.get("metadata") if isinstance(item, dict) else None
        uid = metadata.get("uid") if isinstance(metadata, dict) else None
        return uid if isinstance(uid, str) else None


def _list_metadata(document: dict[str, object]) -> tuple[str, str]:
    metadata = document.get("metadata")
    continuation = metadata.get("continue", "") if isinstance(metadata, dict) else ""
    if not isinstance(continuation, str):
        raise MalformedError(f"list: metadata.continue is {type(continuation).__name__}, allowed is text")
    return version_of(document), continuation
