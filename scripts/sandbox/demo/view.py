"""The demo's output: drawn on a terminal, or as plain lines."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sandbox.calico.fleet import Submission
    from sandbox.calico.observer import Observation
    from sandbox.demo.summary import Attack, Summary

    Fleet = Sequence[Submission]
    Seen = Mapping[str, Observation]

_EACH_LINE = 100  # up to this fleet size, each request gets a line
_AROUND = 10  # terminal lines outside the fleet's table
_NAME = 56  # width of the longest CSR name
_LABEL = 27  # width of the longest name of a fact, and two spaces
_ISSUED = "Approved,Issued"
_STYLES = {"Pending": "yellow", "Approved": "cyan", _ISSUED: "green", "Denied": "red", "Failed": "red"}


class View(Protocol):
    """The output interface of the story."""

    def title(self, text: str) -> None:
        """Prints the title."""

    def stage(self, text: str) -> None:
        """Announces the next stage."""

    def step(self, text: str) -> None:
        """Announces a step of the stage."""

    def note(self, text: str) -> None:
        """Prints a note."""

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Prints names and values."""

    def command(self, purpose: str, lines: Sequence[str]) -> None:
        """Prints a shell command in several lines, to copy."""

    def fleet(self, total: int) -> contextlib.AbstractContextManager[None]:
        """Encloses the calls of `update` for a fleet of that size."""

    def update(self, submissions: Fleet, seen: Seen) -> None:
        """Shows the fleet's current state."""

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Shows the results of the attacks."""

    def summary(self, summary: Summary) -> None:
        """Shows the figures."""


class PlainView:
    """Prints lines of text: one for each request that ended, or for each tenth of a large fleet."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._shown: set[str] = set()
        self._tenths = 0
        self._total = 0

    def title(self, text: str) -> None:
        """Prints the title and an empty line."""
        self.note(f"{text}\n")

    def stage(self, text: str) -> None:
        """Prints the stage with the seconds since the start."""
        self.note(f"[{time.monotonic() - self._begun:5.1f} s] {text}")

    def step(self, text: str) -> None:
        """Prints the step below the stage, with the seconds since the start."""
        self.stage(f"  {text}")

    def note(self, text: str) -> None:
        """Prints a note."""
        print(text, flush=True)

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Prints one line for each fact."""
        for name, value in facts:
            self.note(f"  {name + ':':<{_LABEL}}{value}")

    def command(self, purpose: str, lines: Sequence[str]) -> None:
        """Prints the command with its purpose."""
        self.note(_command(purpose, lines))

    @contextlib.contextmanager
    def fleet(self, total: int) -> Iterator[None]:
        """Prints the header of the lines for each request."""
        self._total = total
        if total <= _EACH_LINE:
            self.note(f"  {'CSR':<{_NAME}}  {'key':<8}  issued in")
        yield

    def update(self, submissions: Fleet, seen: Seen) -> None:
        """Prints the requests that have ended since the last call."""
        ended = [each for each in submissions if _ended(each, seen) < float("inf") and each.uid not in self._shown]
        for submission in sorted(ended, key=lambda each: _ended(each, seen)):
            self._shown.add(submission.uid)
            if self._total <= _EACH_LINE:
                self.note(f"  {submission.name:<{_NAME}}  {_key(submission):<8}  {_result(submission, seen)}")
        done = len(self._shown)
        if self._total > _EACH_LINE and done * 10 // self._total > self._tenths:
            self._tenths = done * 10 // self._total
            self.note(f"  {done} of {self._total} requests have ended")

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Prints each attack, and below it the answer."""
        for attack in attacks:
            self.note(_attack(attack))
            self.note(_answer(attack))

    def summary(self, summary: Summary) -> None:
        """Prints one line for each figure."""
        for name, value, right in figures(summary):
            self.note(f"  {name:<24} {value}{'' if right else '  NOT AS EXPECTED'}")


