"""The API server's errors: a meta/v1 Status as an answer's body, or inside a watch that began well."""

import time

from csr_exporter.backoff import retry_after
from csr_exporter.connection import Answer
from csr_exporter.csr import MalformedError, Mask
from csr_exporter.watch.stream import parse_object

FIELDS: dict[str, Mask] = {
    "code": None,
    "message": None,
    "details": {"causes": [{"reason": None}], "retryAfterSeconds": None},
}
"""All that is read of a Status."""
_LARGEST_STATUS = 64 << 10
# Longer would leave the pod without a heartbeat for too long.
_LONGEST_PAUSE = 60.0


class ExpiredError(Exception):
    """The API server cannot continue from that version or page (410, or a version it has not reached): list anew."""


class RefusedError(Exception):
    """The API server answered with an error; `status` is HTTP's, `retry_after` seconds it asks to wait."""

    def __init__(self, message: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def refusal(answer: Answer, verb: str) -> Exception:
    """The exception for an answer with another status than 200; `verb` opens its message.

    Raises:
        UnreachableError: its body did not come.
    """
    body = answer.body(_LARGEST_STATUS) or b""
    try:
        status = parse_object(body, FIELDS)
    except MalformedError:  # a proxy's page
        status = {}
    return _error(verb, status, status=answer.status, header=answer.headers.get("Retry-After"))


def error_event(status: object) -> Exception:
    """The exception for the object of an ERROR event inside a watch."""
    return _error("watch", status if isinstance(status, dict) else {}, status=0)


def _error(verb: str, document: dict[str, object], *, status: int, header: str | None = None) -> Exception:
    code = document.get("code")
    status = status or (code if isinstance(code, int) else 500)
    details = document.get("details")
    details = details if isinstance(details, dict) else {}
    message = f"{verb}: {status} {document.get('message', '')!s:.200}".rstrip()
    if status == 410 or _is_too_new(status, details.get("causes"), message):  # noqa: PLR2004 - Gone
        return ExpiredError(message)
    asked = header if header is not None else details.get("retryAfterSeconds")
    wait = retry_after(str(asked), wall_clock=time.time(), most=_LONGEST_PAUSE) if asked else None
    return RefusedError(message, status=status, retry_after=wait)


def _is_too_new(status: int, causes: object, message: str) -> bool:
    """Whether another API server gave us a version that this one has not reached: 504 with that cause."""
    if status != 504:  # noqa: PLR2004 - Gateway Timeout
        return False
    reasons = [cause.get("reason") for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return "ResourceVersionTooLarge" in reasons or "Too large resource version" in message
