"""The log: one JSON object per line, bounded, escaped, without credentials."""

from __future__ import annotations

import os

import pytest

from csr_exporter.log import LONGEST_VALUE, Log
from tests.exporter.support import captured_log

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


def test_a_line_has_time_severity_message_and_fields() -> None:
    """Fields that are None are left out; numbers stay numbers."""
    with captured_log() as (log, lines):
        log.info("one", uid="u", code=200, seconds=0.12345, nothing=None)
        log.warning("two")
        log.error("three")
        first, second, third = lines()
    assert first.pop("time")
    assert first == {"severity": "INFO", "message": "one", "uid": "u", "code": 200, "seconds": 0.123}
    assert (second["severity"], third["severity"]) == ("WARNING", "ERROR")


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\u2028", "\ud800", "x" * 100_000])
def test_other_parties_text_is_escaped_and_bounded(text: str) -> None:
    """It stays on its line, and is cut."""
    with captured_log() as (log, lines):
        log.info("m", text=text)
        (line,) = lines()
    assert line["text"] == text[:LONGEST_VALUE]


@pytest.mark.parametrize("text", [f"Bearer {TOKEN}", f"authorization: bearer abc {TOKEN}", TOKEN, "ya29.a0Af_secret"])
def test_row_25_credentials_are_left_out(text: str) -> None:
    """Nothing that looks like a token is written, also when it is in the middle of something long."""
    with captured_log() as (log, lines):
        log.info("m", text=f"before {text} after")
        (line,) = lines()
    assert str(line["text"]).startswith("before ")
    assert not any(secret in str(line["text"]) for secret in ("eyJ", "ya29.", "abc"))


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """It is counted, and the caller goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    log = Log(writing)
    log.info("lost")
    os.close(writing)
    assert log.counts == {"log_errors_total": 1}


def test_counts() -> None:
    """Counts add up; those that are 0 are not shown."""
    log = Log()
    log.count("b")
    log.count("a", 2)
    log.count("b", 3)
    log.count("c", 0)
    assert log.counts == {"a": 2, "b": 4}
