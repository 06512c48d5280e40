"""The safety net: every ten minutes a list beside the watch, which adds what the watch should have shown.

It ends only what two lists in a row do not show, since it may be older than what the watch has shown.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from csr_exporter.connection import UnreachableError
from csr_exporter.csr import MalformedError
from csr_exporter.reader import count_unread
from csr_exporter.status import ExpiredError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from csr_exporter.api_server import ApiServer
    from csr_exporter.clock import Clock
    from csr_exporter.dispatcher import Dispatcher
    from csr_exporter.log import Log

PERIOD = 600.0
# How often it is looked whether something was missed.
_TICK = 15.0


class Relist:
    """Lists all signerNames in turn; `run` is a thread's body. It uses connections of its own."""

    def __init__(
        self,
        signer_names: Sequence[str],
        *,
        api_server: ApiServer,
        dispatcher: Dispatcher,
        clock: Clock,
        log: Log,
        period: float = PERIOD,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._signer_names = signer_names
        self._api_server = api_server
        self._dispatcher = dispatcher
        self._clock = clock
        self._log = log
        self._period = period
        self._chance = chance

    def run(self) -> None:
        """Lists every `period` seconds, give or take a fifth, until the end comes."""
        due = self._next_due()
        while not self._clock.wait(min(_TICK, max(0.0, due - self._clock.now()))):
            self._dispatcher.report_missed()
            if self._clock.now() >= due:
                self.list_once()
                due = self._next_due()

    def list_once(self) -> None:
        """Lists once; a failure is logged and the next period's list makes up for it."""
        since, present = self._clock.now(), dict[str, set[str]]()
        self._dispatcher.audit_begins()
        try:
            for signer_name in self._signer_names:
                self._list(signer_name, present)
        except (ExpiredError, RefusedError, UnreachableError, MalformedError) as error:
            self._log.warning("relist failed", error=error)
        finally:
            self._dispatcher.audit_ends(present, since=since)
        self._log.info("relisted", waiting=self._dispatcher.waiting, counts=self._log.counts)

    def _list(self, signer_name: str, present: dict[str, set[str]]) -> None:
        uids, whole = set[str](), True
        for page in self._api_server.pages(signer_name):
            whole = count_unread(page, self._log) and whole
            uids.update(seen.reference.uid for seen in page.seen if seen.stage is not None)
            self._dispatcher.audited(page.seen)
        if whole:
            present[signer_name] = uids

    def _next_due(self) -> float:
        return self._clock.now() + self._period * (0.8 + 0.4 * self._chance())
