"""One page of a list of CSRs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from csr_exporter import csr
from csr_exporter.csr import MalformedError, Mask, Seen, field_of
from csr_exporter.watch.stream import FieldReader

_LIST: Mask = {"metadata": {"resourceVersion": None, "continue": None}, "items": [csr.FIELDS]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list.

    Attributes:
        version: the list's resourceVersion, where a watch continues.
        seen: its CSRs.
        size: bytes.
        malformed: CSRs that the exporter does not understand.
        oversize: CSRs that are too large to read.
        unread: uids of these, as far as the exporter could read them.
        continuation: the token of the next page; empty on the last one.
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
        """Whether the uid of every CSR is known. If so, CSRs that the page does not show do not exist."""
        return len(self.unread) == self.malformed + self.oversize

    @property
    def uids(self) -> Iterator[str]:
        """The uids of all CSRs, as far as they are known."""
        return chain((seen.reference.uid for seen in self.seen), self.unread)


class PageReader(FieldReader):
    """Reads a page as it arrives: the list's metadata come first, and each CSR's metadata before its other fields."""

    def __init__(self) -> None:
        super().__init__(_LIST)

    @property
    def uid(self) -> str | None:
        """The uid of the last CSR, once it arrived."""
        items = self._document.get("items")
        return _uid(items[-1]) if isinstance(items, list) and items else None

    def page(self) -> Page:
        """Returns the page.

        Raises:
            MalformedError: it is no list. A CSR that the exporter does not understand only counts as malformed.
        """
        # Required: a list without items would end every CSR in the queue.
        read = [_read(item) for item in field_of(self.end(), "items", list)]
        seen = tuple(item for item in read if isinstance(item, Seen))
        unread = tuple(item for item in read if isinstance(item, str))
        return self._page(seen=seen, malformed=len(read) - len(seen), unread=unread)

    def oversize(self) -> Page:
        """Returns the page of one CSR that is too large; only its beginning was read.

        Raises:
            MalformedError: it is no list.
        """
        self._parse()
        return self._page(oversize=1, unread=() if self.uid is None else (self.uid,))

    def _page(
        self, *, seen: tuple[Seen, ...] = (), malformed: int = 0, oversize: int = 0, unread: tuple[str, ...]
    ) -> Page:
        metadata = field_of(self._document, "metadata", dict)
        return Page(
            version=field_of(metadata, "resourceVersion", str),
            seen=seen,
            size=self.size,
            malformed=malformed,
            oversize=oversize,
            unread=unread,
            continuation=field_of(metadata, "continue", str, ""),
        )

    @property
    def _document(self) -> dict[str, object]:
        document = self.kept[0] if self.kept else None
        return document if isinstance(document, dict) else {}


def _read(item: object) -> Seen | str | None:
    """The CSR, or its uid if the rest is malformed, or None."""
    try:
        return csr.from_api(item)
    except MalformedError:
        return _uid(item)


def _uid(item: object) -> str | None:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return uid if isinstance(uid, str) else None
