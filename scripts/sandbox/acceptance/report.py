"""The checks of a run: a line for each, and the report."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Level = Literal["ok", "warning", "failed", "skipped"]

_LEVELS = get_args(Level)
_PROJECT = re.compile(r"(projects/)[^/\s]+")
_DOTTED = r"(?:[\w-]+\.)+[^\W\d_][\w-]+"
_EMAIL = re.compile(rf"[^\s@\"'`<>()|]+@{_DOTTED}")
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f:.]*::|(?:[0-9A-Fa-f]*:){4})[0-9A-Fa-f:.]+(?:%\w+)?")
# Also an API's group and a field's path: which of them is a host of the operator's, no pattern can tell.
_HOST = re.compile(rf"\b(?:{_DOTTED}|\d{{1,3}}(?:\.\d{{1,3}}){{3}})\b")
_PLAIN = re.compile(r"[A-Za-z0-9 ,:'-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a check found."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A check with its outcome and its duration."""

    name: str
    outcome: Outcome
    seconds: float


def ok(text: str) -> Outcome:
    """Returns that a check passed."""
    return Outcome(level="ok", text=text)


def warning(text: str) -> Outcome:
    """Returns that a check passed, but the operator should look at it."""
    return Outcome(level="warning", text=text)


def failed(text: str) -> Outcome:
    """Returns that a check failed."""
    return Outcome(level="failed", text=text)


def skipped(why: str) -> Outcome:
    """Returns that a check could not be made here."""
    return Outcome(level="skipped", text=why)


@dataclass(kw_only=True)
class Run:
    """All checks so far.

    Attributes:
        lines: The checks in their order.
        begun: When the run began.
    """

    lines: list[Line] = field(default_factory=list)
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))

    def check(self, name: str, action: Callable[[], Outcome]) -> Outcome:
        """Makes a check, and prints its line; an error is a failure."""
        started = time.monotonic()
        try:
            outcome = action()
        except Exception as error:  # noqa: BLE001 - also one that no check expects belongs in the report
            outcome = failed(f"{type(error).__name__}: {error}")
        self.add(name, outcome, time.monotonic() - started)
        return outcome

    @contextlib.contextmanager
    def checks(self, name: str) -> Iterator[None]:
        """Adds a failed check of this name if a `with` block, which adds its own checks, raises an error."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as above
            self.add(name, failed(f"{type(error).__name__}: {error}"))

    def add(self, name: str, outcome: Outcome, seconds: float = 0.0) -> None:
        """Adds a check that was made elsewhere, and prints its line; the cluster's text is escaped."""
        name, outcome = one_line(name), replace(outcome, text=one_line(outcome.text))
        self.lines.append(Line(name=name, outcome=outcome, seconds=seconds))
        print(f"{outcome.level:<7}  {seconds:6.1f} s  {name}: {outcome.text}", flush=True)

    @property
    def has_failed(self) -> bool:
        """Tells whether a check failed."""
        return any(line.outcome.level == "failed" for line in self.lines)

    def summary(self) -> str:
        """Returns the number of checks by level."""
        levels = [line.outcome.level for line in self.lines]
        return ", ".join(f"{levels.count(level)} {level}" for level in _LEVELS)

    def write(self, path: Path, *, mode: str, redact: bool) -> None:
        """Writes the report as Markdown: no credentials, and with `redact` no hosts, addresses, emails and projects."""
        text = "\n".join(self._report(mode))
        path.write_text(redacted(text) if redact else text, encoding="utf-8")

    def _report(self, mode: str) -> Iterable[str]:
        yield from ("# Acceptance", "", f"{self.begun:%Y-%m-%d %H:%M} UTC, {mode}: {self.summary()}.", "")
        yield from ("| check | result | seconds | found |", "| --- | --- | --- | --- |")
        for line in self.lines:
            yield f"| {_cell(line.name)} | {line.outcome.level} | {line.seconds:.1f} | {_cell(line.outcome.text)} |"
        yield ""


def one_line(text: str) -> str:
    """Joins lines with spaces, and escapes characters that a terminal would interpret."""
    text = " ".join(text.split())
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def _cell(text: str) -> str:
    """Returns a cell of a table in Markdown: in a code span, nothing is a link, an image or HTML."""
    if _PLAIN.fullmatch(text):
        return text
    return f"`{text.replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def redacted(text: str) -> str:
    """Returns a text without names of hosts and projects, addresses and emails."""
    text = _EMAIL.sub("EMAIL", _PROJECT.sub(r"\1PROJECT", text))
    return _HOST.sub("HOST", _IPV6.sub("ADDRESS", text))
