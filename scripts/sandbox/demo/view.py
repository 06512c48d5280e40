"""The demo's output: drawn on a terminal, or as plain lines."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.calico.fleet import Submission
    from sandbox.calico.observer import Observation
    from sandbox.demo.summary import Attack, Summary

    Fleet = Sequence[Submission]
    Seen = Mapping[str, Observation]

_EACH_LINE = 100  # up to this fleet size, each request gets a line
_AROUND = 10  # terminal lines outside the fleet's table
_STYLES = {"Pending": "yellow", "Approved": "cyan", "Approved,Issued": "green", "Denied": "red", "Failed": "red"}


class View(Protocol):
    """The output interface of the story."""

    def stage(self, text: str) -> None:
        """Announces the next step."""

    def note(self, text: str) -> None:
        """Prints a note."""

    def fleet(self, total: int) -> contextlib.AbstractContextManager[None]:
        """Encloses the calls of `update` for a fleet of that size."""

    def update(self, submissions: Fleet, seen: Seen) -> None:
        """Shows the fleet's current state."""

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Shows the results of the attacks."""

    def summary(self, summary: Summary) -> None:
        """Shows the figures."""


class PlainView:
    """Prints lines of text: one for each change, or for each tenth of a large fleet."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._shown: dict[str, str] = {}
        self._tenths = 0
        self._total = 0

    def stage(self, text: str) -> None:
        """Prints the step with the seconds since the start."""
        print(f"[{time.monotonic() - self._begun:5.1f} s] {text}", flush=True)

    def note(self, text: str) -> None:
        """Prints a note."""
        print(text, flush=True)

    @contextlib.contextmanager
    def fleet(self, total: int) -> Iterator[None]:
        """Prints nothing itself."""
        self._total = total
        yield

    def update(self, submissions: Fleet, seen: Seen) -> None:
        """Prints the changes."""
        for submission in submissions:
            state = _state(submission, seen)
            before = self._shown.get(submission.uid)
            self._shown[submission.uid] = state
            if before != state and self._total <= _EACH_LINE:
                print(f"  {submission.name:<66} {_key(submission):<9} {state:<16} {_seconds(submission, seen)}")
        issued = sum(1 for state in self._shown.values() if state == "Approved,Issued")
        if self._total > _EACH_LINE and issued * 10 // self._total > self._tenths:
            self._tenths = issued * 10 // self._total
            print(f"  {issued} of {self._total} Approved,Issued", flush=True)

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Prints two lines for each attack."""
        for attack in attacks:
            mark = "" if attack.as_expected else "  NOT AS EXPECTED"
            print(f"  {attack.name + ':':<22} {attack.wrong}{mark}\n      {attack.verdict}: {attack.reason}")

    def summary(self, summary: Summary) -> None:
        """Prints one line for each figure."""
        for name, value, right in figures(summary):
            print(f"  {name:<24} {value}{'' if right else '  NOT AS EXPECTED'}")


class LiveView:
    """Draws tables on a terminal, several times a second."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._total = 0

    def stage(self, text: str) -> None:
        """Draws a rule with a title."""
        self._console.print(Text(f"\n● {text}", style="bold"))

    def note(self, text: str) -> None:
        """Prints a note."""
        self._console.print(Text(text, style="dim"))

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
        """Prints a table of the attacks with full reasons."""
        table = Table("attack", "verdict", box=None, pad_edge=False, header_style="dim", padding=(0, 2, 1, 0))
        for attack in attacks:
            style = "red" if attack.as_expected else "bold yellow"
            table.add_row(
                Text(attack.name, style="bold").append(f"\n{attack.wrong}", style="dim not bold"),
                Text(attack.verdict, style=style).append(f"\n{attack.reason}", style="dim not bold"),
            )
        self._console.print(table)

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
        issued = counts.get("Approved,Issued", 0)
        bar = ProgressBar(total=self._total, completed=issued, width=min(60, self._console.width))
        return Group(bar, line, self._table(submissions, seen))

    def _table(self, submissions: Fleet, seen: Seen) -> Table:
        table = Table("CSR", "key", "state", "seconds", box=None, pad_edge=False, header_style="dim")
        room = max(self._console.height - _AROUND, 3)
        # Open requests come first, then the latest results.
        ordered = sorted(submissions, key=lambda each: _ended(each, seen), reverse=True)[:room]
        for submission in ordered:
            state = Text(_state(submission, seen), style=_style(_state(submission, seen)))
            table.add_row(submission.name, _key(submission), state, _seconds(submission, seen))
        return table


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


def _state(submission: Submission, seen: Seen) -> str:
    found = seen.get(submission.uid)
    return "Pending" if found is None else found.state


def _seconds(submission: Submission, seen: Seen) -> str:
    found = seen.get(submission.uid)
    return "" if found is None or found.ended is None else f"{found.ended - submission.submitted:.2f} s"


def _ended(submission: Submission, seen: Seen) -> float:
    found = seen.get(submission.uid)
    return float("inf") if found is None or found.ended is None else found.ended


def _key(submission: Submission) -> str:
    return submission.member.management.key_algorithm.replace("RSAWithSize", "RSA-").replace("ECDSAWithCurve", "P-")


def _style(state: str) -> str:
    return _STYLES.get(state, "magenta")
