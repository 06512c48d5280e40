"""The demo's output, drawn on a terminal."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sandbox.demo.view import (
    ISSUED,
    LABEL,
    answer_lines,
    attack_line,
    command_lines,
    ended_at,
    figures,
    key_type,
    result_of,
    state_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sandbox.demo.summary import Attack, Summary
    from sandbox.demo.view import Fleet, Seen

_AROUND = 10  # terminal lines outside the fleet's table
_STYLES = {"Pending": "yellow", "Approved": "cyan", ISSUED: "green", "Denied": "red", "Failed": "red"}


class LiveView:
    """Draws tables on a terminal, several times a second."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
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
            line = Text(f"  {name + ':':<{LABEL}}", style="dim").append(value, style="not dim")
            self._console.print(line, soft_wrap=True)

    def command(self, purpose: str, lines: Sequence[str]) -> None:
        """Prints the command with its purpose."""
        self._console.print(command_lines(purpose, lines), soft_wrap=True, markup=False)

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
            self._console.print(Text(attack_line(attack), style="bold"))
            answer = Text(answer_lines(attack), style="dim")
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
            state = state_of(submission, seen)
            counts[state] = counts.get(state, 0) + 1
        line = Text("  ").join(Text(f"{state} {number}", style=_style(state)) for state, number in counts.items())
        issued = counts.get(ISSUED, 0)
        bar = ProgressBar(total=self._total, completed=issued, width=min(60, self._console.width))
        return Group(Padding(bar), line, self._table(submissions, seen))

    def _table(self, submissions: Fleet, seen: Seen) -> Table:
        table = Table("CSR", "key", "issued in", box=None, pad_edge=False, header_style="dim")
        room = max(self._console.height - _AROUND, 3)
        # Open requests come first, then the latest results.
        ordered = sorted(submissions, key=lambda each: ended_at(each, seen), reverse=True)[:room]
        for submission in ordered:
            result = Text(result_of(submission, seen), style=_style(state_of(submission, seen)))
            table.add_row(submission.name, key_type(submission), result)
        return table


def _style(state: str) -> str:
    return _STYLES.get(state, "magenta")
