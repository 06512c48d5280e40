"""The record of every call, as Cloud Audit Logs keep one."""

import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_DATA_LIMIT = 1024  # bytes of signed data that a record keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One call that has been answered, or that its caller gave up.

    Attributes:
        time: When it was answered, seconds since the epoch.
        method: AsymmetricSign and so on.
        permission: What IAM would have asked for.
        resource: The name or parent that the request was about.
        reason: The header x-goog-request-reason.
        request_params: The header x-goog-request-params.
        traceparent: The header of that name.
        digest: The digest in the request, hexadecimal.
        data: The first KiB of the data in the request, hexadecimal.
        status: The gRPC status name.
        key_used: Whether a signature was made, also where the answer was lost or spoilt afterwards.
        deadline: Seconds that the caller gave at the start; None for no limit.
    """

    time: float
    method: str
    permission: str
    resource: str
    reason: str
    request_params: str
    traceparent: str
    digest: str
    data: str
    status: str
    key_used: bool
    deadline: float | None


def resource_of(request: object) -> str:
    """Return the name or parent that a request is about."""
    updated = getattr(request, "crypto_key_version", None)
    names = (getattr(holder, part, "") for holder in (request, updated) for part in ("name", "parent"))
    return next((str(name) for name in names if name), "")


def signed_content(request: object) -> tuple[str, str]:
    """Return digest and data of a request in hexadecimal, each empty where it has none."""
    data = bytes(getattr(request, "data", b""))
    digest = getattr(request, "digest", None)
    members = (digest.sha256, digest.sha384, digest.sha512) if digest is not None else ()
    return next((bytes(member).hex() for member in members if member), ""), data[:_DATA_LIMIT].hex()


class AuditLog:
    """All records in order, in memory and, where a file is given, there as one JSON object per line.

    Args:
        path: A file to append to; each record is one write.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._records: list[AuditRecord] = []
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, record: AuditRecord) -> None:
        """Keep a record."""
        line = f"{json.dumps(asdict(record))}\n".encode()
        with self._lock:
            self._records.append(record)
            if self._file is not None:
                os.write(self._file, line)

    def records(self, method: str | None = None, *, since: int = 0) -> list[AuditRecord]:
        """Return the records from the `since`-th on, of one method or of all."""
        with self._lock:
            found = self._records[since:]
        return [record for record in found if method in (None, record.method)]

    def close(self) -> None:
        """Close the file; records can still be read."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def read_audit_log(path: Path) -> list[AuditRecord]:
    """Read the records that a process has written so far."""
    with path.open(encoding="utf-8") as lines:
        return [AuditRecord(**json.loads(line)) for line in lines if line.endswith("\n")]


def now() -> float:
    """Return the time that records carry."""
    return time.time()
