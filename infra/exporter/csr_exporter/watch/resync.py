"""The resync: every ten minutes a list beside the watch, which adds what the work queue lacks.

It ends a CSR only if two resyncs in a row do not show it: a list may be older than what the watch has shown.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from csr_exporter.clock import Clock
from csr_exporter.connection import UnreachableError
from csr_exporter.csr import MalformedError
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.watch.client import ApiClient
from csr_exporter.watch.reflector import LONGEST_LIST, Reflector, count_unread
from csr_exporter.watch.response import ExpiredError, RefusedError, UnpageableListError
from csr_exporter.watch.store import Store

PERIOD = 600.0
# How often the resync looks whether the queue has capacity again.
_TICK = 15.0


@dataclass(kw_only=True, eq=False)
class Resync:
    """Lists the signerNames of all reflectors one by one; `run` is a thread's body. It uses connections of its own."""

    reflectors: Sequence[Reflector]
    client: ApiClient
    store: Store
    clock: Clock
    log: Log
    metrics: Metrics
    period: float = PERIOD
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        self.metrics.bookmark_age.set_function(self._bookmark_age)

    def run(self) -> None:
        """Lists every `period` seconds, give or take a fifth, and when the queue has capacity again."""
        due = self._next_due()
        while not self.clock.wait(min(_TICK, max(0.0, due - self.clock.now()))):
            if self.store.capacity_returned() or self.clock.now() >= due:
                self.list_once()
                due = self._next_due()

    def list_once(self) -> None:
        """Lists once. After a failure, the next period's list makes up for it."""
        since, present = self.clock.now(), dict[str, set[str]]()
        self.store.resync_begins()
        try:
            for reflector in self.reflectors:
                uids = self._list(reflector.signer_name)
                self.metrics.resyncs.labels("incomplete" if uids is None else "complete").inc()
                if uids is not None:
                    present[reflector.signer_name] = uids
        finally:
            self.store.resync_ends(present, since=since)
        self.log.info("resynced", waiting=self.store.waiting, counts=self.metrics.counts)

    def _list(self, signer_name: str) -> set[str] | None:
        """Returns the uids of CSRs that may still get a certificate; None if the list is not complete."""
        uids, is_complete = set[str](), True
        try:
            for page in self.client.pages(signer_name):
                count_unread(page, self.log, self.metrics)
                self.store.resynced(page.seen)
                is_complete = is_complete and page.is_whole and len(uids) <= LONGEST_LIST
                if is_complete:
                    uids.update(set(page.uids) - {seen.reference.uid for seen in page.seen if seen.stage is None})
        except (UnpageableListError, ExpiredError, RefusedError, UnreachableError, MalformedError) as error:
            self.log.warning("the resync failed", signer_name=signer_name, error=error)
            return None
        return uids if is_complete else None

    def _bookmark_age(self) -> float:
        since = [each.status.bookmark for each in self.reflectors if each.status.bookmark is not None]
        return self.clock.now() - min(since) if since else 0.0

    def _next_due(self) -> float:
        return self.clock.now() + self.period * (0.8 + 0.4 * self.chance())
