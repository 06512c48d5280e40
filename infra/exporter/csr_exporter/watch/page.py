"""One page of a list of CSRs, as the API server answers it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from csr_exporter import csr
from csr_exporter.csr import MalformedError, Mask, Seen
from csr_exporter.watch.stream import FieldReader

_LIST: Mask = {"metadata": {"resourceVersion": None, "continue": None}, "items": [csr.FIELDS]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list; `version` is the whole list's, and where a watch continues.

    `malformed` items were not understood and `oversize` ones not read; both are missing in `seen`. `unread` has their
    uids, as far as those could be seen. `size` is in bytes.
    """

    version: str
    seen: tuple[Seen, ...]
    size: int
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


class PageReader(FieldReader):
    """Reads a page as it arrives: the list's own metadata come first, and each CSR's before the rest of it."""

    def __init__(self) -> None:
        super().__init__(_LIST)

    @property
    def uid(self) -> str | None:
        """That of the last CSR, once it was read."""
        items = self._document.get("items")
        return _uid(items[-1]) if isinstance(items, list) and items else None

    def page(self) -> Page:
        """Returns the page; its CSRs are read one by one.

        Raises:
            MalformedError: It is no list. What is not understood of one CSR is counted only.
        """
        items = self.end().get("items")
        if not isinstance(items, list):  # an empty list would end all work
            raise MalformedError(f"list: items is {type(items).__name__}, allowed is a list")
        version, continuation = _list_metadata(self._document)
        read = [_read(item) for item in items]
        seen = tuple(item for item in read if isinstance(item, Seen))
        return Page(
            version=version,
            seen=seen,
            size=self.size,
            malformed=len(items) - len(seen),
            unread=tuple(item for item in read if isinstance(item, str)),
            continuation=continuation,
        )

    def oversize(self) -> Page:
        """Returns the page of one CSR that is too large, of which the beginning was read.

        Raises:
            MalformedError: It is no list.
        """
        self._parse()
        version, continuation = _list_metadata(self._document)
        unread = () if self.uid is None else (self.uid,)
        return Page(version=version, seen=(), size=self.size, oversize=1, unread=unread, continuation=continuation)

    @property
    def _document(self) -> dict[str, object]:
        document = self.kept[0] if self.kept else None
        return document if isinstance(document, dict) else {}


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
    """Returns the CSR; of what is not understood the uid, or None where that is not there either."""
    try:
        return csr.from_api(item)
    except MalformedError:
        return _uid(item)


def _uid(item: object) -> str | None:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return uid if isinstance(uid, str) else None


def _list_metadata(document: object) -> tuple[str, str]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    continuation = metadata.get("continue", "") if isinstance(metadata, dict) else ""
    if not isinstance(continuation, str):
        raise MalformedError(f"list: metadata.continue is {type(continuation).__name__}, allowed is text")
    return version_of(document), continuation
