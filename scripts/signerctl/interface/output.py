"""How commands print lists: `-o table|wide|json|yaml`, with the meaning that kubectl gives these names."""

import enum
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from signerctl.interface.text import STYLES, WIDEST, printable

Json = Mapping[str, Any]


class Form(enum.Enum):
    """The form of a command's output."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"

    @property
    def is_for_people(self) -> bool:
        """Whether the output is a table."""
        return self in (Form.TABLE, Form.WIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        wide: Whether only `-o wide` prints it.
    """

    title: str
    wide: bool = False


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `-o table|wide|json|yaml` and `--json` to a list; the command gets a `Form` as `form`."""
    return _with_forms(command, tuple(Form))


def report_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `-o table|json|yaml` and `--json` to a command without columns; the command gets a `Form` as `form`."""
    return _with_forms(command, (Form.TABLE, Form.JSON, Form.YAML))


def _with_forms(command: Callable[..., None], forms: Sequence[Form]) -> Callable[..., None]:
    command = click.option("--json", "form", flag_value=Form.JSON, type=Form, help="The same as -o json.")(command)
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(forms, case_sensitive=False),
        default="table",
        show_default=True,
        help="The form of the output.",
    )(command)


def print_list(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], items: Sequence[Json], *, form: Form, none: str = ""
) -> None:
    """Prints a list on standard output. A table without rows is a line on standard error, as with kubectl.

    Args:
        columns: The columns of the table.
        rows: The table's cells, one for each column.
        items: The same facts for programs: `{"items": [...]}`.
        form: The form.
        none: The line for a table without rows.
    """
    if not form.is_for_people:
        print_document({"items": list(items)}, form=form)
        return
    shown = [index for index, column in enumerate(columns) if form is Form.WIDE or not column.wide]
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for index in shown:
        grid.add_column(columns[index].title.upper(), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(text, style=STYLES.get(text, "")) for text in (printable(row[index]) for index in shown)))
    if rows:
        console().print(grid)
    elif none:
        click.echo(none, err=True)


def print_document(document: Json, *, form: Form) -> None:
    """Prints one document as JSON or YAML."""
    if form is Form.YAML:
        click.echo(yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False, width=WIDEST), nl=False)
    else:
        click.echo(json.dumps(document, indent=2))


def console() -> Console:
    """Returns a console of the terminal's width; redirected lines are not folded, because programs read them."""
    return Console(file=sys.stdout, highlight=False, width=_width())


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDEST
