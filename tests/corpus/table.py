"""All entries: the function's own tables, and what the themes of `rows` add."""

from typing import Final

from tests.corpus.entry import Entry, refused
from tests.corpus.rows import (
    components,
    curves,
    extensions,
    keys,
    names,
    pem,
    pods,
    requesters,
    signatures,
    structure,
    subjects,
    times,
    usages,
)
from tests.function import tables

ENTRIES: Final[tuple[Entry, ...]] = (
    *refused("tests/function/tables.py", *tables.CASES),
    *pem.ROWS,
    *structure.ROWS,
    *extensions.ROWS,
    *subjects.ROWS,
    *names.ROWS,
    *usages.ROWS,
    *keys.ROWS,
    *curves.ROWS,
    *signatures.ROWS,
    *requesters.ROWS,
    *pods.ROWS,
    *times.ROWS,
    *components.ROWS,
)
