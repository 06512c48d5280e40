"""Reads log entries and audit records: JSON objects, from files of any length.

An entry is one of three: an audit record as the function or signerctl prints it, Cloud Logging's entry of such a record
(`jsonPayload`), or an entry of Cloud KMS's audit log (`protoPayload`).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any, Final

from csr_signer import field_error
from csr_signer.audit import EVENTS

Json = Mapping[str, Any]

_CHUNK: Final = 1 << 20
_LARGEST: Final = 4 << 20
"""Characters of an entry; Cloud Logging's largest entry has 256 KiB."""
_AHEAD: Final = 1 << 12
"""Characters that are held, if the text has them, to tell an array from a line that starts with a bracket."""
_SPACE: Final = re.compile(r"\s*")
_ARRAY: Final = re.compile(r"\[")
_ARRAY_OF_OBJECTS: Final = re.compile(r"\[\s*(?=[{\]])")


def read(text: IO[str], *, skip: bool = False) -> Iterator[Json]:
    """Reads JSON objects: one array, as `gcloud logging read --format=json` prints, or a sequence of objects.

    Args:
        text: The text; it is read piece by piece, because the records of a day may have hundreds of megabytes.
        skip: Whether to skip other lines, as between the records in a process's log.

    Raises:
        ValueError: The text is not JSON, or holds other values.
    """
    buffer = _Buffer(text)
    inside = False
    while buffer.next():
        if not inside and buffer.skip(_ARRAY_OF_OBJECTS if skip else _ARRAY):
            inside = True
        elif inside and buffer.skip_character(","):
            continue
        elif inside and buffer.skip_character("]"):
            inside = False
        else:
            try:
                yield buffer.decode()
            except (ValueError, RecursionError):
                if not skip:
                    raise
                buffer.skip_line()
    if inside and not skip:
        raise ValueError("the array has no end")


class _Buffer:
    """A piece of the text, and the position in it."""

    def __init__(self, text: IO[str]) -> None:
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

    def skip_line(self) -> None:
        while (end := self._held.find("\n", self._position)) < 0:
            self._position = len(self._held)
            if not self._more():
                return
        self._position = end + 1

    def decode(self) -> Json:
        """Returns the object at the position."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._position)
            except ValueError:
                # The object may continue in the next piece.
                if len(self._held) - self._position > _LARGEST or not self._more():
                    raise
                continue
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
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        payload = member(entry, "jsonPayload") or entry
        insert_id = entry.get("insertId") or payload.get("logging.googleapis.com/insertId")
        identity = (str(insert_id), str(entry.get("timestamp") or payload.get("time")))
        if insert_id and identity in seen:
            continue
        seen.add(identity)
        yield entry


def record_of(entry: Json) -> Json | None:
    """Returns an entry's audit record with its `time`; None if the entry is something else."""
    payload = member(entry, "jsonPayload") if "jsonPayload" in entry else entry
    event = payload.get("event")
    if not isinstance(event, str) or event not in EVENTS:
        return None
    if payload is entry:
        return entry
    # An exporter could write the same line into the log.
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
        raise ValueError(f"{name}: must be a text")  # noqa: TRY004
    return value


def time(record: Json, name: str = "time") -> datetime:
    """Returns a record's field that is an RFC 3339 time.

    Raises:
        ValueError: The record lacks it, or has something else in it.
    """
    try:
        found = datetime.fromisoformat(text(record, name))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(field_error.invalid(name, str(record.get(name)), "must be an RFC 3339 time"))
    return found


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
