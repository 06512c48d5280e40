"""Records and lines that cannot be parsed: a command counts and skips them, and fails if a record may be among them.

A writer of the log can forge records of any content. One of them must neither end a command nor pass for a good record.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import click

from csr_signer.violation import LONGEST_SENTENCE, quote
from signerctl.interface.text import warn
from signerctl.recorded.entries import Json, insert_id_of, member, text_or_empty

T = TypeVar("T")

_MAX_NAMED: Final = 20
"""The count has all malformed records; a forger must not bury other messages."""
_DAMAGED: Final = re.compile(r"""\{\s*"|.*"csr_uid"\s*:""")
"""A line that is no JSON object, but may be what is left of a record: it was cut, or something stands before it."""


class Malformed:
    """The malformed records of one command.

    Attributes:
        count: Their number.
        other_lines: The number of lines that are not JSON objects, and not what is left of a record.
    """

    def __init__(self) -> None:
        self.count = 0
        self.other_lines = 0

    def skip(self, entries: Iterable[Json], parse: Callable[[Json], T | None]) -> Iterator[T]:
        """Yields what `parse` makes of each entry, unless that is None.

        Args:
            entries: Log entries and bare records.
            parse: Raises ValueError if the entry is malformed.
        """
        for entry in entries:
            try:
                parsed = parse(entry)
            except ValueError as error:
                self._add(f"skipped a malformed record ({_name(entry)}): {str(error)[:LONGEST_SENTENCE]}")
                continue
            if parsed is not None:
                yield parsed

    def is_damaged(self, line: str) -> bool:
        """Tells whether a line that is not a JSON object may be what is left of a record; counts and names it then."""
        if _DAMAGED.match(line) is None:
            return False
        self._add(f"skipped a line that may be a malformed record: {quote(line)}: must be a JSON object")
        return True

    def _add(self, message: str) -> None:
        self.count += 1
        if self.count <= _MAX_NAMED:
            warn(message)

    def report(self) -> None:
        """Prints how many records and other lines were skipped."""
        if self.other_lines:
            click.echo(f"lines that are not JSON objects: {self.other_lines} skipped", err=True)
        if self.count:
            click.echo(f"error: malformed records: {self.count} skipped: the command did not use them", err=True)

    def exit(self) -> None:
        """Ends the command with exit status 1 if a record was skipped.

        Raises:
            click.exceptions.Exit: A record was skipped.
        """
        if self.count:
            click.get_current_context().exit(1)


def _name(entry: Json) -> str:
    payload = member(entry, "jsonPayload") or entry
    names = {
        "event": text_or_empty(payload, "event"),
        "insertId": insert_id_of(entry),
        "csr_uid": text_or_empty(payload, "csr_uid"),
    }
    return ", ".join(f"{name} {quote(value)}" for name, value in names.items() if value)
