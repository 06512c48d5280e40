"""What came of a run, for people and for programs."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, Final, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from development.matrix.run import Cell, Run
from development.matrix.stacks import Stack

T = TypeVar("T")

_WIDTH: Final = 120
_NOT_HERE: Final = "not here"


def show(run: Run, asked: Sequence[Stack], file: IO[str]) -> None:
    """Three tables: by issuer, by request, and what was refused; then every complaint and what is not here."""
    console = Console(file=file, highlight=False, width=_WIDTH, emoji=False, markup=False)
    tables = (
        _issued(run, asked, "issuer", lambda cell: cell.issuer),
        _issued(run, asked, "request", lambda cell: cell.request),
        _refused(run, asked),
    )
    for table in tables:
        console.print(table, "")
    for stack in run.stacks:
        console.print(f"{stack.name}: {stack.describe()}, {run.seconds[stack.name]:.1f} s")
    for name, why in run.missing.items():
        console.print(Text(f"NOT TESTED with {name}: {why}", style="bold yellow"), soft_wrap=True)
    for complaint in run.complaints():
        console.print(Text(complaint, style="red"), soft_wrap=True)
    issuing = f"{len(run.cells)} certificates in {run.seconds['issuing']:.1f} s"
    console.print(f"{issuing}, {run.questions} questions to each stack")


def as_json(run: Run) -> str:
    """The same, every cell by itself."""
    document: dict[str, Any] = {
        "stacks": {stack.name: stack.describe() for stack in run.stacks},
        "missing": dict(run.missing),
        "seconds": {name: round(spent, 3) for name, spent in run.seconds.items()},
        "certificates": [
            {
                "issuer": cell.issuer,
                "key": cell.key,
                "digest": cell.digest,
                "issued": not cell.fault,
                "refused": {stack.name: why for stack in run.stacks if (why := run.refusal(cell, stack))},
            }
            for cell in run.cells
        ],
        "controls": [
            {
                "issuer": control.issuer,
                "control": control.name,
                "failed": {stack.name: why for stack in run.stacks if (why := run.failure(control, stack))},
            }
            for control in run.controls
        ],
        "complaints": list(run.complaints()),
    }
    return json.dumps(document, indent=1)


def _issued(run: Run, asked: Sequence[Stack], title: str, row_of: Callable[[Cell], str]) -> Table:
    table = _table(f"certificates by {title}: issued, and verified by each stack", title, ("issued", *_names(asked)))

    def row(name: str, cells: Sequence[Cell]) -> None:
        issued = _count(cells, lambda cell: not cell.fault)
        stacks = [_cell(run, stack, cells, lambda cell, stack: not run.refusal(cell, stack)) for stack in asked]
        table.add_row(name, issued, *stacks)

    for name in dict.fromkeys(map(row_of, run.cells)):
        row(name, [cell for cell in run.cells if row_of(cell) == name])
    table.add_section()
    row("total", run.cells)
    return table


def _refused(run: Run, asked: Sequence[Stack]) -> Table:
    table = _table("controls: refused, once under each issuer", "control", _names(asked))
    for name in dict.fromkeys(control.name for control in run.controls):
        controls = [control for control in run.controls if control.name == name]
        cells = [_cell(run, stack, controls, lambda each, stack: not run.failure(each, stack)) for stack in asked]
        table.add_row(name, *cells)
    return table


def _cell(run: Run, stack: Stack, things: Sequence[T], good: Callable[[T, Stack], bool]) -> Text:
    if stack.name in run.missing:
        return Text(_NOT_HERE, style="bold yellow")
    return _count(things, lambda each: good(each, stack))


def _count(things: Sequence[T], good: Callable[[T], bool]) -> Text:
    count = sum(map(good, things))
    return Text(f"{count}/{len(things)}", style="green" if count == len(things) else "bold red")


def _names(stacks: Iterable[Stack]) -> tuple[str, ...]:
    return tuple(stack.name for stack in stacks)


def _table(title: str, first: str, others: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table
