"""Waits between tries, and what Retry-After asks for."""

import time
from email.utils import formatdate

import pytest

from csr_exporter.clock import Backoff
from csr_exporter.connection import LONGEST_RETRY_AFTER, retry_after


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 1), (1.0, 2)])
def test_waits_double_up_to_their_bound(chance: float, factor: int) -> None:
    """From 0.8 to 30 seconds, and at random up to twice that."""
    backoff = Backoff(chance=lambda: chance)
    assert [backoff.delay(0.0) for _ in range(8)] == [
        factor * each for each in (0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30)
    ]


def test_waits_start_again_after_two_healthy_minutes() -> None:
    """Health is counted from the end of the last wait; less of it changes nothing."""
    backoff = Backoff(chance=lambda: 0.0)
    backoff.delay(0.0)
    assert backoff.delay(120.8) == 1.6
    assert backoff.delay(120.8 + 1.6 + 120.1) == 0.8


def test_failures_without_end_are_few() -> None:
    """At most five more tries in 30 s, however the dice fall."""
    for chance in (0.0, 0.5, 1.0):
        backoff, now, tries = Backoff(chance=lambda chance=chance: chance), 0.0, 0  # type: ignore[misc]  # a default
        while (now := now + backoff.delay(now)) <= 30.0:
            tries += 1
        assert tries <= 5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("1000000000", LONGEST_RETRY_AFTER),
        ("9" * 20, LONGEST_RETRY_AFTER),
        ("9" * 400, LONGEST_RETRY_AFTER),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Fri, 15 Jan 99999999999999999999 08:00:40 GMT", None),
        ("Thu, 15 Jan 2026 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2128 08:00:00 GMT", LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_in_all_its_forms(value: str | None, seconds: float | None) -> None:
    """Seconds and dates are understood and capped; what makes no sense is as if it were not there."""
    assert retry_after(value) == seconds


@pytest.mark.parametrize("usegmt", [True, False], ids=["GMT", "-0000"])
def test_retry_after_as_a_date(*, usegmt: bool) -> None:
    """It counts from this machine's time."""
    date = formatdate(time.time() + 60, usegmt=usegmt)
    assert retry_after(date) == pytest.approx(60, abs=30)
