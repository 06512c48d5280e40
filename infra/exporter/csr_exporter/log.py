"""Structured log: one JSON object per line on stderr, in the fields of Cloud Logging, one line per change of state.

Nothing that somebody else wrote reaches it unescaped or unbounded, and nothing that looks like a credential at all.
"""

import datetime as dt
import json
import os
import re
import threading

from csr_exporter.csr import span_of, trace_of

LONGEST_VALUE = 200
_CREDENTIAL = re.compile(r"(?i:bearer)\s+\S+|eyJ[\w-]+(?:\.[\w-]*){0,2}|ya29\.\S+")


class Log:
    """Writes lines; safe to use from several threads.

    A field `uid`, of a CSR, puts the line into that CSR's trace, where the function's and KMS's records are; a field
    `id`, of an event, into its span.

    Attributes:
        project: Google Cloud project of the traces; empty where it is not known, then a trace has its bare id.
        lost: lines that could not be written.
    """

    def __init__(self, descriptor: int = 2) -> None:
        """Writes to a file descriptor, stderr if not told otherwise."""
        self.project = ""
        self.lost = 0
        self._descriptor = descriptor
        self._lock = threading.Lock()

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
        entry |= self._trace(fields)
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        try:
            os.write(self._descriptor, line.encode("ascii"))
        except OSError:
            with self._lock:
                self.lost += 1  # the work goes on without its log

    def _trace(self, fields: dict[str, object]) -> dict[str, str]:
        uid, event_id = fields.get("uid"), fields.get("id")
        if not isinstance(uid, str):
            return {}
        trace = trace_of(uid)
        found = {"logging.googleapis.com/trace": f"projects/{self.project}/traces/{trace}" if self.project else trace}
        if isinstance(event_id, str):
            found["logging.googleapis.com/spanId"] = span_of(event_id)
        return found


def scrub(text: str) -> str:
    """Cuts text of other parties to `LONGEST_VALUE` characters, with credentials left out."""
    return _CREDENTIAL.sub("[credential]", text[: 20 * LONGEST_VALUE])[:LONGEST_VALUE]


def _harmless(value: object) -> object:
    if isinstance(value, (bool, int, dict)):
        return value
    if isinstance(value, float):
        return round(value, 3)
    return scrub(str(value))
