"""Structured log: one JSON object per line on stderr, with the fields of Cloud Logging.

Text of other parties is escaped, short and without credentials.
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

    A CSR's `uid` puts the line into the CSR's trace, where the function's and KMS's records are. An event's `id` puts
    it into the event's span.

    Attributes:
        project: Google Cloud project of the traces; empty if unknown.
        lost: lines that the log could not write.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self.project = ""
        self.lost = 0
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def info(self, message: str, **fields: object) -> None:
        """Logs an expected change."""
        self._write("INFO", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Logs a failure that the exporter retries."""
        self._write("WARNING", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Logs a failure that an operator must fix."""
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
                self.lost += 1  # the exporter works without its log

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
    """Returns the first `LONGEST_VALUE` characters of another party's text, without credentials."""
    return _CREDENTIAL.sub("[credential]", text[: 20 * LONGEST_VALUE])[:LONGEST_VALUE]


def _harmless(value: object) -> object:
    if isinstance(value, (bool, int, dict)):
        return value
    if isinstance(value, float):
        return round(value, 3)
    return scrub(str(value))
