"""The gauges and the status line: both say what the parts say, at the moment when they are asked for."""

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from csr_exporter import clock as clocks
from csr_exporter.csr import Seen, Stage
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.identity.token import CachedToken, IdToken
from csr_exporter.metrics import STATUS_PERIOD, Exposition, Metrics
from csr_exporter.queue.retry_policy import Answer, Verdict
from tests.unit.exporter.support import SIGNER, VirtualClock, captured_log, reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """A report with all that it reads."""

    exposition: Exposition
    dispatcher: Dispatcher
    metrics: Metrics
    clock: VirtualClock
    token: CachedToken
    lines: Callable[[], list[dict[str, object]]]

    def gauge(self, name: str) -> float:
        """A value of the page."""
        found = re.search(rf"^csr_exporter_{re.escape(name)} (\S+)$", self.exposition.page().decode(), re.MULTILINE)
        assert found
        return float(found[1])


@contextmanager
def _exposed(ends_at: float = float("inf")) -> Iterator[Exposed]:
    clock, metrics = VirtualClock(ends_at), Metrics()
    with captured_log() as (log, lines):
        dispatcher = Dispatcher(
            stages={SIGNER: frozenset(Stage)},
            send=lambda _item: Answer(verdict=Verdict.ACKNOWLEDGED),
            clock=clock,
            log=log,
            metrics=metrics,
        )
        token = CachedToken(lambda: IdToken(value="t", lifetime=3600.0), clock, metrics=metrics)
        exposition = Exposition(
            status=dispatcher.status,
            unready=list,
            token_expires_in=lambda: token.expires_in,
            clock=clock,
            metrics=metrics,
            log=log,
        )
        yield Exposed(
            exposition=exposition, dispatcher=dispatcher, metrics=metrics, clock=clock, token=token, lines=lines
        )


def test_the_gauges_follow_the_queue() -> None:
    """What waits by stage, since when, what may be under way, and when the token ends."""
    with _exposed() as it:
        assert it.gauge('csr_pending{stage="pending"}') == it.gauge("oldest_undelivered_seconds") == 0
        it.dispatcher.watched(
            [Seen(reference=reference(1), stage=Stage.PENDING), Seen(reference=reference(2), stage=Stage.APPROVED)]
        )
        it.token.renew_early()
        assert it.gauge('csr_pending{stage="pending"}') == it.gauge('csr_pending{stage="approved"}') == 1
        assert it.gauge("oldest_undelivered_seconds") == pytest.approx(clocks.age_of("2026-11-24T10:00:00Z"), abs=60)
        assert it.gauge("concurrency_limit") >= 1
        assert it.gauge("circuit_state") == it.gauge("inflight") == it.gauge("log_lines_lost") == 0
        assert it.gauge('token_expiry_timestamp_seconds{kind="id"}') == pytest.approx(time.time() + 3600, abs=60)


def test_the_status_line_comes_once_a_minute() -> None:
    """With what alerts are built on, where nobody scrapes the metrics."""
    with _exposed(ends_at=3 * STATUS_PERIOD) as it:
        it.dispatcher.watched([Seen(reference=reference(1), stage=Stage.PENDING)])
        it.metrics.resync_missed.inc(2)
        it.exposition.run()
        first, second = it.lines()
    assert it.clock.waits == [STATUS_PERIOD] * 3
    assert (first["message"], first["severity"]) == (second["message"], second["severity"]) == ("status", "INFO")
    assert first["ready"] is True
    assert (first["pending"], first["in_flight"], first["resync_missed"]) == (1, 0, 2)
    assert float(str(first["oldest_undelivered_seconds"])) >= 0


@pytest.mark.parametrize(
    ("timestamp", "age"),
    [("", None), ("yesterday", None), ("9999-12-31T23:59:59Z", 0.0)],
)
def test_a_time_that_is_none_has_no_age(timestamp: str, age: float | None) -> None:
    """Nor is anything younger than 0 seconds; no text of an API server ends the thread that reads it."""
    assert clocks.age_of(timestamp) == age


def test_an_age_counts_from_the_creation() -> None:
    """By the wall clock, which the API server's times are of."""
    then = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=90)
    assert clocks.age_of(then.strftime("%Y-%m-%dT%H:%M:%SZ")) == pytest.approx(90.5, abs=10)
