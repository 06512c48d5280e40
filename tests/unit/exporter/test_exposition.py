"""The gauges and the status line: both say what the parts say, at the moment when they are asked for."""

import datetime as dt

import pytest

from csr_exporter import clock as clocks
from csr_exporter.csr import Seen, Stage
from csr_exporter.metrics import Metrics
from tests.unit.exporter.support import VirtualClock, captured_log, core, reference


def test_the_gauges_follow_the_queue() -> None:
    """What waits by stage, since when, and what may be in flight."""
    metrics = Metrics()
    with captured_log() as (log, _):
        store, dispatcher = core(log, metrics, VirtualClock())
        dispatcher.update_gauges()
        assert metrics.value("csr_pending", stage="pending") == metrics.value("oldest_undelivered_seconds") == 0
        store.watched(
            [Seen(reference=reference(1), stage=Stage.PENDING), Seen(reference=reference(2), stage=Stage.APPROVED)]
        )
        dispatcher.update_gauges()
    assert [metrics.value("csr_pending", stage=stage.value) for stage in Stage] == [1, 1]
    age = clocks.age_of("2026-11-24T10:00:00Z")
    assert metrics.value("oldest_undelivered_seconds") == pytest.approx(age, abs=60)
    assert metrics.value("concurrency_limit") >= 1
    assert metrics.value("function_failing") == metrics.value("inflight") == metrics.value("log_lines_lost") == 0


def test_the_status_line() -> None:
    """It has what alerts are built on, where no Prometheus scrapes the metrics."""
    metrics = Metrics()
    with captured_log() as (log, lines):
        store, dispatcher = core(log, metrics, VirtualClock())
        store.watched([Seen(reference=reference(1), stage=Stage.PENDING)])
        dispatcher.update_gauges()
        metrics.log_status(log, [])
        metrics.log_status(log, ["no ID token yet", "stopping"])
        ready, unready = lines()
    assert (ready["message"], ready["severity"], ready["ready"]) == ("status", "INFO", True)
    assert (ready["pending"], ready["in_flight"]) == (1, 0)
    assert float(str(ready["oldest_undelivered_seconds"])) >= 0
    assert (unready["ready"], unready["unready"]) == (False, "no ID token yet; stopping")


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
