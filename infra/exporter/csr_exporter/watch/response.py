"""What the API server answers: a page of a list of CSRs, or an error as a meta/v1 Status."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from csr_exporter import csr
from csr_exporter.connection import Answer, retry_after
from csr_exporter.csr import MalformedError, Mask, Seen, field_of
from csr_exporter.watch.stream import FieldReader, parse_object

_LIST: Mask = {"metadata": {"resourceVersion": None, "continue": None}, "items": [csr.FIELDS]}
STATUS: dict[str, Mask] = {
    "code": None,
    "message": None,
    "details": {"causes": [{"reason": None}], "retryAfterSeconds": None},
}
"""The fields of a Status that the exporter reads."""
_LARGEST_STATUS = 64 << 10
# During a longer pause the pod would look dead.
_LONGEST_PAUSE = 60.0


class ExpiredError(Exception):
    """The API server cannot continue from that version or page (410, or a version that it has not reached): relist."""


class UnpageableListError(Exception):
    """A page's continue token cannot be used, so the list would never end.

    The token holds the name of the page's last CSR as JSON, and a requester chooses that name. Bytes that are not UTF-8
    (filed by protobuf) become U+FFFD, which leads back before the CSR; a name of megabytes makes the token longer than
    the API server reads.
    """


class RefusedError(Exception):
    """The API server answered with an error; `status` is HTTP's, `retry_after` the seconds that it asks for."""

    def __init__(self, message: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def refusal(answer: Answer, verb: str) -> Exception:
    """Returns the exception for a response with another status than 200; `verb` opens its message."""
    try:
        document = parse_object(answer.body(_LARGEST_STATUS) or b"", STATUS)
    except MalformedError:  # a proxy's page
        document = {}
    return status_error(verb, document, status=answer.status, wait=answer.headers.get("Retry-After"))


def status_error(verb: str, content: object, *, status: int = 500, wait: str | None = None) -> Exception:
    """Returns the exception for a Status: the body of a response, or the object of a watch's ERROR event."""
    document = content if isinstance(content, dict) else {}
    details = document.get("details")
    details = details if isinstance(details, dict) else {}
    message = f"{verb}: {status} {document.get('message', '')!s:.200}".rstrip()
    if status == 410 or (status == 504 and _is_too_new(details.get("causes"), message)):  # noqa: PLR2004 - HTTP's
        return ExpiredError(message)
    asked = wait or str(details.get("retryAfterSeconds") or "")
    return RefusedError(message, status=status, retry_after=retry_after(asked, _LONGEST_PAUSE))


def _is_too_new(causes: object, message: str) -> bool:
    """Returns whether another API server issued the version, and this one has not reached it."""
    reasons = [cause.get("reason") for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return "ResourceVersionTooLarge" in reasons or "Too large resource version" in message


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list.

    Attributes:
        version: the list's resourceVersion, where a watch continues.
        size: bytes.
        seen: its CSRs.
        unread: uids of the CSRs that the exporter could not read; None: it could not even read the uid.
        is_oversize: whether the page is one CSR that is too large. Otherwise, the unread ones are malformed.
        continuation: the token of the next page; empty on the last one.
    """

    version: str
    size: int
    seen: tuple[Seen, ...]
    unread: tuple[str | None, ...] = ()
    is_oversize: bool = False
    continuation: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the uid of every CSR is known. If so, CSRs that the page does not show do not exist."""
        return None not in self.unread

    @property
    def uids(self) -> Iterator[str]:
        """The uids of all CSRs, as far as they are known."""
        return chain((seen.reference.uid for seen in self.seen), (uid for uid in self.unread if uid is not None))


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
            MalformedError: it is no list.
        """
        # Required: a list without items would end every CSR in the queue.
        read = [_read(item) for item in field_of(self.end(), "items", list)]
        unread = tuple(item for item in read if not isinstance(item, Seen))
        return self._page(tuple(item for item in read if isinstance(item, Seen)), unread)

    def oversize(self) -> Page:
        """Returns the page of one CSR that is too large; only its beginning was read.

        Raises:
            MalformedError: it is no list.
        """
        self._parse()
        return self._page((), (self.uid,), is_oversize=True)

    def _page(self, seen: tuple[Seen, ...], unread: tuple[str | None, ...], *, is_oversize: bool = False) -> Page:
        metadata = field_of(self._document, "metadata", dict)
        return Page(
            version=field_of(metadata, "resourceVersion", str),
            size=self.size,
            seen=seen,
            unread=unread,
            is_oversize=is_oversize,
            continuation=field_of(metadata, "continue", str, ""),
        )

    @property
    def _document(self) -> dict[str, object]:
        document = self.kept[0] if self.kept else None
        return document if isinstance(document, dict) else {}


def _read(item: object) -> Seen | str | None:
    """Returns the CSR, or its uid if the rest is malformed, or None."""
    try:
        return csr.from_api(item)
    except MalformedError:
        return _uid(item)


def _uid(item: object) -> str | None:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return uid if isinstance(uid, str) else None
