"""The Kubernetes API server: pages of a list, and a watch, of the CSRs of one signerName.

Both are bounded in bytes, whatever somebody wrote into a CSR. Nothing is retried here: what an error means for the list
and the watch is `reflector`'s to decide.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from csr_exporter import csr
from csr_exporter.configuration import ApiServer as Location
from csr_exporter.connection import Answer, Endpoint, Timeouts, UnreachableError, read_credential
from csr_exporter.csr import MalformedError, Mask, Seen
from csr_exporter.watch import errors
from csr_exporter.watch.errors import ExpiredError, RefusedError, UnpageableListError, error_event, refusal
from csr_exporter.watch.page import Page, PageReader, version_of
from csr_exporter.watch.stream import LineSplitter, parse_object

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
PAGE = 500
# Of several CSRs: that of 5,000 read in pages of 2 MiB would take 2 MiB more. A single one may be as long as a line of
# the watch.
LARGEST_PAGE = 1 << 20
LONGEST_LINE = 4 << 20
# Go's server reads 1 MiB of headers, and proxies before it much less. A token is about as long as a CSR's name.
LONGEST_CONTINUATION = 8 << 10
# The API server sends a bookmark about once a minute; without any byte for longer than that the connection is dead.
TIMEOUTS = Timeouts(read=75.0, total=60.0)
FROM_THE_BEGINNING = ""
"""A watch from this version first shows every CSR that exists as new, without pages."""
# Until here the uid of a CSR that is longer than that is looked for: what stands before it can be no longer, even if
# every byte is written as six.
_HEAD = 16 << 20
_EVENT: Mask = {"type": None, "object": {**csr.FIELDS, **errors.FIELDS}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The CSRs that a watch shows at once; `is_up_to_date`: with a bookmark, so that nothing older is still to come."""

    seen: tuple[Seen, ...] = ()
    is_up_to_date: bool = False


class Watch:
    """An open watch; `version` is where the next one continues, `oversize` counts lines that were not read.

    What a watch from the beginning shows first is in no order of versions: the next one continues only from a bookmark.
    """

    def __init__(self, answer: Answer, version: str) -> None:
        self._answer = answer
        self._lines = LineSplitter(LONGEST_LINE)
        self._bookmarked = False
        self.version = version

    @property
    def oversize(self) -> int:
        """Lines that were longer than `LONGEST_LINE` and left out."""
        return self._lines.dropped

    def batches(self) -> Iterator[Batch]:
        """What changed, as it arrives; an empty batch is still a sign of life. A deleted CSR has no stage.

        A line that the end of the connection cuts is not counted as read: `version` stays before it.

        Raises:
            ExpiredError, RefusedError: as an ERROR event said.
            MalformedError: a line that is not understood; what follows it is not read.
            UnreachableError: the connection broke.
        """
        for chunk in self._answer.chunks():
            self._bookmarked = False
            batch: list[Seen] = []
            try:
                batch.extend(seen for line in self._lines.feed(chunk) if (seen := self._seen(line)) is not None)
            except (ExpiredError, RefusedError, MalformedError):
                yield Batch(seen=tuple(batch))  # what came before that line counts
                raise
            yield Batch(seen=tuple(batch), is_up_to_date=self._bookmarked)

    def _seen(self, line: bytes) -> Seen | None:
        event = parse_object(line, _EVENT)
        kind, content = event.get("type"), event.get("object")
        if kind == "ERROR":
            raise error_event(content)
        if kind == "BOOKMARK":
            self.version, self._bookmarked = version_of(content), True
            return None
        if kind not in ("ADDED", "MODIFIED", "DELETED"):  # no set: it may be unhashable
            raise MalformedError(f"watch: event type {kind!r:.40}, allowed is one of the API's five")
        seen = csr.from_api(content)
        if self.version != FROM_THE_BEGINNING:
            self.version = seen.reference.resource_version
        return replace(seen, stage=None if kind == "DELETED" else seen.stage, is_new=kind == "ADDED")


