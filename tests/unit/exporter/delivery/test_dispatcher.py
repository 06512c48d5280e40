"""The loop that hands out what is due, with real threads and a `send` that answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from csr_exporter import csr
from csr_exporter.clock import Clock, MonotonicClock
from csr_exporter.csr import Stage
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.delivery.limiter import Limiter, State
from csr_exporter.metrics import Metrics
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue
from csr_exporter.watch.store import Store
from tests.unit.exporter.support import (
    ACKNOWLEDGED,
    LONG,
    SIGNER,
    VirtualClock,
    captured_log,
    core,
    csr_document,
    filed_by,
    reference,
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
        self.at: list[float] = []

    def __call__(self, item: WorkItem) -> Answer:
        """Sends one."""
        with self._lock:
            self.sent.append(int(item.reference.uid[:8]))
            self.at.append(MonotonicClock().now())
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            return self._answer(item)
        finally:
            with self._lock:
                self._running -= 1


@contextmanager
def _running(
    sender: Sender, *, limiter: Limiter | None = None, clock: Clock | None = None
) -> Iterator[tuple[Store, Dispatcher, Metrics, Callable[[], list[dict[str, object]]]]]:
    metrics = Metrics()
    with captured_log() as (log, lines):
        store, dispatcher = core(log, metrics, clock or MonotonicClock(), send=sender, limiter=limiter)
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
    with _running(sender, limiter=Limiter(start=3, most=3)) as (store, _, _, _):
        store.watched(_seen(*range(20)))
        wait_until(lambda: len(sender.sent) == 3)
        go_on.set()
        wait_until(lambda: len(sender.sent) == 20)
    assert sender.most == 3


def test_a_pause_holds_everything() -> None:
    """After 429 nothing is sent before its Retry-After has passed, new work neither."""
    answers = iter([Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=0.3)])
    sender = Sender(lambda _item: next(answers, ACKNOWLEDGED))
    with _running(sender) as (store, _, metrics, _):
        store.watched(_seen(1))
        wait_until(lambda: metrics.counts.get("retries_total:overloaded") == 1)
        store.watched(_seen(2, 3))
        wait_until(lambda: {1, 2, 3} <= set(sender.sent[1:]))
    assert all(later - sender.at[0] >= 0.3 for later in sender.at[1:])


def test_a_deferred_csr_holds_no_other_csr() -> None:
    """425 with a long Retry-After is that CSR's alone."""
    deferred = Answer(verdict=Verdict.LATER, status=425, retry_after=300.0)
    sender = Sender(lambda item: deferred if item.reference.name == "csr-1" else ACKNOWLEDGED)
    with _running(sender) as (store, _, _, _):
        store.watched(_seen(1))
        store.watched(_seen(*range(2, 52)))
        wait_until(lambda: len(sender.sent) == 51)
    assert sorted(sender.sent) == list(range(1, 52))


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

    sender = Sender(slow)
    with _running(sender, limiter=Limiter(start=2, most=2)) as (store, dispatcher, _, _):
        store.watched(_seen(1, 2, 3))
        wait_until(lambda: len(sender.sent) == 2)
        assert dispatcher.oldest_sending > 0.0
        assert dispatcher.drain(0.0) == (3, 2)
        go_on.set()
        assert dispatcher.drain(10) == (3, 0)
        assert dispatcher.oldest_sending == 0.0
    assert sorted(sender.sent) == [1, 2]


def test_a_failing_csr_is_logged_less_and_less() -> None:
    """Attempts 1, 2, 4, 8, ... have a line: an outage of hours does not fill the log."""
    sender = Sender(lambda _item: Answer(verdict=Verdict.LATER, status=500, reason="x\ny"))
    with _running(sender, clock=_Hurried()) as (store, _, metrics, lines):
        store.watched(_seen(1))
        wait_until(lambda: metrics.counts.get("retries_total:later", 0) >= 20)
        attempts = [line["attempt"] for line in lines() if line["message"] == "later"]
    assert attempts[:5] == [1, 2, 4, 8, 16]


