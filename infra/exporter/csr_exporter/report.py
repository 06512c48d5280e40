"""What the state of the parts amounts to: the gauges of the metrics page, and a line of the log once a minute.

Both are computed when they are asked for, so that no part has to keep a gauge in step with itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from csr_exporter.clock import age_of
from csr_exporter.csr import Stage

if TYPE_CHECKING:
    from csr_exporter.clock import Clock
    from csr_exporter.dispatcher import Dispatcher
    from csr_exporter.handout import Status
    from csr_exporter.identity import CachedToken
    from csr_exporter.log import Log
    from csr_exporter.metrics import Metrics

PERIOD = 60.0


class Report:
    """Reads the parts and changes none of them; `run` is a thread's body."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        token: CachedToken | None,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._dispatcher = dispatcher
        self._token = token
        self._clock = clock
        self._metrics = metrics
        self._log = log

    def page(self) -> bytes:
        """The page of the metrics, as they are now."""
        status = self._dispatcher.status()
        it = self._metrics
        for stage in Stage:
            it.csr_pending.labels(stage=stage.value).set(status.pending.get(stage, 0))
        it.oldest_undelivered.set(_age(status))
        it.inflight.set(status.in_flight)
        it.concurrency_limit.set(status.limit)
        it.circuit_state.set(status.circuit)
        it.log_lines_lost.set(self._log.lost)
        if self._token is not None and (left := self._token.expires_in) is not None:
            it.token_expiry.labels(kind="id").set(time.time() + left)
        return it.page()

    def run(self) -> None:
        """Writes the line `status` once a minute: what alerts need where nobody scrapes the metrics."""
        while not self._clock.wait(PERIOD):
            self.log_status()

    def log_status(self) -> None:
        """Writes one such line."""
        status, counts = self._dispatcher.status(), self._metrics.counts
        self._log.info(
            "status",
            oldest_undelivered_seconds=_age(status),
            pending=sum(status.pending.values()),
            in_flight=status.in_flight,
            resync_missed=counts.get("resync_missed_total", 0),
            counts=counts,
        )


def _age(status: Status) -> float:
    """Seconds since the oldest CSR was created for which the function has acknowledged nothing."""
    return age_of(status.oldest_undelivered) or 0.0