class ApiClient:
    """The API server as the exporter's service account sees it; safe to use from several threads."""

    def __init__(self, location: Location, *, timeouts: Timeouts = TIMEOUTS) -> None:
        self._token_file = location.token_file
        self._endpoint = Endpoint(
            location.server,
            timeouts=timeouts,
            certificate_authority=location.certificate_authority,
            connections=4,
        )
        self._watching: set[Answer] = set()
        self._interrupted = False
        self._lock = threading.Lock()

    def pages(self, signer_name: str) -> Iterator[Page]:
        """The CSRs of a signerName, page by page, from one consistent version.

        A page that is too large is asked for again with a quarter of the items; one CSR that is too large is left out.

        Raises:
            UnpageableListError: a continue token leads back, or is too long to be sent.
            ExpiredError: the list took too long; it must be started again.
            RefusedError, UnreachableError, MalformedError: no list for now.
        """
        limit, continuation = PAGE, ""
        continued = set[int]()
        while True:
            page = self._page(signer_name, limit, continuation)
            if page is None:
                limit = max(1, limit // 4)
                continue
            yield page
            continuation = page.continuation
            if not continuation:
                return
            if len(continuation) > LONGEST_CONTINUATION:
                raise UnpageableListError(f"list: Too long: continue: must have at most {LONGEST_CONTINUATION} bytes")
            if hash(continuation) in continued:
                raise UnpageableListError(f"list: Duplicate value: continue: page {len(continued)} leads back")
            continued.add(hash(continuation))
            if page.size < LARGEST_PAGE // 2:
                limit = min(PAGE, limit * 2)

    @contextmanager
    def watch(self, signer_name: str, version: str) -> Iterator[Watch]:
        """Opens a watch from a version on.

        Raises:
            ExpiredError: the version is too old, or not reached yet.
            RefusedError, UnreachableError: no watch for now.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            # As client-go does, so that watches of many clients do not end together.
            "timeoutSeconds": str(random.randint(300, 600)),  # noqa: S311 - no secret
        }
        with self._get(signer_name, query) as answer:
            with self._lock:
                self._watching.add(answer)
                if self._interrupted:
                    answer.interrupt()
            try:
                yield Watch(answer, version)
            finally:
                with self._lock:
                    self._watching.discard(answer)

    def interrupt(self) -> None:
        """Ends the watches that wait in other threads, and those that are opened from now on."""
        with self._lock:
            self._interrupted = True
            watching = list(self._watching)
        for answer in watching:
            answer.interrupt()

    def close(self) -> None:
        """Closes idle connections."""
        self._endpoint.forget()

    def _page(self, signer_name: str, limit: int, continuation: str) -> Page | None:
        """One page; None where it is too large, and of several CSRs."""
        # An empty version asks for a consistent list: it never goes back in time, not even on another API server.
        start = {"continue": continuation} if continuation else {"resourceVersion": ""}
        reader = PageReader()
        with self._get(signer_name, {"limit": str(limit), **start}) as answer:
            for part in answer.parts(_HEAD):
                reader.feed(part)
                if limit > 1 and reader.size > LARGEST_PAGE:
                    return None
                if reader.size > LONGEST_LINE and reader.uid is not None:
                    break
        return reader.oversize() if reader.size > LONGEST_LINE else reader.page()

    @contextmanager
    def _get(self, signer_name: str, query: dict[str, str]) -> Iterator[Answer]:
        headers = {
            "Accept": "application/json",
            "User-Agent": "csr-exporter",
            "Authorization": f"Bearer {self._token()}",
        }
        selected = urlencode({"fieldSelector": f"spec.signerName={signer_name}", **query})
        try:
            with self._endpoint.request("GET", f"{PATH}?{selected}", headers=headers) as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                    raise refusal(answer, "watch" if "watch" in query else "list")
                yield answer
        except UnreachableError:
            # The certificate authority's file may have been replaced.
            self._endpoint.forget()
            raise

    def _token(self) -> str:
        return read_credential(self._token_file)
