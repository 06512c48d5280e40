"""Documents that are made, or filled in, from the code: written by a command, and compared by its `--check`."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path


def run(
    arguments: Sequence[str] | None, *, name: str, description: str | None, path: Path, fresh: Callable[[str], str]
) -> int:
    """Writes a document, or compares it; returns the exit status.

    Args:
        arguments: of the command; the process's own where there are none.
        name: of the command's module.
        description: for `--help`.
        path: of the document.
        fresh: the document as it should be, from what it is.
    """
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    check = parser.parse_args(arguments).check
    present = path.read_text(encoding="utf-8") if path.is_file() else ""
    wanted = fresh(present)
    if check and wanted != present:
        print(f"{path.name} is not what the code says: run scripts/python -m {name}")
        return 1
    if not check:
        path.write_text(wanted, encoding="utf-8")
    return 0
