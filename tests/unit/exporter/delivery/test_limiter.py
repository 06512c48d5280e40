"""How much is sent at once, and when nothing is: pure, with time as an argument."""

import dataclasses
import itertools

import pytest

from csr_exporter.csr import Stage
from csr_exporter.delivery.limiter import (
    DEFAULT_PAUSE,
    FAILURES,
    LEAST,
    LONGEST_PAUSE,
    LONGEST_UNAVAILABLE_PAUSE,
    MOST,
    PROBE_PATIENCE,
    RETIRED_PAUSE,
    START,
    Limiter,
    State,
)
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import HANG, Answer, Verdict, verdict_of
from tests.unit.exporter.support import reference


def _overloaded(retry_after: float | None = None) -> Answer:
    return Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=retry_after)


def _unavailable(retry_after: float | None = None) -> Answer:
    return Answer(verdict=Verdict.UNAVAILABLE, status=503, retry_after=retry_after)


def _item(requester: str = "a", *, suspect: bool = False, sent_at: float = 0.0) -> WorkItem:
    it = dataclasses.replace(reference(next(NUMBERS)), requester=requester)
    return WorkItem(reference=it, stage=Stage.APPROVED, attempt=1, resend=0, suspect=suspect, sent_at=sent_at)


def _answered(
    limiter: Limiter, answer: Answer, *, sent_at: float, now: float, requester: str = "a", suspect: bool = False
) -> bool:
    item = _item(requester, suspect=suspect, sent_at=sent_at)
    limiter.in_flight[item.reference.uid] = item
    return limiter.answered(item, answer, now=now)


def _send(limiter: Limiter, count: int, now: float) -> None:
    for _ in range(count):
        limiter.sent(_item(sent_at=now))


def _fails_for_two(limiter: Limiter, answer: Answer, *, sent_at: float, now: float, suspect: bool = False) -> None:
    assert not _answered(limiter, answer, sent_at=sent_at, now=now, requester="a", suspect=suspect)
    assert _answered(limiter, answer, sent_at=sent_at, now=now, requester="b", suspect=suspect)


def _opens_at(limiter: Limiter, now: float) -> float:
    at = limiter.admits_at(now)
    assert at is not None
    return at


NUMBERS = itertools.count()

ACKNOWLEDGED = Answer(verdict=Verdict.ACKNOWLEDGED, status=200)

UNREACHABLE = Answer(verdict=Verdict.SLOW)
FORBIDDEN = Answer(verdict=Verdict.CREDENTIAL, status=403)
NOT_FOUND = Answer(verdict=Verdict.ENDPOINT, status=404)
RETIRED = Answer(verdict=Verdict.RETIRED, status=410)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.ACKNOWLEDGED),
        (204, Verdict.ACKNOWLEDGED),
        (301, Verdict.ENDPOINT),
        (302, Verdict.ENDPOINT),
        (307, Verdict.ENDPOINT),
        (400, Verdict.POISON),
        (401, Verdict.CREDENTIAL),
        (403, Verdict.CREDENTIAL),
        (404, Verdict.ENDPOINT),
        (405, Verdict.ENDPOINT),
        (408, Verdict.SLOW),
        (409, Verdict.LATER),
        (410, Verdict.RETIRED),
        (413, Verdict.POISON),
        (415, Verdict.POISON),
        (422, Verdict.POISON),
        (425, Verdict.LATER),
        (429, Verdict.OVERLOADED),
        (500, Verdict.LATER),
        (502, Verdict.SLOW),
        (503, Verdict.UNAVAILABLE),
        (504, Verdict.SLOW),
        (101, Verdict.ENDPOINT),
        (599, Verdict.LATER),
        (999, Verdict.ENDPOINT),
    ],
)
def test_every_status_has_a_meaning(status: int, verdict: Verdict) -> None:
    """Each HTTP status concerns the event, the item, the credential, the endpoint or the load, as the design says."""
    assert verdict_of(status) is verdict


