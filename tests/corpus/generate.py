"""`scripts/python -m tests.corpus.generate`: writes `tests/cases` anew; the same bytes on every run.

What a case must give is said in `rows` and in tests/function/tables.py. Only the certificates of honest cases are
taken from the code: whoever runs this sees in the difference what changed of them.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.corpus.document import files
from tests.corpus.entry import Entry
from tests.corpus.recorded import CASES, EVENTS

_OURS: Final = ("*/*.csr", "*/*.json", "*.csr", "*.json")


def entries() -> tuple[Entry, ...]:
    """All of them; their keys take some seconds, which nobody waits for who does not ask."""
    from tests.corpus.table import ENTRIES  # noqa: PLC0415 - see above

    return ENTRIES


def present(folder: Path = CASES) -> dict[str, bytes]:
    """The corpus as it lies in a folder, by path."""
    found = {path for pattern in _OURS for path in folder.glob(pattern) if path.parent.name != EVENTS}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(found)}


def write(wanted: Mapping[str, bytes], folder: Path = CASES) -> list[str]:
    """Writes what differs, removes what is no longer there; says which."""
    lying = present(folder)
    gone = sorted(lying.keys() - wanted.keys())
    for path in gone:
        (folder / path).unlink()
    for place in {(folder / path).parent for path in gone}:
        if not any(place.iterdir()):
            place.rmdir()
    changed = [path for path, content in wanted.items() if lying.get(path) != content]
    for path in changed:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(wanted[path])
    return gone + changed


def main() -> int:
    """Writes the corpus and says what changed."""
    every = entries()
    wanted = files(every)
    size = sum(map(len, wanted.values()))
    changed = write(wanted)
    sys.stdout.write(f"{len(every)} cases, {len(wanted)} files of {size} bytes; {len(changed)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