class LiveView:
    """Draws tables on a terminal, several times a second."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._total = 0

    def title(self, text: str) -> None:
        """Prints the title."""
        self._console.print(Text(text, style="bold"))

    def stage(self, text: str) -> None:
        """Prints the stage below an empty line."""
        self._console.print(Text(f"\n● {text}", style="bold"))

    def step(self, text: str) -> None:
        """Prints the step below the stage."""
        self._console.print(Text(f"  {text}", style="dim"))

    def note(self, text: str) -> None:
        """Prints a note."""
        self._console.print(Text(text, style="dim"))

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Prints one line for each fact; a terminal can select a value that it has wrapped."""
        for name, value in facts:
            line = Text(f"  {name + ':':<{_LABEL}}", style="dim").append(value, style="not dim")
            self._console.print(line, soft_wrap=True)

    def command(self, purpose: str, lines: Sequence[str]) -> None:
        """Prints the command with its purpose."""
        self._console.print(_command(purpose, lines), soft_wrap=True, markup=False)

    @contextlib.contextmanager
    def fleet(self, total: int) -> Iterator[None]:
        """Draws until the block ends; the last picture stays."""
        self._total = total
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield
        self._live = None

    def update(self, submissions: Fleet, seen: Seen) -> None:
        """Draws the fleet again."""
        if self._live is not None:
            self._live.update(self._picture(submissions, seen), refresh=True)

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Prints each attack, and below it the answer."""
        for attack in attacks:
            self._console.print(Text(_attack(attack), style="bold"))
            answer = Text(_answer(attack), style="dim")
            answer.highlight_words([attack.verdict], "red not dim" if attack.as_expected else "bold yellow")
            self._console.print(answer, soft_wrap=True)

    def summary(self, summary: Summary) -> None:
        """Prints a table of the figures."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, value, right in figures(summary):
            table.add_row(Text(name, style="dim"), Text(value, style="green" if right else "bold red"))
        self._console.print(table)

    def _picture(self, submissions: Fleet, seen: Seen) -> Group:
        counts: dict[str, int] = {}
        for submission in submissions:
            state = _state(submission, seen)
            counts[state] = counts.get(state, 0) + 1
        line = Text("  ").join(Text(f"{state} {number}", style=_style(state)) for state, number in counts.items())
        issued = counts.get(_ISSUED, 0)
        bar = ProgressBar(total=self._total, completed=issued, width=min(60, self._console.width))
        return Group(Padding(bar), line, self._table(submissions, seen))

    def _table(self, submissions: Fleet, seen: Seen) -> Table:
        table = Table("CSR", "key", "issued in", box=None, pad_edge=False, header_style="dim")
        room = max(self._console.height - _AROUND, 3)
        # Open requests come first, then the latest results.
        ordered = sorted(submissions, key=lambda each: _ended(each, seen), reverse=True)[:room]
        for submission in ordered:
            result = Text(_result(submission, seen), style=_style(_state(submission, seen)))
            table.add_row(submission.name, _key(submission), result)
        return table


def complain(text: str, status: int) -> int:
    """Prints an error to stderr; returns the exit status."""
    print(f"demo: {text}", file=sys.stderr)
    return status


def figures(summary: Summary) -> list[tuple[str, str, bool]]:
    """Returns the lines of the summary: name, value, and whether the value is as expected."""
    wrong = [f"{name}: {violation}" for name, violation in summary.violations.items() if violation]
    lines = [
        ("certificates issued", f"{summary.issued} of {summary.requested}", summary.issued == summary.requested),
        ("chains verified", f"{summary.verified} of {summary.issued} (openssl verify)", not wrong),
        *(("", violation, False) for violation in wrong[:10]),
        (
            "attackers refused",
            f"{summary.refused} of {len(summary.attacks)}",
            summary.refused == len(summary.attacks),
        ),
        ("request to certificate", f"median {summary.median:.2f} s, 95 % within {summary.p95:.2f} s", True),
        ("certificates per second", f"{summary.per_second:.0f}", True),
    ]
    if summary.signatures is not None:
        text = f"{summary.signatures} ({summary.issued} certificates, 1 CA certificate)"
        # The function may repeat a request to KMS, so only fewer signatures than certificates are a fault.
        lines.append(("KMS signatures", text, summary.signatures >= summary.issued + 1))
    return lines


def _attack(attack: Attack) -> str:
    return _wrapped(f"{attack.name}: {attack.wrong}{'' if attack.as_expected else '  NOT AS EXPECTED'}", "  ")


def _answer(attack: Attack) -> str:
    return _wrapped(f"{attack.verdict}: {attack.reason}", "    ")


def _wrapped(text: str, indent: str) -> str:
    """Wraps text at the terminal's width, or at 80 columns in a pipe."""
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _command(purpose: str, lines: Sequence[str]) -> str:
    return f"\nTo {purpose}:\n  " + " \\\n    ".join(lines)


def _state(submission: Submission, seen: Seen) -> str:
    found = seen.get(submission.uid)
    return "Pending" if found is None else found.state


def _result(submission: Submission, seen: Seen) -> str:
    """Returns the seconds to the certificate; without one, the state."""
    state = _state(submission, seen)
    return f"{_ended(submission, seen) - submission.submitted:.2f} s" if state == _ISSUED else state


def _ended(submission: Submission, seen: Seen) -> float:
    found = seen.get(submission.uid)
    return float("inf") if found is None or found.ended is None else found.ended


def _key(submission: Submission) -> str:
    return submission.member.management.key_algorithm.replace("RSAWithSize", "RSA-").replace("ECDSAWithCurve", "P-")


def _style(state: str) -> str:
    return _STYLES.get(state, "magenta")
