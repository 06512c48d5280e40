"""Printing: tables for people, and escaping of text from certificates and files for the terminal."""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDEST: Final = 4096
"""The width of redirected output: programs read it, so lines are not folded."""
STYLES: Final = {"ok": "green", "warning": "yellow", "error": "bold red", "unknown": "magenta"}


def printable(text: str) -> str:
    """Escapes characters that a terminal would interpret, and line ends."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def one_line(text: str) -> str:
    """Joins lines with spaces, and escapes characters that a terminal would interpret."""
    return printable(" ".join(text.split()))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun, in the singular, or in the plural: by default with an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def shell_word(text: str) -> str:
    """Returns a word that a POSIX shell reads as this text, for a command that an operator may copy."""
    return shlex.quote(printable(text))


def warn(message: str) -> None:
    """Prints a warning as one line on standard error."""
    click.echo(f"warning: {one_line(message)}", err=True)


def print_hanging(columns: Sequence[tuple[str, int]], text: str) -> None:
    """Prints one line of short columns and a long text; on a terminal, folds the text below itself.

    Args:
        columns: Each column's text and width; `STYLES` colours it.
        text: The long text.
    """
    indent = sum(width + 2 for _, width in columns)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDEST
    lines = textwrap.wrap(one_line(text), max(width - indent, 20), break_on_hyphens=False, break_long_words=False) or [
        ""
    ]
    line = Text()
    for cell, size in columns:
        line.append(printable(cell).ljust(size + 2), style=STYLES.get(cell, ""))
    line.append(f"\n{' ' * indent}".join(lines))
    Console(file=sys.stdout, highlight=False, width=max(width, indent + 20), soft_wrap=True).print(line)


def table(title: str, rows: Iterable[Sequence[str]]) -> None:
    """Prints a table without borders on standard output; colours `ok`, `warning` and `error` in the first column."""
    found = [tuple(map(printable, row)) for row in rows]
    grid = Table(show_header=False, box=None, pad_edge=False)
    for _ in found[0] if found else ():
        grid.add_column(overflow="fold")
    for row in found:
        first = Text(row[0], style=STYLES.get(row[0], "dim"))
        grid.add_row(first, *map(Text, row[1:]))
    # Programs read redirected output, so lines are not folded: a fingerprint stays in one piece.
    width = None if sys.stdout.isatty() else WIDEST
    console = Console(file=sys.stdout, highlight=False, width=width)
    console.print(Text(printable(title), style="bold"), soft_wrap=True)  # rich would fold it to the table's width
    console.print(grid)
