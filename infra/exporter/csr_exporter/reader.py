"""The loop that keeps the work in step with the API server: list, watch from there, list again when that is over.

Between the two nothing is lost: a watch continues from the version of the list or of the last change that was read. A
version that the API server no longer has, or a line that is not understood, leads back to the list. Every failure is
followed by a growing wait; none ends the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from csr_exporter.backoff import Backoff
from csr_exporter.connection import UnreachableError
from csr_exporter.csr import MalformedError
from csr_exporter.status import ExpiredError, RefusedError

if TYPE_CHECKING:
    from csr_exporter.api_server import ApiServer, Page
    from csr_exporter.clock import Clock
    from csr_exporter.dispatcher import Dispatcher
    from csr_exporter.log import Log

# A watch that ends sooner and has shown nothing is a failure (client-go: VeryShortWatchError).
SHORTEST_WATCH = 1.0
# One that ends as soon but has shown something is opened again after this many seconds.
SHORT_WATCH_PAUSE = 0.2


@dataclass(slots=True)
class Vitals:
    """What the health pages ask of a reader. Times are the clock's; None: never.

    Attributes:
        beat: when the loop last did anything at all.
        contact: when the API server last sent something of use.
        listed: whether a first list was complete.
        refused: whether the API server forbids what we ask (401, 403).
    """

    beat: float
    contact: float | None = None
    listed: bool = False
    refused: bool = False


class Reader:
    """Reads one signerName; `run` is a thread's body."""

    def __init__(
        self, signer_name: str, *, api_server: ApiServer, dispatcher: Dispatcher, clock: Clock, log: Log
    ) -> None:
        self._signer_name = signer_name
        self._api_server = api_server
        self._dispatcher = dispatcher
        self._clock = clock
        self._log = log
        self._backoff = Backoff()
        self._version: str | None = None
        self._failing = ""
        self.vitals = Vitals(beat=clock.now())

    def run(self) -> None:
        """Lists and watches until the clock says that the end has come."""
        pause = 0.0
        while not self._clock.wait(pause):
            self.vitals.beat = self._clock.now()
            pause = self._cycle()

    def _cycle(self) -> float:
        """One list where it is needed, and one watch; returns the seconds until the next cycle."""
        try:
            if self._version is None:
                self._version = self._list()
            return self._watch(self._version)
        except (ExpiredError, MalformedError) as error:
            self._version = None
            return self._failed(error)
        except (RefusedError, UnreachableError) as error:
            return self._failed(error)

    def _list(self) -> str:
        since, version, present, whole = self._clock.now(), "", set[str](), True
        for page in self._api_server.pages(self._signer_name):
            self._contact()
            whole = count_unread(page, self._log) and whole
            present.update(seen.reference.uid for seen in page.seen)
            self._dispatcher.watched(page.seen)
            version = page.version
        if whole:  # else what seems to be absent may only be unreadable
            self._dispatcher.listed(self._signer_name, present, since=since)
        self.vitals.listed = True
        self._log.count("lists_total")
        self._log.info("listed", signer_name=self._signer_name, items=len(present), waiting=self._dispatcher.waiting)
        return version

    def _watch(self, version: str) -> float:
        began = self._clock.now()
        with self._api_server.watch(self._signer_name, version) as watch:
            self._contact()
            self._log.count("watches_total")
            try:
                for batch in watch.batches():
                    self._contact()
                    if batch:
                        self._dispatcher.watched(batch)
            except UnreachableError as error:
                # Cut, or silent for too long: nothing is lost, the next watch continues from the last version.
                self._log.info("watch broke", signer_name=self._signer_name, error=error)
            finally:
                self._version = watch.version
                self._log.count("oversize_total", watch.oversize)
        if self._clock.now() - began >= SHORTEST_WATCH:
            return 0.0
        self._log.count("short_watches_total")
        if self._version != version:
            return SHORT_WATCH_PAUSE
        return self._failed(UnreachableError("watch: ended at once and showed nothing"))

    def _contact(self) -> None:
        self.vitals.beat = self.vitals.contact = self._clock.now()
        self.vitals.refused = False
        if self._failing:
            self._failing = ""
            self._log.info("the API server answers again", signer_name=self._signer_name)

    def _failed(self, error: Exception) -> float:
        asked = error.retry_after if isinstance(error, RefusedError) else None
        self.vitals.refused = isinstance(error, RefusedError) and error.status in {401, 403}
        self._log.count(f"read_failures_total:{type(error).__name__}")
        wait = max(self._backoff.delay(self._clock.now()), asked or 0.0)
        if str(error) != self._failing:
            self._failing = str(error)
            self._log.warning("read failed", signer_name=self._signer_name, error=error, retry_in=wait)
        return wait


def count_unread(page: Page, log: Log) -> bool:
    """Counts and logs the items that a page should have and has not: nothing is left out silently.

    Returns whether the page is whole.
    """
    whole = not page.malformed and not page.oversize
    if not whole:
        log.count("parse_errors_total", page.malformed)
        log.count("oversize_total", page.oversize)
        log.error("CSRs in a list were not read", malformed=page.malformed, oversize=page.oversize)
    return whole
