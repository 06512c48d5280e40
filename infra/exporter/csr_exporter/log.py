"""Structured log: one JSON object per line on stderr, one line per change of state, with the counts so far.

Nothing that somebody else wrote reaches it unescaped or unbounded, and nothing that looks like a credential at all.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import threading
from collections import Counter

LONGEST_VALUE = 200
_CREDENTIAL = re.compile(r"(?i:bearer)\s+\S+|eyJ[\w-]+(?:\.[\w-]*){0,2}|ya29\.\S+")


class Log:
    """Writes lines and counts what happened; safe to use from several threads.

    The counts bear the names that the metrics will have.
    """

    def __init__(self, descriptor: int = 2) -> None:
        """Writes to a file descriptor, stderr if not told otherwise."""
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str, amount: int = 1) -> None:
        """Adds to a count."""
        with self._lock:
            self._counts[name] += amount

    @property
    def counts(self) -> dict[str, int]:
        """All counts that are not 0."""
        with self._lock:
            return {name: count for name, count in sorted(self._counts.items()) if count}

    def info(self, message: str, **fields: object) -> None:
        """Something changed as it should."""
        self._write("INFO", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Something failed and is tried again."""
        self._write("WARNING", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Somebody must act."""
        self._write("ERROR", message, fields)

    def _write(self, severity: str, message: str, fields: dict[str, object]) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {"time": now, "severity": severity, "message": message}
        entry |= {name: _harmless(value) for name, value in fields.items() if value is not None}
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        try:
            os.write(self._descriptor, line.encode("ascii"))
        except OSError:
            self.count("log_errors_total")  # the work goes on without its log


def scrub(text: str) -> str:
    """Cuts text of other parties to `LONGEST_VALUE` characters, with credentials left out."""
    return _CREDENTIAL.sub("[credential]", text[: 20 * LONGEST_VALUE])[:LONGEST_VALUE]


def _harmless(value: object) -> object:
    if isinstance(value, (bool, int, dict)):
        return value
    if isinstance(value, float):
        return round(value, 3)
    return scrub(str(value))
