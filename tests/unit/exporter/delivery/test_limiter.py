"""How many events may be in flight, and until when none may be sent: pure, with time as an argument."""

import dataclasses

import pytest

from csr_exporter.csr import Stage
from csr_exporter.delivery.limiter import DEFAULT_PAUSE, FAULT_PAUSE, LEAST, MOST, MOST_IN_FLIGHT, START, STUCK, Limiter
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict, verdict_of
from tests.unit.exporter.support import reference


def _answer(status: int | None, retry_after: float | None = None, *, fault: str = "") -> Answer:
    verdict = Verdict.SLOW if status is None else verdict_of(status, fault)
    return Answer(verdict=verdict, status=status, retry_after=retry_after)


def _item(requester: str = "a", *, sent_at: float = 0.0) -> WorkItem:
    it = dataclasses.replace(reference(), requester=requester)
    return WorkItem(reference=it, stage=Stage.APPROVED, attempt=1, resend=0, sent_at=sent_at)


ACKNOWLEDGED = _answer(200)
FORBIDDEN = _answer(403)
OF_ONE_CSR = [
    _answer(400, 300.0),
    _answer(425, 300.0),
    _answer(500, 300.0),
    _answer(500, 300.0, fault="SignerConfigurationError"),
    Answer(verdict=Verdict.LATER),  # an internal error
]
FAULTS = [
    _answer(None),
    *(_answer(status) for status in (302, 401, 404, 410, 502, 503)),
    FORBIDDEN,
    _answer(503, 300.0),
    _answer(503, 0.0, fault="ConfigurationError"),
]


@pytest.mark.parametrize(
    ("answer", "limits", "pauses"),
    [
        *((each, (32, 32), (0.0, 0.0)) for each in [ACKNOWLEDGED, *OF_ONE_CSR]),
        *((each, (32, 16), (0.0, FAULT_PAUSE)) for each in FAULTS),
        (_answer(429), (16, 16), (DEFAULT_PAUSE, 0.0)),
        (_answer(429, 0.0), (16, 16), (0.0, 0.0)),
        (_answer(429, 300.0), (16, 16), (300.0, 0.0)),
    ],
)
def test_what_an_answer_means_for_all_csrs(
    answer: Answer, limits: tuple[int, int], pauses: tuple[float, float]
) -> None:
    """To one requester's CSR, then to another's: only 429, and a fault that two suffer, slow and pause."""
    limiter = Limiter()
    limiter.limit = 32
    for requester, limit, pause in zip("ab", limits, pauses, strict=True):
        assert limiter.answered(_item(requester, sent_at=9.0), answer, now=10.0) == pause
        assert limiter.places == limit
    assert limiter.admits_at(10.0, []) == 10.0 + sum(pauses)
    assert limiter.is_failing == (answer in FAULTS)


@pytest.mark.parametrize("answer", FAULTS)
def test_faults_of_one_requester_teach_nothing(answer: Answer) -> None:
    """However many CSRs a hostile pod files: neither alone, nor beside others that the function answers."""
    limiter = Limiter()
    for number in range(20):
        for requester, each in (("hostile", answer), ("hostile", answer), ("honest", OF_ONE_CSR[number % 4])):
            assert not limiter.answered(_item(requester, sent_at=number), each, now=number)
            assert not limiter.is_failing
    assert (limiter.limit, limiter.admits_at(20.0, [])) == (START, 20.0)


def test_a_function_that_answers_about_a_csr_does_not_fail() -> None:
    """Then two requesters must fail again. What says nothing of the function changes nothing; the pause remains."""
    limiter = Limiter()
    for requester in "ab":
        limiter.answered(_item(requester), FORBIDDEN, now=1.0)
    for neither in (_answer(429), Answer(verdict=Verdict.LATER)):
        limiter.answered(_item("c"), neither, now=1.0)
        assert limiter.is_failing
    limiter.answered(_item("c"), _answer(425), now=2.0)
    assert (limiter.is_failing, limiter.admits_at(2.0, [])) == (False, 1.0 + FAULT_PAUSE)
    assert not limiter.answered(_item("a", sent_at=9.0), FORBIDDEN, now=9.0)
    assert limiter.answered(_item("b", sent_at=9.0), FORBIDDEN, now=9.0) == FAULT_PAUSE


