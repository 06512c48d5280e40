"""Reads log entries and audit records: JSON objects, from files of any length.

An entry is one of three: an audit record as the function or signerctl prints it, Cloud Logging's entry of such a record
(`jsonPayload`), or an entry of Cloud KMS's audit log (`protoPayload`).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from csr_signer import field_error
from csr_signer.audit import EVENTS

Json = Mapping[str, Any]


class Text(Protocol):
    """A text that is read piece by piece."""

    def read(self, size: int, /) -> str:
        """Returns the next piece; empty at the end."""


_CHUNK: Final = 1 << 20
_LARGEST: Final = 16 << 20
"""Characters of an entry; Cloud Logging's largest entry has 256 KiB, which gcloud can print as 8 million characters."""
_AHEAD: Final = 1 << 12
"""Characters that are held, if the text has them: they tell an array from a line that starts with a bracket, and what
a skipped line was."""
_SPACE: Final = re.compile(r"\s*")
_ARRAY: Final = re.compile(r"\[")
_ARRAY_OF_OBJECTS: Final = re.compile(r"\[\s*(?=[{\]])")


def read(text: Text, *, skip: Callable[[str], None] | None = None) -> Iterator[Json]:
    """Reads JSON objects: one array, as `gcloud logging read --format=json` prints, or a sequence of objects.

    Args:
        text: The text; it is read piece by piece, because the records of a day may have hundreds of megabytes.
        skip: Gets the start of each other line, as between the records in a process's log; such a line is then skipped.
            Without it, and in an array, no line is skipped.

    Raises:
        ValueError: The text is not JSON, or holds other values.
    """
    buffer = _Buffer(text)
    inside, arrays = False, True
    while buffer.next():
        if not inside and arrays and buffer.skip(_ARRAY_OF_OBJECTS if skip is not None else _ARRAY):
            inside = True
        elif inside and buffer.skip_character(","):
            continue
        elif inside and buffer.skip_character("]"):
            inside = False
        else:
            arrays = inside or skip is None  # a line of a process's log may start as an array does
            try:
                yield buffer.decode()
            except ValueError:
                # In an array, the next line may hold an inner object of this entry, which is no record.
                if inside or skip is None:
                    raise
                skip(buffer.skip_line())
    if inside:
        raise ValueError("the array has no end")


class _Buffer:
    """A piece of the text, and the position in it."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._decoder = json.JSONDecoder()
        self._held = ""
        self._position = 0
        self._ended = False

    def next(self) -> bool:
        """Skips white space; tells whether anything is left."""
        self.skip(_SPACE)
        while len(self._held) - self._position < _AHEAD and self._more():
            self.skip(_SPACE)
        return self._position < len(self._held)

    def skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self._held, self._position)
        self._position = found.end() if found else self._position
        return found is not None

    def skip_character(self, character: str) -> bool:
        found = self._held.startswith(character, self._position)
        self._position += found
        return found

    def skip_line(self) -> str:
        """Skips the rest of the line; returns its start."""
        start = self._held[self._position : self._position + _AHEAD].partition("\n")[0]
        while (end := self._held.find("\n", self._position)) < 0:
            self._position = len(self._held)
            if not self._more():
                return start
        self._position = end + 1
        return start

    def decode(self) -> Json:
        """Returns the object at the position."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._position)
            except ValueError:
                # The object may continue in the next piece.
                is_object = self._held.startswith("{", self._position)
                if not is_object or len(self._held) - self._position > _LARGEST or not self._more():
                    raise
                continue
            except RecursionError as error:
                raise ValueError("must be an object of fewer levels") from error
            if not isinstance(value, dict):
                # A ValueError, as for bad JSON: the caller handles both in the same way.
                raise ValueError(f"{type(value).__name__}: must be an object: a log entry or a record")  # noqa: TRY004
            self._position = end
            return value

    def _more(self) -> bool:
        piece = "" if self._ended else self._text.read(_CHUNK)
        self._ended = not piece
        self._held = self._held[self._position :] + piece
        self._position = 0
        return bool(piece)