def test_clean_windows_allow_one_more_up_to_the_cap() -> None:
    """As many successes as the limit raise it by one, and never beyond the cap."""
    limiter = Limiter()
    for _ in range(START - 1):
        _answered(limiter, ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert limiter.limit == START
    _answered(limiter, ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert limiter.limit == START + 1
    for _ in range(MOST * MOST):
        _answered(limiter, ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert limiter.limit == MOST


def test_overload_halves_once_per_round_and_recovers() -> None:
    """Answers to what was already in flight halve nothing more; two may always be under way, and more later."""
    limiter = Limiter(start=32)
    for _ in range(32):
        _answered(limiter, _overloaded(), sent_at=0.0, now=1.0)
    assert limiter.limit == 16
    for round_ in range(10):
        _answered(limiter, _overloaded(), sent_at=2.0 + round_, now=2.5 + round_)
    assert limiter.limit == LEAST
    for _ in range(LEAST):
        _answered(limiter, ACKNOWLEDGED, sent_at=20.0, now=21.0)
    assert limiter.limit == LEAST + 1


@pytest.mark.parametrize(
    ("status", "fault", "verdict"),
    [
        (503, "ConfigurationError", Verdict.CONFIGURATION),
        (500, "SignerConfigurationError", Verdict.SIGNER_CONFIGURATION),
        (500, "ConfigurationError", Verdict.LATER),
        (503, "SignerConfigurationError", Verdict.UNAVAILABLE),
        (503, "UnavailableError", Verdict.UNAVAILABLE),
        (429, "ConfigurationError", Verdict.OVERLOADED),
        (500, "ItemError", Verdict.LATER),
        (503, "configuration", Verdict.UNAVAILABLE),
    ],
)
def test_a_wrong_configuration_is_told_apart_by_an_allow_list(status: int, fault: str, verdict: Verdict) -> None:
    """Only the two faults that an operator must end, and only with their own status."""
    assert verdict_of(status, fault) is verdict


@pytest.mark.parametrize("verdict", [Verdict.LATER, Verdict.SIGNER_CONFIGURATION, Verdict.POISON])
def test_what_concerns_one_item_teaches_nothing(verdict: Verdict) -> None:
    """425, 500 and 400 neither pause nor slow, whatever Retry-After they carry, nor do they undo a clean window."""
    limiter = Limiter()
    for _ in range(START):
        _answered(limiter, Answer(verdict=verdict, status=425, retry_after=300.0), sent_at=0.0, now=1.0)
        _answered(limiter, ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert (limiter.limit, limiter.admits_at(1.0)) == (START + 1, 1.0)


def test_the_limit_admits_no_more() -> None:
    """With fewer events in flight than the limit, now. If every slot is stuck, one more, up to the cap."""
    limiter = Limiter()
    _send(limiter, START - 1, 5.0)
    assert limiter.admits_at(5.0) == 5.0
    _send(limiter, 1, 5.0)
    assert limiter.admits_at(5.0) == 5.0 + HANG
    assert limiter.admits_at(50.0) == 50.0
    _send(limiter, MOST - START, 50.0)
    assert limiter.admits_at(1000.0) is None


@pytest.mark.parametrize(("retry_after", "expected"), [(30.0, 30.0), (0.0, 0.0), (None, DEFAULT_PAUSE)])
def test_retry_after_of_429_pauses_everything(retry_after: float | None, expected: float) -> None:
    """After 429 nothing is sent for as long as was asked for, or for a second where nothing was."""
    limiter = Limiter()
    _answered(limiter, _overloaded(retry_after), sent_at=0.0, now=10.0)
    assert limiter.admits_at(10.0) == 10.0 + expected


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Of several Retry-After in flight the one that ends last counts, also if another status asks for less."""
    limiter = Limiter()
    _answered(limiter, _overloaded(30.0), sent_at=0.0, now=10.0)
    _answered(limiter, _overloaded(1.0), sent_at=0.0, now=11.0)
    for requester in "ab":
        _answered(limiter, _unavailable(2.0), sent_at=0.0, now=12.0, requester=requester)
    assert limiter.admits_at(12.0) == 40.0


@pytest.mark.parametrize("others_are_acknowledged", [True, False])
def test_503_of_one_requesters_csrs_neither_pauses_nor_slows(*, others_are_acknowledged: bool) -> None:
    """However many CSRs a hostile pod files, its 503 hold up nobody: neither beside others nor in a quiet cluster."""
    limiter = Limiter()
    for number in range(START - 1):
        assert not _answered(limiter, _unavailable(30.0), sent_at=float(number), now=number + 0.1, requester="hostile")
        if others_are_acknowledged:
            _answered(limiter, ACKNOWLEDGED, sent_at=float(number), now=number + 0.2, requester="honest")
        assert (limiter.limit, limiter.state(number + 0.2)) == (START, State.CLOSED)
        assert limiter.admits_at(number + 0.2) == number + 0.2


@pytest.mark.parametrize("verdict", [Verdict.UNAVAILABLE, Verdict.CONFIGURATION])
@pytest.mark.parametrize(
    ("retry_after", "expected"), [(30.0, LONGEST_UNAVAILABLE_PAUSE), (2.0, 2.0), (0.0, 0.0), (None, DEFAULT_PAUSE)]
)
def test_503_to_different_requesters_pauses_and_slows(
    retry_after: float | None, expected: float, verdict: Verdict
) -> None:
    """That is the function's fault: all wait as long as it asks for, but for a few seconds at most at a time.

    The metric of paused seconds tells a wrong configuration apart.
    """
    limiter, answer = Limiter(), Answer(verdict=verdict, status=503, retry_after=retry_after)
    assert not _answered(limiter, answer, sent_at=0.0, now=10.0, requester="a")
    assert _answered(limiter, answer, sent_at=0.0, now=10.0, requester="b")
    assert (limiter.admits_at(10.0), limiter.limit) == (10.0 + expected, START // 2)
    assert _answered(limiter, dataclasses.replace(answer, retry_after=4.0), sent_at=15.0, now=20.0, requester="a")
    assert limiter.admits_at(20.0) == 24.0
    assert limiter.paused_seconds(30.0) == {verdict.value: expected + 4.0}


def test_two_hostile_requesters_pause_nothing_between_acknowledgements() -> None:
    """An answer about a CSR shows that the function works: it ends the pause, and the 503 before it no longer count."""
    limiter = Limiter()
    for requester in "ab":
        _answered(limiter, _unavailable(30.0), sent_at=0.0, now=1.0, requester=requester)
    assert limiter.admits_at(1.0) == 1.0 + LONGEST_UNAVAILABLE_PAUSE
    for answer in (ACKNOWLEDGED, Answer(verdict=Verdict.LATER, status=425)):
        _answered(limiter, answer, sent_at=0.0, now=2.0, requester="c")
        assert limiter.admits_at(2.0) == 2.0
        _answered(limiter, _unavailable(30.0), sent_at=0.0, now=2.0, requester="a")
        assert limiter.admits_at(2.0) == 2.0


def test_503_does_not_end_the_pause_of_another_503() -> None:
    """Nor does 429."""
    limiter = Limiter()
    for number, answer in enumerate([_unavailable(5.0), _unavailable(5.0), _unavailable(1.0), _overloaded(1.0)]):
        _answered(limiter, answer, sent_at=0.0, now=10.0, requester=str(number))
    assert limiter.admits_at(10.0) == 15.0


def test_paused_time_is_counted_once_and_by_reason() -> None:
    """Seconds in which nothing was sent: as they pass, not in advance, and each for the reason that held then."""
    limiter = Limiter()
    assert limiter.paused_seconds(5.0) == {}
    _answered(limiter, _overloaded(30.0), sent_at=0.0, now=10.0)
    assert limiter.paused_seconds(10.0) == {}
    assert limiter.paused_seconds(20.0) == {"overloaded": 10.0}
    _fails_for_two(limiter, RETIRED, sent_at=0.0, now=25.0)
    assert limiter.paused_seconds(35.0) == {"overloaded": 5.0, "retired": 10.0}
    assert limiter.paused_seconds(1e9) == {"retired": RETIRED_PAUSE - 10.0}
    assert limiter.paused_seconds(2e9) == {}


def test_a_timeout_slows_without_a_pause() -> None:
    """A function that does not answer two requesters gets fewer events at a time, but no pause."""
    limiter = Limiter()
    _fails_for_two(limiter, UNREACHABLE, sent_at=0.0, now=60.0)
    assert (limiter.limit, limiter.admits_at(60.0)) == (START // 2, 60.0)


def test_a_suspect_that_hangs_again_teaches_nothing() -> None:
    """A CSR that hangs again and again says nothing of the function, unless it and another one are probes."""
    limiter = Limiter()
    for number in range(20):
        _answered(limiter, UNREACHABLE, sent_at=float(number), now=60.0 + number, requester=str(number), suspect=True)
    assert (limiter.limit, limiter.state(80.0)) == (START, State.CLOSED)
    _fails_for_two(limiter, NOT_FOUND, sent_at=80.0, now=80.0)
    assert limiter.state(81.0) is State.HALF_OPEN
    _fails_for_two(limiter, UNREACHABLE, sent_at=81.0, now=82.0, suspect=True)
    assert limiter.state(82.0) is State.OPEN


@pytest.mark.parametrize(
    "verdict", [Verdict.CREDENTIAL, Verdict.ENDPOINT, Verdict.RETIRED, Verdict.UNAVAILABLE, Verdict.SLOW]
)
def test_a_suspect_csr_stops_nothing(verdict: Verdict) -> None:
    """If a CSR fails again as if the function was at fault, while the function answers others, only the CSR waits."""
    limiter = Limiter()
    for requester in "ab":
        answer = Answer(verdict=verdict, status=403, retry_after=30.0)
        assert not _answered(limiter, answer, sent_at=0.0, now=1.0, requester=requester, suspect=True)
    assert (limiter.limit, limiter.state(1.0), limiter.admits_at(1.0)) == (START, State.CLOSED, 1.0)


def test_credential_faults_pause_longer_and_longer() -> None:
    """Each refused round doubles the pause, up to its bound; a success starts anew. Answers of one round count once.

    Each round has CSRs of two requesters.
    """
    limiter, now, pauses = Limiter(), 0.0, []
    for _ in range(8):
        for number in range(8):
            _answered(limiter, FORBIDDEN, sent_at=now, now=now + 0.5, requester=str(number % 2))
        pauses.append(_opens_at(limiter, now) - now - 0.5)
        now = _opens_at(limiter, now)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    _answered(limiter, ACKNOWLEDGED, sent_at=now, now=now)
    _fails_for_two(limiter, NOT_FOUND, sent_at=now, now=now)
    assert _opens_at(limiter, now) == now + 1


def test_a_retired_receiver_is_left_alone() -> None:
    """410 to two requesters stops all sending for an hour; then one event asks again."""
    limiter = Limiter()
    _fails_for_two(limiter, RETIRED, sent_at=0.0, now=5.0)
    assert limiter.admits_at(5.0) == 5.0 + RETIRED_PAUSE
    limiter.sent(_item(sent_at=5.0 + RETIRED_PAUSE))
    assert limiter.admits_at(5.0 + RETIRED_PAUSE) == 5.0 + RETIRED_PAUSE + PROBE_PATIENCE


@pytest.mark.parametrize("answer", [FORBIDDEN, NOT_FOUND, RETIRED])
def test_another_servers_answers_to_one_requester_neither_pause_nor_slow(answer: Answer) -> None:
    """A firewall may dislike one pod's CSR names. The same answer to a second requester is the function's fault."""
    limiter = Limiter()
    for number in range(100):
        assert not _answered(limiter, answer, sent_at=float(number), now=number + 0.1, requester="hostile")
    assert (limiter.limit, limiter.state(100.0), limiter.is_down) == (START, State.CLOSED, False)
    assert _answered(limiter, answer, sent_at=99.0, now=100.0, requester="honest")
    assert (limiter.limit, limiter.state(100.0), limiter.is_down) == (START // 2, State.OPEN, True)


def test_410_does_not_stop_a_function_that_answers() -> None:
    """An answer of the function's to what was under way shows that it is there: nothing is held back any more."""
    limiter = Limiter()
    _fails_for_two(limiter, RETIRED, sent_at=0.0, now=5.0)
    _answered(limiter, ACKNOWLEDGED, sent_at=0.0, now=6.0)
    assert (limiter.state(6.0), limiter.admits_at(6.0)) == (State.CLOSED, 6.0)
    assert limiter.paused_seconds(100.0) == {"retired": 1.0}


def test_what_the_function_asks_for_outlives_the_circuits_pause() -> None:
    """A Retry-After of 429 still holds when an answer ends the pause for another reason."""
    limiter = Limiter()
    _answered(limiter, _overloaded(30.0), sent_at=0.0, now=0.0)
    _fails_for_two(limiter, RETIRED, sent_at=0.0, now=5.0)
    _answered(limiter, ACKNOWLEDGED, sent_at=0.0, now=6.0)
    assert limiter.admits_at(6.0) == 30.0
    assert limiter.paused_seconds(100.0) == {"overloaded": 29.0, "retired": 1.0}


def test_many_failures_open_the_circuit() -> None:
    """So many in a row, of more than one requester: nothing is sent; an answer before that starts the count anew."""
    limiter = Limiter()
    for round_ in range(2):
        for number in range(FAILURES - 1):
            _answered(limiter, UNREACHABLE, sent_at=0.0, now=1.0, requester=str(number))
        assert limiter.state(1.0) is State.CLOSED
        if not round_:
            _answered(limiter, Answer(verdict=Verdict.LATER, status=500), sent_at=0.0, now=1.0)
    _answered(limiter, UNREACHABLE, sent_at=0.0, now=1.0, requester="0")
    assert (limiter.state(1.0), limiter.admits_at(1.0)) == (State.OPEN, 2.0)


def test_one_requester_opens_no_circuit() -> None:
    """However often its CSRs fail: it may be their fault."""
    limiter = Limiter()
    for number in range(100):
        _answered(limiter, UNREACHABLE, sent_at=float(number), now=1.0 + number)
    assert limiter.state(101.0) is State.CLOSED


def _opened() -> Limiter:
    limiter = Limiter()
    for number in range(FAILURES):
        _answered(limiter, UNREACHABLE, sent_at=0.0, now=1.0, requester=str(number))
    return limiter


def test_half_open_sends_one_probe() -> None:
    """After the pause one event is sent, whatever else is still under way, and another only if it is not answered."""
    limiter = _opened()
    assert limiter.state(2.0) is State.HALF_OPEN
    assert limiter.admits_at(2.0) == 2.0
    limiter.sent(_item(sent_at=2.0))
    assert limiter.admits_at(2.0) == 2.0 + PROBE_PATIENCE


@pytest.mark.parametrize(
    ("answer", "state", "opens_at"),
    [
        (ACKNOWLEDGED, State.CLOSED, 2.5),
        (Answer(verdict=Verdict.LATER, status=425), State.CLOSED, 2.5),
        (Answer(verdict=Verdict.POISON, status=400), State.CLOSED, 2.5),
        (_overloaded(), State.OPEN, 2.5 + DEFAULT_PAUSE),
        (_unavailable(), State.CLOSED, 2.5),
        (Answer(verdict=Verdict.LATER), State.HALF_OPEN, 2.5),  # an internal error: the next event is the probe
        (Answer(verdict=Verdict.SLOW, status=504), State.HALF_OPEN, 2.5),  # of one requester: the next event, too
        (Answer(verdict=Verdict.CREDENTIAL, status=401), State.HALF_OPEN, 2.5),
    ],
)
def test_the_probes_answer_decides(answer: Answer, state: State, opens_at: float) -> None:
    """Any answer of the function closes the circuit breaker; no answer, or another server's, needs a second probe."""
    limiter = _opened()
    limiter.sent(_item(sent_at=2.0))
    _answered(limiter, answer, sent_at=2.0, now=2.5)
    assert (limiter.state(2.5), limiter.admits_at(2.5)) == (state, opens_at)
    assert limiter.is_down == (state is State.HALF_OPEN)


@pytest.mark.parametrize("answer", [UNREACHABLE, FORBIDDEN, NOT_FOUND])
def test_two_requesters_failed_probes_open_the_circuit_breaker_again(answer: Answer) -> None:
    """However often the probes of one requester fail, the next event may be sent at once."""
    limiter = _opened()
    for _ in range(10):
        limiter.sent(_item(sent_at=2.0))
        assert not _answered(limiter, answer, sent_at=2.0, now=2.5, requester="hostile")
        assert (limiter.state(2.5), limiter.admits_at(2.5)) == (State.HALF_OPEN, 2.5)
    assert _answered(limiter, answer, sent_at=2.5, now=2.5, requester="honest")
    assert (limiter.state(2.5), limiter.admits_at(2.5), limiter.is_down) == (State.OPEN, 4.5, True)


def test_a_retry_after_of_429_ends_half_open() -> None:
    """After the pause the limiter admits one probe; its answer admits the others."""
    limiter = Limiter()
    _answered(limiter, _overloaded(30.0), sent_at=0.0, now=0.0)
    assert (limiter.state(29.0), limiter.state(30.0)) == (State.OPEN, State.HALF_OPEN)
    limiter.sent(_item(sent_at=30.0))
    assert limiter.admits_at(30.0) == 30.0 + PROBE_PATIENCE
    assert not limiter.is_down
    _answered(limiter, ACKNOWLEDGED, sent_at=30.0, now=31.0)
    assert (limiter.state(31.0), limiter.admits_at(31.0)) == (State.CLOSED, 31.0)


def test_probes_that_fail_after_429_open_the_circuit_breaker() -> None:
    """Those of two requesters are enough then; what was sent before the pause is no probe."""
    limiter = Limiter()
    _answered(limiter, _overloaded(30.0), sent_at=0.0, now=0.0)
    _answered(limiter, UNREACHABLE, sent_at=0.0, now=10.0)
    assert not limiter.is_down
    _fails_for_two(limiter, UNREACHABLE, sent_at=30.0, now=31.0)
    assert limiter.is_down
    assert (limiter.state(31.0), limiter.admits_at(31.0)) == (State.OPEN, 32.0)


def test_late_failures_do_not_open_the_circuit_breaker_again() -> None:
    """What was sent before it opened and fails later says nothing new; what succeeds does."""
    limiter = _opened()
    _answered(limiter, UNREACHABLE, sent_at=0.5, now=30.0)
    assert limiter.state(30.0) is State.HALF_OPEN
    _answered(limiter, ACKNOWLEDGED, sent_at=0.5, now=31.0)
    assert limiter.state(31.0) is State.CLOSED
