"""Documents that a command generates from the code, and compares with `--check`."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path


def between(document: str, begin: str, end: str, content: str, *, name: str) -> str:
    """Returns the document with new content between its two marks.

    Args:
        document: The present document.
        begin: The line before the content.
        end: The line after it.
        content: The new content.
        name: The document's name, for the error.

    Raises:
        ValueError: The document has no place for the content.
    """
    before, found, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{name} has no lines {begin!r} and {end!r}")
    return f"{before}{begin}{content}{end}{after}"


def anchor(heading: str) -> str:
    """Returns a heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def run(
    arguments: Sequence[str] | None, *, name: str, description: str | None, path: Path, fresh: Callable[[str], str]
) -> int:
    """Writes or compares a document; returns the exit status.

    Args:
        arguments: Arguments of the command; None for the process's own.
        name: Name of the command's module.
        description: Text for `--help`.
        path: The document.
        fresh: Returns the correct document for the current one.
    """
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    check = parser.parse_args(arguments).check
    present = path.read_text(encoding="utf-8") if path.is_file() else ""
    wanted = fresh(present)
    if check and wanted != present:
        print(f"{path} is not what the code says: run scripts/python -m {name}")
        return 1
    if not check:
        path.write_text(wanted, encoding="utf-8")
    return 0
