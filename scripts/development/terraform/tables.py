"""Generates the tables of every module's variables and outputs, in terraform-docs' Markdown format.

The tables of a module are in its README.md, those of the root module in infra/VARIABLES.md. `--check` writes nothing,
and fails if a table differs from its module.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from development import generated
from development.terraform import files

INFRA: Final = Path(__file__).resolve().parents[3] / "infra"
BEGIN: Final = "<!-- BEGIN_TF_DOCS -->\n"
END: Final = "<!-- END_TF_DOCS -->\n"


def documents(infra: Path) -> dict[Path, Path]:
    """Returns the document of each module: the module's folder by the document's path."""
    modules = sorted(path for path in (infra / "modules").iterdir() if path.is_dir())
    return {infra / "VARIABLES.md": infra, **{module / "README.md": module for module in modules}}


def tables(module: Path) -> str:
    """Returns the tables of one module."""
    blocks = files.blocks(module)
    versions = files.required_providers(module).items()
    inputs = sorted((block for block in blocks if block.kind == "variable"), key=lambda block: block.labels)
    outputs = sorted((block for block in blocks if block.kind == "output"), key=lambda block: block.labels)
    lines = [
        "## Requirements",
        "",
        *_table("| Name | Version |", "| ---- | ------- |", versions),
        "",
        "## Inputs",
        "",
        *_table(
            "| Name | Description | Type | Default | Required |",
            "| ---- | ----------- | ---- | ------- | :------: |",
            map(_input, inputs),
        ),
        "",
        "## Outputs",
        "",
        *_table("| Name | Description |", "| ---- | ----------- |", ((*each.labels, _text(each)) for each in outputs)),
    ]
    return "\n".join(lines) + "\n"


def refreshed(module: Path, document: str) -> str:
    """Returns a module's document with new tables.

    Raises:
        ValueError: The document has no place for the tables.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"the document of {module.name} has no lines {BEGIN!r} and {END!r}: describe the module in one or two "
            "sentences, and add these lines below"
        )
    return f"{before}{begin}{tables(module)}{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or compares all documents; returns the exit status."""
    return max(
        generated.run(
            arguments,
            name="development.terraform.tables",
            description=__doc__,
            path=path,
            fresh=partial(refreshed, module),
        )
        for path, module in documents(INFRA).items()
    )


def _table(head: str, rule: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield head
    yield rule
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _input(block: files.Block) -> tuple[str, ...]:
    default = block.attributes.get("default")
    default_cells = ("n/a", "yes") if default is None else (_code(default), "no")
    return (*block.labels, _text(block), _code(block.attributes["type"]), *default_cells)


def _text(block: files.Block) -> str:
    text: str = json.loads(block.attributes["description"])
    return text


def _code(source: str) -> str:
    """Returns code for a cell; a cell has one line, so that HTML must break longer code."""
    return "<pre>" + source.replace("\n", "<br/>") + "</pre>" if "\n" in source else f"`{source}`"


if __name__ == "__main__":
    sys.exit(main())
