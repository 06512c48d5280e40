"""The loop that hands out what is due, with real threads and a `send` that answers as it is told."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from csr_exporter import csr
from csr_exporter.answer import Answer, Verdict
from csr_exporter.clock import MonotonicClock
from csr_exporter.csr import Stage
from csr_exporter.dispatcher import Dispatcher
from csr_exporter.pace import Pace
from tests.exporter.support import SIGNER, captured_log, csr_document, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from csr_exporter.log import Log
    from csr_exporter.work import Parcel

ACKNOWLEDGED = Answer(verdict=Verdict.ACKNOWLEDGED, status=200)


class Sender:
    """Records what is sent and how much of it at once; answers through `answer`."""

    def __init__(self, answer: Callable[[Parcel], Answer] = lambda _parcel: ACKNOWLEDGED) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._running = 0
        self.most = 0
        self.sent: list[int] = []
        self.at: list[float] = []

    def __call__(self, parcel: Parcel) -> Answer:
        """Sends one."""
        with self._lock:
            self.sent.append(int(parcel.reference.uid[:8]))
            self.at.append(MonotonicClock().now())
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            return self._answer(parcel)
        finally:
            with self._lock:
                self._running -= 1


@contextmanager
def _running(sender: Sender, pace: Pace | None = None) -> Iterator[tuple[Dispatcher, Log]]:
    with captured_log() as (log, _):
        dispatcher = Dispatcher(
            stages={SIGNER: frozenset(Stage)}, send=sender, clock=MonotonicClock(), log=log, pace=pace
        )
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        try:
            yield dispatcher, log
        finally:
            assert dispatcher.drain(10)[1] == 0
            thread.join()


def _seen(*numbers: int) -> list[csr.Seen]:
    return [csr.from_api(csr_document(number)) for number in numbers]


def test_no_more_than_the_limit_is_in_flight() -> None:
    """However much is due; as soon as one is answered, the next one goes."""
    go_on = threading.Event()

    def slow(_parcel: Parcel) -> Answer:
        go_on.wait(10)
        return ACKNOWLEDGED

    sender = Sender(slow)
    with _running(sender, Pace(start=3, most=3)) as (dispatcher, _):
        dispatcher.watched(_seen(*range(20)))
        wait_until(lambda: len(sender.sent) == 3)
        go_on.set()
        wait_until(lambda: len(sender.sent) == 20)
    assert sender.most == 3


def test_row_17_the_gate_holds_everything() -> None:
    """After 503 nothing is sent before its Retry-After has passed, new work neither."""
    answers = iter([Answer(verdict=Verdict.OVERLOADED, status=503, retry_after=0.3)])
    sender = Sender(lambda _parcel: next(answers, ACKNOWLEDGED))
    with _running(sender) as (dispatcher, log):
        dispatcher.watched(_seen(1))
        wait_until(lambda: log.counts.get("send_overloaded_total") == 1)
        dispatcher.watched(_seen(2, 3))
        wait_until(lambda: {1, 2, 3} <= set(sender.sent[1:]))
    assert all(later - sender.at[0] >= 0.3 for later in sender.at[1:])


def test_row_22_a_deferred_csr_holds_nobody() -> None:
    """425 with a long Retry-After is that CSR's alone."""
    deferred = Answer(verdict=Verdict.LATER, status=425, retry_after=300.0)
    sender = Sender(lambda parcel: deferred if parcel.reference.name == "csr-1" else ACKNOWLEDGED)
    with _running(sender) as (dispatcher, _):
        dispatcher.watched(_seen(1))
        dispatcher.watched(_seen(*range(2, 52)))
        wait_until(lambda: len(sender.sent) == 51)
    assert sorted(sender.sent) == list(range(1, 52))


def test_a_fault_of_ours_with_one_csr_stops_nothing() -> None:
    """An exception nobody thought of is that CSR's failure: logged, retried, and the others are sent."""

    def faulty(parcel: Parcel) -> Answer:
        if parcel.reference.name == "csr-1":
            raise RuntimeError("nobody thought of that")
        return ACKNOWLEDGED

    sender = Sender(faulty)
    with _running(sender) as (dispatcher, log):
        dispatcher.watched(_seen(1, 2, 3))
        wait_until(lambda: log.counts.get("send_acknowledged_total") == 2)
        wait_until(lambda: sender.sent.count(1) == 2)
        assert log.counts["send_later_total"] >= 1


def test_drain_says_what_is_left() -> None:
    """What waits, and what is still in flight when the time is over."""
    go_on = threading.Event()

    def slow(_parcel: Parcel) -> Answer:
        go_on.wait(10)
        return ACKNOWLEDGED

    sender = Sender(slow)
    with _running(sender, Pace(start=2, most=2)) as (dispatcher, _):
        dispatcher.watched(_seen(1, 2, 3))
        wait_until(lambda: len(sender.sent) == 2)
        assert dispatcher.oldest_sending > 0.0
        assert dispatcher.drain(0.0) == (3, 2)
        go_on.set()
        assert dispatcher.drain(10) == (3, 0)
        assert dispatcher.oldest_sending == 0.0
    assert sorted(sender.sent) == [1, 2]


def test_a_failing_csr_is_logged_less_and_less() -> None:
    """Attempts 1, 2, 4, 8, ... have a line: an outage of hours does not fill the log."""
    with captured_log() as (log, lines):
        dispatcher = Dispatcher(
            stages={SIGNER: frozenset(Stage)},
            send=lambda _parcel: Answer(verdict=Verdict.LATER, status=500, reason="x\ny"),
            clock=_Hurried(),
            log=log,
        )
        dispatcher.watched(_seen(1))
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        wait_until(lambda: log.counts.get("send_later_total", 0) >= 20)
        dispatcher.drain(10)
        thread.join()
        attempts = [line["attempt"] for line in lines() if line["message"] == "later"]
    assert attempts[:5] == [1, 2, 4, 8, 16]


class _Hurried(MonotonicClock):
    """A clock on which a minute passes whenever somebody looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0

    def now(self) -> float:
        """Another minute has passed."""
        self._time += 61.0
        return self._time
