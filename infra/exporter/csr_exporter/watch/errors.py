"""The API server's errors: a meta/v1 Status, as the body of a response or as an ERROR event of a watch."""

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
"""The fields of a Status that the exporter reads."""
_LARGEST_STATUS = 64 << 10
# During a longer pause the pod would look dead.
_LONGEST_PAUSE = 60.0


class ExpiredError(Exception):
    """The API server cannot continue from that version or page (410, or a version that it has not reached): relist."""


class UnpageableListError(Exception):
    """A page's continue token cannot be used, so the list would never end.

    The token holds the name of the page's last CSR as JSON, and a requester chooses that name. Bytes that are not UTF-8
    (filed by protobuf) become U+FFFD, which leads back before the CSR; a name of megabytes makes the token longer than
    the API server reads.
    """


class RefusedError(Exception):
    """The API server answered with an error; `status` is HTTP's, `retry_after` the seconds that it asks for."""

    def __init__(self, message: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def refusal(answer: Answer, verb: str) -> Exception:
    """Returns the exception for a response with another status than 200; `verb` opens its message.

    Raises:
        UnreachableError: the body did not arrive.
    """
    try:
        status = parse_object(answer.body(_LARGEST_STATUS) or b"", FIELDS)
    except MalformedError:  # a proxy's page
        status = {}
    return _error(verb, status, status=answer.status, header=answer.headers.get("Retry-After"))


def error_event(status: object) -> Exception:
    """Returns the exception for the object of a watch's ERROR event."""
    document = status if isinstance(status, dict) else {}
    code = document.get("code")
    return _error("watch", document, status=code if isinstance(code, int) and code else 500)


def _error(verb: str, document: dict[str, object], *, status: int, header: str | None = None) -> Exception:
    details = document.get("details")
    details = details if isinstance(details, dict) else {}
    message = f"{verb}: {status} {document.get('message', '')!s:.200}".rstrip()
    if status == 410 or (status == 504 and _is_too_new(details.get("causes"), message)):  # noqa: PLR2004 - HTTP's
        return ExpiredError(message)
    asked = header if header is not None else details.get("retryAfterSeconds")
    wait = retry_after(str(asked), wall_clock=time.time(), most=_LONGEST_PAUSE) if asked else None
    return RefusedError(message, status=status, retry_after=wait)


def _is_too_new(causes: object, message: str) -> bool:
    """Whether another API server issued the version, and this one has not reached it."""
    reasons = [cause.get("reason") for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return "ResourceVersionTooLarge" in reasons or "Too large resource version" in message
