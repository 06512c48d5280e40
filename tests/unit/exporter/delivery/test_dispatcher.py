"""The loop that hands out what is due, with real threads and a `send` that answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from csr_exporter import csr
from csr_exporter.clock import Clock, MonotonicClock
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.delivery.limiter import START
from csr_exporter.metrics import Metrics
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.watch.store import Store
from tests.unit.exporter.support import (
    ACKNOWLEDGED,
    LONG,
    SIGNER,
    VirtualClock,
    captured_log,
    core,
    csr_document,
    wait_until,
)


class Sender:
    """Records what is sent and how much of it at once; answers through `answer`."""

    def __init__(self, answer: Callable[[WorkItem], Answer] = lambda _item: ACKNOWLEDGED) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._running = 0
        self.most = 0
        self.sent: list[int] = []

    def __call__(self, item: WorkItem) -> Answer:
        """Sends one."""
        with self._lock:
            self.sent.append(int(item.reference.uid[:8]))
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            return self._answer(item)
        finally:
            with self._lock:
                self._running -= 1


@contextmanager
def _running(
    sender: Sender, *, clock: Clock | None = None
) -> Iterator[tuple[Store, Dispatcher, Metrics, Callable[[], list[dict[str, object]]]]]:
    metrics = Metrics()
    with captured_log() as (log, lines):
        store, dispatcher = core(log, metrics, clock or MonotonicClock(), send=sender)
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        try:
            yield store, dispatcher, metrics, lines
        finally:
            assert dispatcher.drain(10)[1] == 0
            thread.join()


def _seen(*numbers: int) -> list[csr.Seen]:
    return [csr.from_api(csr_document(number)) for number in numbers]


def test_no_more_than_the_limit_is_in_flight() -> None:
    """However much is due; as soon as one is answered, the next one goes."""
    go_on = threading.Event()

    def slow(_item: WorkItem) -> Answer:
        go_on.wait(LONG)
        return ACKNOWLEDGED

    sender = Sender(slow)
    with _running(sender, clock=VirtualClock()) as (store, dispatcher, _, _):
        store.watched(_seen(*range(20)))
        wait_until(lambda: len(sender.sent) == START)
        assert sender.most == START
        go_on.set()
        wait_until(lambda: len(sender.sent) == 20)
        assert START <= sender.most <= dispatcher.limiter.places


def test_a_fault_of_ours_with_one_csr_stops_nothing() -> None:
    """An exception nobody thought of is that CSR's failure: logged, retried, and the others are sent."""

    def faulty(item: WorkItem) -> Answer:
        if item.reference.name == "csr-1":
            raise RuntimeError("nobody thought of that")
        return ACKNOWLEDGED

    sender = Sender(faulty)
    with _running(sender) as (store, _, metrics, _):
        store.watched(_seen(1, 2, 3))
        wait_until(lambda: metrics.counts.get("send_attempts_total:2xx") == 2)
        wait_until(lambda: sender.sent.count(1) == 2)
        assert metrics.counts["send_attempts_total:none"] >= 1


def test_drain_says_what_is_left() -> None:
    """What waits, and what is still in flight when the time is over."""
    go_on = threading.Event()

    def slow(_item: WorkItem) -> Answer:
        go_on.wait(LONG)
        return ACKNOWLEDGED

    sender, clock = Sender(slow), VirtualClock()
    with _running(sender, clock=clock) as (store, dispatcher, _, _):
        store.watched(_seen(*range(START + 1)))
        wait_until(lambda: len(sender.sent) == START)
        clock.time += 1.0
        assert dispatcher.oldest_sending == 1.0
        assert dispatcher.drain(0.0) == (START + 1, START)
        go_on.set()
        assert dispatcher.drain(10) == (START + 1, 0)
        assert dispatcher.oldest_sending == 0.0
    assert len(sender.sent) == START


def test_a_failing_csr_is_logged_less_and_less() -> None:
    """Attempts 1, 2, 4, 8, ... have a line: an outage of hours does not fill the log."""
    sender = Sender(lambda _item: Answer(verdict=Verdict.LATER, status=500, reason="x\ny"))
    with _running(sender, clock=_Hurried()) as (store, _, metrics, lines):
        store.watched(_seen(1))
        wait_until(lambda: metrics.counts.get("retries_total:later", 0) >= 20)
        attempts = [line["attempt"] for line in lines() if line["message"] == "later"]
    assert attempts[:5] == [1, 2, 4, 8, 16]


