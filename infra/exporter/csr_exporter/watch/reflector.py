"""The reflector: lists, watches from that version, and lists again when the watch cannot continue.

It loses nothing in between: a watch continues from the version of the list, or of the last change that it showed. If
the API server no longer has that version, or sends a line that the reflector does not understand, the reflector lists
again. After every failure it waits, longer each time. No failure ends the loop.
"""

from dataclasses import dataclass

from csr_exporter.clock import Backoff, Clock
from csr_exporter.connection import UnreachableError
from csr_exporter.csr import MalformedError
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.watch.client import FROM_THE_BEGINNING, ApiClient, Watch
from csr_exporter.watch.response import ExpiredError, Page, RefusedError, UnpageableListError
from csr_exporter.watch.store import Store

# A watch that ends sooner and has shown nothing is a failure (client-go: VeryShortWatchError).
SHORTEST_WATCH = 1.0
# If it has shown something, the next watch begins after this time.
SHORT_WATCH_PAUSE = 0.2
# A watch of this length shows that the API server is well: the back-off starts again.
HEALTHY_WATCH = 10.0
# If the last list is this old, the next one starts at once, as after every restart of the API server.
LIST_SPACING = 10.0
# After this many refusals in a row, the version itself may be the reason: the API server sends an ERROR event whenever
# it cannot decode an object. The statuses below say nothing about the version.
STUBBORN = 5
_ELSEWHERE = frozenset({401, 403, 429, 502, 503, 504})
# A longer list ends no CSR by its absence: the uids would cost too much memory.
LONGEST_LIST = 50_000


@dataclass(slots=True)
class ReflectorStatus:
    """What the health pages show of a reflector. Times are the clock's; None: never.

    Attributes:
        beat: when the loop last did anything.
        contact: when the API server last answered.
        listed: whether the first list is complete.
        refused: whether the API server forbids the list or the watch (401, 403).
        bookmark: when the watch began, or last showed a bookmark.
    """

    beat: float
    contact: float | None = None
    listed: bool = False
    refused: bool = False
    bookmark: float | None = None


@dataclass(kw_only=True, eq=False)
class Reflector:
    """Keeps the work queue up to date for one signerName; `run` is a thread's body."""

    signer_name: str
    client: ApiClient
    store: Store
    clock: Clock
    log: Log
    metrics: Metrics

    def __post_init__(self) -> None:
        self.status = ReflectorStatus(beat=self.clock.now())
        self._backoff = Backoff()
        self._version: str | None = None
        self._failing = ""
        self._listed_at = float("-inf")
        self._refusals = 0
        self._list_expired = False  # whether the last list expired before its last page

    def run(self) -> None:
        """Lists and watches until the clock stops."""
        pause = 0.0
        while not self.clock.wait(pause):
            self.status.beat = self.clock.now()
            pause = self._cycle()

    def _cycle(self) -> float:
        """Lists if necessary, and watches once; returns the seconds until the next cycle."""
        try:
            if self._version is None:
                self._version = self._list_or_begin()
            pause = self._watch(self._version)
            self._refusals = 0
        except (ExpiredError, MalformedError) as error:
            self._version = None
            self.metrics.parse_errors.inc(isinstance(error, MalformedError))
            wait = self._failed(error)
            return 0.0 if self.clock.now() - self._listed_at >= LIST_SPACING else wait
        except (RefusedError, UnreachableError) as error:
            self._refusals += isinstance(error, RefusedError) and error.status not in _ELSEWHERE
            if self._refusals >= STUBBORN:
                self._version, self._refusals = None, 0
            return self._failed(error)
        return pause

    def _list_or_begin(self) -> str:
        """Lists; if requesters keep the list from ending, the watch shows what exists instead.

        One CSR's name does so, or so many heavy CSRs that the list expires twice in a row before its last page.
        Returns where the watch begins.
        """
        try:
            return self._list()
        except (ExpiredError, UnpageableListError) as error:
            if isinstance(error, ExpiredError) and not self._list_expired:
                self._list_expired = True
                raise
            self.log.warning(
                "the exporter cannot read the list and watches from the beginning instead",
                signer_name=self.signer_name,
                error=error,
            )
            self.status.listed = True
            return FROM_THE_BEGINNING

    def _list(self) -> str:
        since, version, items = self.clock.now(), "", 0
        self._listed_at = since
        present, whole = set[str](), True
        for page in self.client.pages(self.signer_name):
            self._contact()
            self._listed_at = self.clock.now()  # not since: a list may take long
            count_unread(page, self.log, self.metrics)
            whole = whole and page.is_whole and len(present) <= LONGEST_LIST
            present.update(page.uids if whole else ())
            items += len(page.seen)
            self.store.watched(page.seen)
            version = page.version
        self._list_expired = False
        if whole:
            self.store.relisted(self.signer_name, present, since=since)
        self.status.listed = True
        self.metrics.lists.inc()
        self.metrics.list_seconds.observe(self.clock.now() - since)
        self.metrics.list_items.set(items)
        self.log.info("listed", signer_name=self.signer_name, items=items, waiting=self.store.waiting)
        return version

    def _watch(self, version: str) -> float:
        """Watches from a version until the watch ends; returns the seconds until the next cycle."""
        began = self.clock.now()
        with self.client.watch(self.signer_name, version) as watch:
            self._contact()
            self.metrics.watches.inc()
            self.status.bookmark, reason = began, "error"
            try:
                reason = self._follow(watch)
            finally:
                self._version = watch.version
                self.metrics.watch_restarts.labels(reason=reason).inc()
                self.metrics.oversize.inc(watch.oversize)
                if self.clock.now() - began >= HEALTHY_WATCH:
                    self._backoff.reset()
        now = self.clock.now()
        if now - began >= SHORTEST_WATCH:
            return 0.0
        self.metrics.short_watches.inc()
        if self._version != version:
            return SHORT_WATCH_PAUSE
        return self._failed(UnreachableError("watch: the API server ended it at once, without an event"))

    def _follow(self, watch: Watch) -> str:
        """Tells the store what a watch shows; returns how the watch ended."""
        try:
            for batch in watch.batches():
                self._contact()
                if batch:
                    self.metrics.watch_last_event.set_to_current_time()
                    self.store.watched(batch)
                if watch.is_up_to_date:
                    self.status.bookmark = self.clock.now()
        except UnreachableError as error:
            # The next watch continues from the last version.
            self.log.info("the watch failed", signer_name=self.signer_name, error=error)
            return "broke"
        return "end"

    def _contact(self) -> None:
        self.status.beat = self.status.contact = self.clock.now()
        self.status.refused = False
        if self._failing:
            self._failing = ""
            self.log.info("the API server answers again", signer_name=self.signer_name)

    def _failed(self, error: Exception) -> float:
        asked = error.retry_after if isinstance(error, RefusedError) else None
        self.status.refused = isinstance(error, RefusedError) and error.status in {401, 403}
        self.metrics.read_failures.labels(reason=type(error).__name__).inc()
        wait = max(self._backoff.delay(self.clock.now()), asked or 0.0)
        if str(error) != self._failing:
            self._failing = str(error)
            self.log.warning("the list or watch failed", signer_name=self.signer_name, error=error, retry_in=wait)
        return wait


def count_unread(page: Page, log: Log, metrics: Metrics) -> None:
    """Counts and logs the CSRs of a page that the exporter could not read."""
    if page.unread:
        (metrics.oversize if page.is_oversize else metrics.parse_errors).inc(len(page.unread))
        log.error("the exporter could not read some CSRs of a list", number=len(page.unread), oversize=page.is_oversize)
