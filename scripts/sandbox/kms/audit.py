"""Records of all calls, and the entries of Cloud Audit Logs for them."""

import json
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc

_DATA_LIMIT = 1024  # bytes of signed data in a record
_CODES: Final = {code.name: code.value[0] for code in grpc.StatusCode}


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


def data_access_entry(record: AuditRecord, principal: str = "") -> dict[str, Any]:
    """Returns the log entry of a call, modelled on the documented audit log of Cloud KMS.

    Args:
        record: The call.
        principal: The caller's email; empty if it is unknown.
    """
    code = _CODES[record.status]
    project = record.resource.removeprefix("projects/").partition("/")[0]
    return {
        "logName": f"projects/{project}/logs/cloudaudit.googleapis.com%2Fdata_access",
        "insertId": f"kms-{record.time}",
        "timestamp": datetime.fromtimestamp(record.time, UTC).isoformat(),
        "severity": "ERROR" if code else "INFO",
        "resource": {"type": "cloudkms_cryptokeyversion", "labels": {"project_id": project}},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "cloudkms.googleapis.com",
            "methodName": record.method,
            "resourceName": record.resource,
            "authenticationInfo": {"principalEmail": principal} if principal else {},
            "requestMetadata": {"requestAttributes": {"reason": record.reason} if record.reason else {}},
            "authorizationInfo": [{"permission": record.permission, "resource": record.resource}],
            "status": {"code": code} if code else {},
        },
    }


class AuditLog:
    """All records in order: in memory, and optionally as log entries in a file, one JSON object per line.

    Args:
        path: The file; each entry is one write.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._records: list[AuditRecord] = []
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, record: AuditRecord) -> None:
        """Adds a record."""
        line = f"{json.dumps(data_access_entry(record))}\n".encode()
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


def now() -> float:
    """Returns the current time for records."""
    return time.time()