def test_the_circuit_is_logged_when_it_changes() -> None:
    """One line when it opens, with the reason, and one when it closes; none for each failed probe."""
    answers = iter([Answer(verdict=Verdict.SLOW, reason="refused")] * 30)
    sender = Sender(lambda _item: next(answers, ACKNOWLEDGED))
    with _running(sender, clock=_Hurried()) as (store, _, metrics, lines):
        store.watched(_seen(*range(8)))
        wait_until(lambda: metrics.counts.get("send_attempts_total:2xx", 0) >= 1)
        wait_until(lambda: "the function answers again" in {line["message"] for line in lines()})
        said = [line for line in lines() if str(line["message"]).startswith("the function")]
    assert [(line["message"], line.get("reason"), line.get("code")) for line in said] == [
        ("the function cannot be reached", "refused", None),
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
    """As many threads as events at a time, though there are many more events one after another; all end."""
    together, threads = threading.Barrier(4), set[int]()

    def answer(_item: WorkItem) -> Answer:
        threads.add(threading.get_ident())
        together.wait(LONG)
        return ACKNOWLEDGED

    sender, before = Sender(answer), threading.active_count()
    with _running(sender, limiter=Limiter(start=4, most=4)) as (store, _, _, _):
        store.watched(_seen(*range(100)))
        wait_until(lambda: len(sender.sent) == 100)
    assert len(threads) == 4
    wait_until(lambda: threading.active_count() == before)


def test_observations_are_counted() -> None:
    """What is added, throttled, not held, refused for its name, and ended; the age at which a certificate showed."""
    metrics = Metrics()
    with captured_log() as (log, _):
        store, _ = core(log, metrics, MonotonicClock(), queue=WorkQueue(most=16))
        for number in range(1, 9):
            document = csr_document(number)
            document["spec"] |= filed_by(1)  # type: ignore[operator]  # an object
            store.watched([csr.from_api(document)])
        store.watched(_seen(*range(12, 20)))
        store.watched(_seen(9))
        store.watched([csr.from_api(csr_document(10, name="x" * 600))])
        store.watched([csr.from_api(csr_document(1, "Approved") | {"status": {"certificate": "eA=="}})])
        store.resync_begins()
        store.watched([csr.from_api(csr_document(2, "Denied"))])
        store.resynced(_seen(2, 11))
        store.resync_ends({SIGNER: {_seen(3)[0].reference.uid}}, since=1e12)
        store.relisted(SIGNER, {_seen(3)[0].reference.uid}, since=1e12)
    assert metrics.counts == {
        "names_refused_total": 1,
        "throttled_total": 2,
        "queue_changes_total:added": 15,
        "queue_changes_total:ended": 16,
        "queue_changes_total:full": 1,
        "queue_changes_total:throttled": 2,
    }
    assert metrics.registry.get_sample_value("csr_exporter_issuance_seconds_count") == 1
    assert store.waiting == 1


def test_the_state_at_a_moment() -> None:
    """What the metrics page and an operator are told; paused time is counted up to now."""
    metrics, clock = Metrics(), VirtualClock()
    limiter = Limiter()
    with captured_log() as (log, _):
        store, dispatcher = core(log, metrics, clock, limiter=limiter)
        store.watched(_seen(1, 2))
        overloaded = Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=30.0)
        item = WorkItem(reference=reference(9), stage=Stage.PENDING, attempt=1, resend=0, sent_at=clock.now())
        limiter.sent(item)
        limiter.answered(item, overloaded, now=clock.now())
        clock.wait(10.0)
        dispatcher.update_gauges()
        assert (metrics.value("csr_pending", stage="pending"), metrics.value("inflight")) == (2, 0)
        assert metrics.value("concurrency_limit") == limiter.limit
        assert metrics.value("circuit_state") == State.OPEN
        assert [each["stage"] for each in dispatcher.snapshot()] == ["pending", "pending"]
        assert len(dispatcher.snapshot(1)) == 1
    assert metrics.counts["paused_seconds_total:overloaded"] == 10


class _Hurried(MonotonicClock):
    """A clock on which a minute passes whenever somebody looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0

    def now(self) -> float:
        """Another minute has passed."""
        self._time += 61.0
        return self._time
