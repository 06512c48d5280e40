"""The log: one JSON object per line, bounded, escaped, without credentials, in its CSR's trace."""

import os

import pytest

from csr_exporter import csr
from csr_exporter.log import LONGEST_VALUE, Log
from tests.unit.exporter.golden import TRACE, UID
from tests.unit.exporter.support import captured_log

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


def test_a_line_has_time_severity_message_and_fields() -> None:
    """Fields that are None are left out; numbers stay numbers."""
    with captured_log() as (log, lines):
        log.info("one", code=200, seconds=0.12345, nothing=None)
        log.warning("two")
        log.error("three")
        first, second, third = lines()
    assert first.pop("time")
    assert first == {"severity": "INFO", "message": "one", "code": 200, "seconds": 0.123}
    assert (second["severity"], third["severity"]) == ("WARNING", "ERROR")


@pytest.mark.parametrize(
    ("project", "trace"), [("example-project", f"projects/example-project/traces/{TRACE}"), ("", TRACE)]
)
def test_a_line_about_a_csr_stands_in_its_trace(project: str, trace: str) -> None:
    """As Cloud Logging names it, where the project is known; a line about an event stands in the event's span too."""
    with captured_log() as (log, lines):
        log.project = project
        log.info("m", uid=UID)
        log.info("m", uid=UID, id=f"{UID}/pending")
        log.info("m", code=1)
        about_csr, about_event, about_neither = lines()
    assert about_csr["logging.googleapis.com/trace"] == about_event["logging.googleapis.com/trace"] == trace
    assert about_event["logging.googleapis.com/spanId"] == csr.span_of(f"{UID}/pending")
    assert "logging.googleapis.com/spanId" not in about_csr
    assert not [name for name in about_neither if name.startswith("logging")]


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\u2028", "\ud800", "x" * 100_000])
def test_other_parties_text_is_escaped_and_bounded(text: str) -> None:
    """It stays on its line, and is cut."""
    with captured_log() as (log, lines):
        log.info("m", text=text, uid=text)
        (line,) = lines()
    assert line["text"] == line["uid"] == text[:LONGEST_VALUE]


@pytest.mark.parametrize("text", [f"Bearer {TOKEN}", f"authorization: bearer abc {TOKEN}", TOKEN, "ya29.a0Af_secret"])
def test_credentials_are_left_out(text: str) -> None:
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
    assert log.lost == 1