def once(entries: Iterable[Json]) -> Iterator[Json]:
    """Drops duplicates: the periods of two files may overlap, and Cloud Logging may deliver an entry twice."""
    seen: set[tuple[str, str, str]] = set()
    for entry in entries:
        payload = member(entry, "jsonPayload") or entry
        insert_id = insert_id_of(entry)
        # The log is part of the identity: a writer of another log chooses insertId and timestamp, and could hide an
        # entry of Cloud KMS. Records are one log: one file may have a record bare, and another one as an entry.
        log = "" if record_of(entry) is not None else text_or_empty(entry, "logName")
        identity = (log, insert_id, text_or_empty(entry, "timestamp") or text_or_empty(payload, "time"))
        if insert_id and identity in seen:
            continue
        seen.add(identity)
        yield entry


def insert_id_of(entry: Json) -> str:
    """Returns the insertId of a log entry or bare record; empty if it has none."""
    payload = member(entry, "jsonPayload") or entry
    return text_or_empty(entry, "insertId") or text_or_empty(payload, "logging.googleapis.com/insertId")


def record_of(entry: Json) -> Json | None:
    """Returns an entry's audit record with its `time`; None if the entry is something else."""
    payload = member(entry, "jsonPayload") if "jsonPayload" in entry else entry
    event = payload.get("event")
    if not isinstance(event, str) or event not in EVENTS:
        return None
    if payload is entry:
        return entry
    # Sorts out the lines of exporters in the same bucket. It proves nothing: a writer of the function's project's logs
    # chooses the resource.
    if member(entry, "resource").get("type") != "cloud_run_revision":
        return None
    return {"time": entry.get("timestamp"), **payload}


def member(entry: Json, name: str) -> Json:
    """Returns an object's member that is an object; an empty one if it is none."""
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def text(record: Json, name: str) -> str:
    """Returns a record's field that is a text.

    Raises:
        ValueError: The record lacks it, or has another type in it.
    """
    value = record.get(name)
    if not isinstance(value, str):
        # A ValueError, as for a wrong time: the caller handles both in the same way.
        raise ValueError(field_error.malformed(name, "must be a string"))  # noqa: TRY004
    return value


def optional_text(record: Json, name: str) -> str:
    """Returns a record's field that is a text; empty if the record lacks it.

    Raises:
        ValueError: The record has another type in it.
    """
    return "" if record.get(name) is None else text(record, name)


def text_or_empty(entry: Json, name: str) -> str:
    """Returns a field that is a text; empty if it is something else."""
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def mapping(record: Json, name: str) -> Json:
    """Returns a record's field that is an object.

    Raises:
        ValueError: The record lacks it, or has another type in it.
    """
    value = record.get(name)
    if not isinstance(value, dict):
        raise ValueError(field_error.malformed(name, "must be an object"))  # noqa: TRY004 - as in text
    return value


def texts(record: Json, name: str) -> tuple[str, ...]:
    """Returns a record's field that is a list of texts; none if the record lacks it.

    Raises:
        ValueError: The record has another type in it.
    """
    value = record.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(field_error.malformed(name, "must be a list of texts"))
    return tuple(value)


def time(record: Json, name: str = "time") -> datetime:
    """Returns a record's field that is an RFC 3339 time.

    Raises:
        ValueError: The record lacks it, or has something else in it.
    """
    try:
        return instant(text(record, name))
    except ValueError as error:
        raise ValueError(field_error.invalid(name, text_or_empty(record, name), str(error))) from error


def instant(value: object) -> datetime:
    """Parses an RFC 3339 time, and returns it in UTC.

    Raises:
        ValueError: The value is something else, or out of the range of UTC.
    """
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is not None and found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be an RFC 3339 time")


def csr_name(record: Json) -> str:
    """Returns the CSR's whole name; the record itself may hold only its beginning.

    Raises:
        ValueError: The record lacks it.
    """
    inputs = _recorded_csr(record)
    return text(inputs, "name") if inputs.get("name") else text(record, "csr_name")


def requester(record: Json) -> str:
    """Returns the requester's whole username; the record itself may hold only its beginning.

    Raises:
        ValueError: The record lacks it.
    """
    inputs = _recorded_csr(record)
    return text(inputs, "username") if inputs.get("username") else text(record, "requester")


def _recorded_csr(record: Json) -> Json:
    return member(member(record, "decision_inputs"), "csr")
