"""How much is sent at once, and when nothing is: pure, with time as an argument."""

from __future__ import annotations

import pytest

from csr_exporter.answer import Answer, Verdict, verdict_of
from csr_exporter.pace import DEFAULT_PAUSE, LONGEST_PAUSE, MOST, RETIRED_PAUSE, START, Pace


def _overloaded(retry_after: float | None = None) -> Answer:
    return Answer(verdict=Verdict.OVERLOADED, status=503, retry_after=retry_after)


ACKNOWLEDGED = Answer(verdict=Verdict.ACKNOWLEDGED, status=200)


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
        (503, Verdict.OVERLOADED),
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
    pace = Pace()
    for _ in range(START - 1):
        pace.answered(ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert pace.limit == START
    pace.answered(ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert pace.limit == START + 1
    for _ in range(MOST * MOST):
        pace.answered(ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert pace.limit == MOST


def test_row_18_overload_halves_once_per_round_and_recovers() -> None:
    """Answers to what was already in flight halve nothing more; the limit never reaches 0 and grows again."""
    pace = Pace(start=32)
    for _ in range(32):
        pace.answered(_overloaded(), sent_at=0.0, now=1.0)
    assert pace.limit == 16
    for round_ in range(10):
        pace.answered(_overloaded(), sent_at=2.0 + round_, now=2.5 + round_)
    assert pace.limit == 1
    pace.answered(ACKNOWLEDGED, sent_at=20.0, now=21.0)
    assert pace.limit == 2


def test_row_18_half_of_the_requests_refused_still_gets_through() -> None:
    """Alternating 200 and 503 settles at a small limit instead of stopping."""
    pace, now = Pace(), 0.0
    for number in range(1000):
        now = max(now + 0.1, pace.opens_at)
        pace.answered(ACKNOWLEDGED if number % 2 else _overloaded(), sent_at=now, now=now)
        assert pace.limit >= 1
    assert now <= 1000 * (0.1 + DEFAULT_PAUSE)


@pytest.mark.parametrize("verdict", [Verdict.LATER, Verdict.POISON])
def test_what_concerns_one_item_teaches_nothing(verdict: Verdict) -> None:
    """425, 500 and 400 neither gate nor slow, whatever Retry-After they carry, nor do they undo a clean window."""
    pace = Pace()
    for _ in range(START):
        pace.answered(Answer(verdict=verdict, retry_after=300.0), sent_at=0.0, now=1.0)
        pace.answered(ACKNOWLEDGED, sent_at=0.0, now=1.0)
    assert (pace.limit, pace.opens_at) == (START + 1, 0.0)


@pytest.mark.parametrize(("retry_after", "expected"), [(30.0, 30.0), (0.0, 0.0), (None, DEFAULT_PAUSE)])
def test_row_17_retry_after_gates_everything(retry_after: float | None, expected: float) -> None:
    """After 429 or 503 nothing is sent for as long as was asked for, or for a second where nothing was."""
    pace = Pace()
    pace.answered(_overloaded(retry_after), sent_at=0.0, now=10.0)
    assert pace.opens_at == 10.0 + expected


def test_a_shorter_pause_does_not_open_the_gate_early() -> None:
    """Of several Retry-After in flight the one that ends last counts."""
    pace = Pace()
    pace.answered(_overloaded(30.0), sent_at=0.0, now=10.0)
    pace.answered(_overloaded(1.0), sent_at=0.0, now=11.0)
    assert pace.opens_at == 40.0


def test_a_timeout_slows_without_gating() -> None:
    """A function that does not answer is asked less at a time, but new work is not held back."""
    pace = Pace()
    pace.answered(Answer(verdict=Verdict.SLOW), sent_at=0.0, now=60.0)
    assert pace.limit == START // 2
    assert pace.opens_at <= 60.0


def test_row_24_credential_faults_gate_longer_and_longer() -> None:
    """Each refused round doubles the pause, up to its bound; a success starts anew. Answers of one round count once."""
    pace, now, pauses = Pace(), 0.0, []
    for _ in range(9):
        for _ in range(8):
            pace.answered(Answer(verdict=Verdict.CREDENTIAL, status=403), sent_at=now, now=now + 0.5)
        pauses.append(pace.opens_at - now - 0.5)
        now = pace.opens_at
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    pace.answered(ACKNOWLEDGED, sent_at=now, now=now)
    pace.answered(Answer(verdict=Verdict.ENDPOINT, status=404), sent_at=now, now=now)
    assert pace.opens_at == now + 1


def test_row_23_a_retired_receiver_is_left_alone() -> None:
    """410 stops all sending for an hour."""
    pace = Pace()
    pace.answered(Answer(verdict=Verdict.RETIRED, status=410), sent_at=0.0, now=5.0)
    assert pace.opens_at == 5.0 + RETIRED_PAUSE