def test_a_failing_function_is_logged_when_that_changes() -> None:
    """One line when CSRs of several requesters fail, with the reason, and one when the function answers again."""
    together = threading.Barrier(2)

    def fails_twice(item: WorkItem) -> Answer:
        if item.resend:
            return ACKNOWLEDGED
        together.wait(LONG)  # so that each round of answers is settled before the next one
        return Answer(verdict=Verdict.SLOW, reason="refused") if item.attempt < 3 else ACKNOWLEDGED

    with _running(Sender(fails_twice), clock=_Hurried()) as (store, _, _, lines):
        store.watched(_seen(1, 2))
        wait_until(lambda: "the function answers again" in {line["message"] for line in lines()})
        said = [line for line in lines() if "uid" not in line]
    assert [(line["message"], line.get("reason"), line.get("code")) for line in said] == [
        ("CSRs of several requesters fail", "refused", None),
        ("the function answers again", None, 200),
    ]


def test_a_wrong_configuration_is_logged_when_it_changes_and_counted() -> None:
    """One line says that an operator must act, one that the function issues again; the metric has its own reason."""
    wrong = Answer(verdict=Verdict.CONFIGURATION, status=503, retry_after=0.0, reason="fault ConfigurationError")
    issued = Answer(verdict=Verdict.ACKNOWLEDGED, status=200, reason="issued")
    answers = iter([wrong] * 3)
    with _running(Sender(lambda _item: next(answers, issued))) as (store, dispatcher, metrics, lines):
        store.watched(_seen(1))
        wait_until(lambda: metrics.counts.get("send_attempts_total:2xx") == 1)
        wait_until(lambda: dispatcher.misconfigured == [])
        told = [(line["severity"], line["signer_name"]) for line in lines() if "signer_name" in line]
    assert told == [("ERROR", SIGNER), ("INFO", SIGNER)]
    assert metrics.counts["retries_total:configuration"] == 3


def test_threads_are_kept() -> None:
    """No more threads than events at a time, though there are many more events one after another; all end."""
    threads = set[int]()

    def answer(_item: WorkItem) -> Answer:
        threads.add(threading.get_ident())
        return ACKNOWLEDGED

    sender, before = Sender(answer), threading.active_count()
    with _running(sender, clock=VirtualClock()) as (store, dispatcher, _, _):
        store.watched(_seen(*range(100)))
        wait_until(lambda: len(sender.sent) == 100)
        assert len(threads) <= dispatcher.limiter.places
    wait_until(lambda: threading.active_count() == before)


def test_a_pause_is_shown_while_it_lasts() -> None:
    """The gauges say that the exporter pauses, and for how long in all; an operator sees which CSRs wait."""
    overloaded, clock = Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=30.0), VirtualClock()
    with _running(Sender(lambda _item: overloaded), clock=clock) as (store, dispatcher, metrics, _):
        store.watched(_seen(1))
        wait_until(lambda: metrics.counts.get("paused_seconds_total:overloaded") == 30)
        store.watched(_seen(2))
        paused = []
        for _ in range(2):
            dispatcher.update_gauges()
            paused.append(metrics.value("function_failing"))
            assert metrics.value("concurrency_limit") == dispatcher.limiter.places
            clock.time += 30.0
        assert paused == [1, 0]
        assert [each["stage"] for each in dispatcher.snapshot()] == ["pending", "pending"]
        assert len(dispatcher.snapshot(1)) == 1


def test_what_a_resync_adds_is_sent_at_once() -> None:
    """The dispatcher sleeps, because the watch has shown nothing."""
    sender = Sender(lambda _item: ACKNOWLEDGED)
    with _running(sender) as (store, _, _, _):
        store.watched(_seen(1))
        wait_until(lambda: len(sender.sent) == 1)
        store.resync_begins()
        store.resynced(_seen(2))
        wait_until(lambda: len(sender.sent) == 2)
    assert sender.sent == [1, 2]


class _Hurried(MonotonicClock):
    """A clock on which a minute passes whenever somebody looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0

    def now(self) -> float:
        """Another minute has passed."""
        self._time += 61.0
        return self._time