def test_the_limit_follows_the_function() -> None:
    """One more after a round of acknowledgements, up to MOST; half as many after a round with a failure."""
    limiter = Limiter()
    grown = []
    for _ in range(2 * START + 1):
        limiter.answered(_item(), ACKNOWLEDGED, now=1.0)
        grown.append(limiter.places)
    assert grown == [START] * (START - 1) + [START + 1] * (START + 1) + [START + 2]
    for _ in range(MOST * MOST):
        limiter.answered(_item(), ACKNOWLEDGED, now=1.0)
    assert limiter.limit == MOST
    halved = []
    for sent_at, now in ((0.0, 2.0), (1.9, 3.0), (3.1, 4.0), (3.9, 5.0), (5.1, 5.5), (6.1, 6.5)):
        limiter.answered(_item(sent_at=sent_at), _answer(429, 0.0), now=now)
        halved.append(limiter.limit)
    assert halved == [MOST // 2, MOST // 2, MOST // 4, MOST // 4, LEAST, LEAST]


@pytest.mark.parametrize(
    ("sent", "now", "expected"),
    [
        ([0.0] * (START - 1), 1.0, 1.0),
        ([0.0] * START, 1.0, STUCK),
        ([0.0] * 2 + [1.0] * (START - 2), 2.0, STUCK),
        ([0.0] * 2 + [1.0] * (START - 2), STUCK, STUCK),
        ([0.0] * 2 + [1.0] * START, STUCK, 1.0 + STUCK),
        ([0.0] * (MOST_IN_FLIGHT - 1), 99.0, 99.0),
        ([0.0] * MOST_IN_FLIGHT, 99.0, None),
    ],
)
def test_events_in_flight_hold_places(sent: list[float], now: float, expected: float | None) -> None:
    """Each until it is answered, or stuck; with those that are stuck there are MOST_IN_FLIGHT at most."""
    assert Limiter().admits_at(now, [_item(sent_at=each) for each in sent]) == expected


def test_an_event_waits_for_a_place_and_for_the_end_of_the_pause() -> None:
    """Whichever comes later."""
    limiter = Limiter()
    limiter.answered(_item(), _answer(429, 2.0), now=0.0)
    assert limiter.admits_at(0.0, [_item(sent_at=0.0)] * START) == STUCK
    assert limiter.admits_at(0.0, [_item(sent_at=-2.0)] * START) == 2.0


def test_no_answer_shortens_a_pause() -> None:
    """Of several answers the pause that ends last counts; each second counts once, for the answer that made it."""
    limiter = Limiter()
    rows = [(10.0, 30.0, 30.0, 40.0), (11.0, 1.0, 0.0, 40.0), (20.0, 25.0, 5.0, 45.0), (50.0, 1.0, 1.0, 51.0)]
    for now, asked, prolonged, until in rows:
        assert limiter.answered(_item(), _answer(429, asked), now=now) == prolonged
        assert limiter.paused_until == until
        limiter.answered(_item(), ACKNOWLEDGED, now=now)
        assert limiter.admits_at(now, []) == until


def test_late_answers_to_events_before_the_pause_do_not_prolong_it() -> None:
    """What was sent before and fails during the pause, or after it, says nothing new. What is sent at its end does."""
    limiter = Limiter()
    limiter.limit = MOST
    for requester in "ab":
        limiter.answered(_item(requester, sent_at=0.0), FORBIDDEN, now=1.0)
    for now in (1.0, 3.0, 60.0):
        assert not limiter.answered(_item("c", sent_at=1.0), FORBIDDEN, now=now)
    assert len(limiter.failing) == 2
    assert (limiter.limit, limiter.paused_until) == (MOST // 2, 1.0 + FAULT_PAUSE)
    # Until the function answers about a CSR, any requester's failure is one more of the function.
    assert limiter.answered(_item("a", sent_at=1.0 + FAULT_PAUSE), FORBIDDEN, now=7.0) == FAULT_PAUSE
    assert (limiter.limit, limiter.paused_until) == (MOST // 4, 7.0 + FAULT_PAUSE)
