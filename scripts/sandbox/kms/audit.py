"""Records of all calls, as in Cloud Audit Logs."""

import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_DATA_LIMIT = 1024  # bytes of signed data in a record


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One answered or cancelled call.

    Attributes:
        time: Time of the answer in seconds since the epoch.
        method: The method's name, such as AsymmetricSign.
        permission: The IAM permission of the method.
        resource: The name or parent in the request.
        reason: The header x-goog-request-reason.
        request_params: The header x-goog-request-params.
        traceparent: The header traceparent.
        digest: The digest in the request, hexadecimal.
        data: The first KiB of the data in the request, hexadecimal.
        status: The gRPC status name.
        key_used: Whether the double made a signature, even if a fault lost or corrupted the answer.
        deadline: The caller's deadline in seconds; None for no limit.
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
    """Returns the name or parent in a request."""
    updated = getattr(request, "crypto_key_version", None)
    names = (getattr(holder, part, "") for holder in (request, updated) for part in ("name", "parent"))
    return next((str(name) for name in names if name), "")


def signed_content(request: object) -> tuple[str, str]:
    """Returns digest and data of a request in hexadecimal; empty if absent."""
    data = bytes(getattr(request, "data", b""))
    digest = getattr(request, "digest", None)
    members = (digest.sha256, digest.sha384, digest.sha512) if digest is not None else ()
    return next((bytes(member).hex() for member in members if member), ""), data[:_DATA_LIMIT].hex()


class AuditLog:
    """All records in order, in memory and optionally in a file with one JSON object per line.

    Args:
        path: The file; each record is one write.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._records: list[AuditRecord] = []
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, record: AuditRecord) -> None:
        """Adds a record."""
        line = f"{json.dumps(asdict(record))}\n".encode()
        with self._lock:
            self._records.append(record)
            if self._file is not None:
                os.write(self._file, line)

    def records(self, method: str | None = None, *, since: int = 0) -> list[AuditRecord]:
        """Returns the records from index `since`, for one method or for all."""
        with self._lock:
            found = self._records[since:]
        return [record for record in found if method in (None, record.method)]

    def close(self) -> None:
        """Closes the file; the records in memory stay."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def read_audit_log(path: Path) -> list[AuditRecord]:
    """Reads the records from a file."""
    with path.open(encoding="utf-8") as lines:
        return [AuditRecord(**json.loads(line)) for line in lines if line.endswith("\n")]


def now() -> float:
    """Returns the current time for records."""
    return time.time()
