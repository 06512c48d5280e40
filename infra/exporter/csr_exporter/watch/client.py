"""The Kubernetes API server: pages of a list, and a watch, of the CSRs of one signerName.

Both are bounded in bytes, even if a requester fills a CSR. The client retries nothing: the reflector decides what
an error means.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlencode

from csr_exporter import csr
from csr_exporter.configuration import ApiServer
from csr_exporter.connection import Answer, Endpoint, Timeouts, UnreachableError, read_credential
from csr_exporter.csr import MalformedError, Mask, Seen, field_of
from csr_exporter.watch.response import (
    STATUS,
    ExpiredError,
    Page,
    PageReader,
    RefusedError,
    UnpageableListError,
    refusal,
    status_error,
)
from csr_exporter.watch.stream import LineSplitter, parse_object

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
PAGE = 500
# A page of several CSRs. Pages of 2 MiB would cost 2 MiB more memory. A single CSR may be as long as a line of the
# watch.
LARGEST_PAGE = 1 << 20
LONGEST_LINE = 4 << 20
# Go's server reads 1 MiB of headers, and proxies before it much less. A token is about as long as a CSR's name.
LONGEST_CONTINUATION = 8 << 10
# The API server sends a bookmark about once a minute. A connection without a byte for longer is dead.
TIMEOUTS = Timeouts(read=75.0, total=60.0)
FROM_THE_BEGINNING = ""
"""A watch from this version first shows every CSR that exists as new, without pages."""
# The client looks for the uid of a longer CSR in this many bytes: no name before it is longer, even fully escaped.
_HEAD = 16 << 20
_EVENT: Mask = {"type": None, "object": {**csr.FIELDS, **STATUS}}


class Watch:
    """An open watch.

    A watch from the beginning first shows CSRs in no order of versions. There, only a bookmark says where to continue.

    Attributes:
        version: where the next watch continues.
        is_up_to_date: whether the last batch came with a bookmark, so that the watch has shown everything older.
    """

    def __init__(self, answer: Answer, version: str) -> None:
        self._answer = answer
        self._lines = LineSplitter(LONGEST_LINE)
        self.version = version
        self.is_up_to_date = False

    @property
    def oversize(self) -> int:
        """Lines that were longer than `LONGEST_LINE`, so that the client dropped them."""
        return self._lines.dropped

    def batches(self) -> Iterator[list[Seen]]:
        """Yields changes as they arrive; an empty batch is still a sign of life. A deleted CSR has no stage.

        If the connection ends inside a line, `version` stays before that line.

        Raises:
            ExpiredError, RefusedError: as an ERROR event says.
            MalformedError: a line that the client does not understand. It reads no further.
            UnreachableError: the connection broke.
        """
        for chunk in self._answer.chunks():
            self.is_up_to_date = False
            batch: list[Seen] = []
            try:
                batch.extend(seen for line in self._lines.feed(chunk) if (seen := self._seen(line)) is not None)
            except (ExpiredError, RefusedError, MalformedError):
                yield batch  # the lines before that one count
                raise
            yield batch

    def _seen(self, line: bytes) -> Seen | None:
        event = parse_object(line, _EVENT)
        kind, content = event.get("type"), event.get("object")
        if kind == "ERROR":
            code = content.get("code") if isinstance(content, dict) else None
            raise status_error("watch", content, status=code if isinstance(code, int) and code else 500)
        if kind == "BOOKMARK":
            self.version = field_of(field_of(content, "metadata", dict), "resourceVersion", str)
            self.is_up_to_date = True
            return None
        if kind not in ("ADDED", "MODIFIED", "DELETED"):  # no set: the type may be unhashable
            raise MalformedError(f"watch: type: Unsupported value: {kind!r:.40}")
        seen = csr.from_api(content)
        if self.version != FROM_THE_BEGINNING:
            self.version = seen.reference.resource_version
        return replace(seen, stage=None if kind == "DELETED" else seen.stage)


class ApiClient:
    """The API server, as the exporter's service account sees it; safe to use from several threads."""

    def __init__(self, location: ApiServer, *, timeouts: Timeouts = TIMEOUTS) -> None:
        self._token_file = location.token_file
        authority = location.certificate_authority
        self._endpoint = Endpoint(
            location.server.rstrip("/"), timeouts=timeouts, certificate_authority=authority, connections=4
        )
        self._watching: set[Answer] = set()
        self._interrupted = False
        self._lock = threading.Lock()

    def pages(self, signer_name: str) -> Iterator[Page]:
        """Yields the CSRs of a signerName page by page, from one consistent version.

        If a page is too large, the client asks for a quarter of its CSRs. It leaves out a single CSR that is too large.

        Raises:
            UnpageableListError: a continue token leads back, or is too long to send.
            ExpiredError: the list took too long; the caller must start again.
            RefusedError, UnreachableError, MalformedError: no list for now.
        """
        limit, continuation, continued = PAGE, "", set[int]()
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
        """Opens a watch that begins after a version.

        Raises:
            ExpiredError: the version is too old, or the API server has not reached it.
            RefusedError, UnreachableError: no watch for now.
        """
        # A random time, as in client-go, so that the watches of many clients do not end together.
        seconds = str(random.randint(300, 600))  # noqa: S311 - no secret
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
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
        """Ends the watches of all threads, now and later."""
        with self._lock:
            self._interrupted = True
            watching = list(self._watching)
        for answer in watching:
            answer.interrupt()

    def close(self) -> None:
        """Closes idle connections."""
        self._endpoint.forget()

    def _page(self, signer_name: str, limit: int, continuation: str) -> Page | None:
        """Returns a page; None if it has several CSRs and is too large."""
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
        token = read_credential(self._token_file)
        headers = {"Accept": "application/json", "User-Agent": "csr-exporter", "Authorization": f"Bearer {token}"}
        selected = urlencode({"fieldSelector": f"spec.signerName={signer_name}", **query})
        try:
            with self._endpoint.request("GET", f"{PATH}?{selected}", headers=headers) as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                    raise refusal(answer, "watch" if "watch" in query else "list")
                yield answer
        except UnreachableError:
            self._endpoint.forget()  # the certificate authority's file may have been replaced
            raise
