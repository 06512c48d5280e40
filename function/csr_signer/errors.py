"""Faults, grouped by who must act. Modules raise no other exceptions. A refusal is a value, not a fault.

Each class has the HTTP status of the answer to the exporter (the outcomes table of the architecture document).
"""

import traceback
from pathlib import Path
from typing import ClassVar


class SignerError(Exception):
    """The function could not decide a request; the CSR does not change.

    Attributes:
        status: HTTP status of the answer.
        severity: the audit record's severity in Cloud Logging; ERROR if the operator must act.
        retry_after: seconds until the sender should retry; None if a retry is pointless.
        access_denied: whether the caller has no credentials or no right, so that another caller might succeed.
    """

    status: ClassVar[int] = 500
    severity: ClassVar[str] = "WARNING"
    retry_after: int | None = None

    def __init__(self, message: str, *, retry_after: int | None = None, access_denied: bool = False) -> None:
        super().__init__(message)
        self.access_denied = access_denied
        if retry_after is not None:
            self.retry_after = retry_after


class EventError(SignerError):
    """The sender must act: the request is no event of ours. Answers never repeat its text."""

    status = 400


class ConfigurationError(SignerError):
    """The operator must act: a key is disabled, a CA does not match, a permission is missing."""

    status = 503
    severity = "ERROR"
    retry_after = 30


class ItemError(SignerError):
    """The operator must act, for this item only. The answer is 500, because a 503 would delay all other items."""

    status = 500
    severity = "ERROR"
    retry_after = 30


class SignerConfigurationError(ItemError):
    """The operator must act: one signer's key, CA or right is wrong, and the cluster has other signers."""


class ItemUnavailableError(ItemError):
    """The call about this item failed with a transient fault, but the API server serves the function."""

    severity = "WARNING"
    retry_after = 2


class UnavailableError(SignerError):
    """The fault is transient: the API server or KMS did not answer in time."""

    status = 503
    retry_after = 2


class ApiServerUnavailableError(UnavailableError):
    """The API server did not answer, or the function has no credential for it. It takes no Event either."""


class AuditError(UnavailableError):
    """The fault is transient: the function could not write an audit record, and must not sign without its intent."""


class QuotaError(SignerError):
    """The fault is transient: KMS's quota is exceeded."""

    status = 429
    retry_after = 5


class ConcurrencyLimitError(SignerError):
    """The cluster's exporter must slow down: the cluster already uses its whole share of this process."""

    status = 429
    retry_after = 1


class ShutdownError(SignerError):
    """This process is shutting down; the sender must retry, and another process serves the request."""

    status = 503
    retry_after = 1


class ConflictError(SignerError):
    """The object has changed since the function read it; the caller must read it again."""

    status = 503
    retry_after = 1


class IntegrityError(UnavailableError):
    """KMS answered wrongly twice. The function used neither answer; the operator must investigate."""

    severity = "ERROR"


def unexpected(error: Exception) -> ItemError:
    """Returns a fault of this program: its kind and place, without its text, which may come from a requester."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = ", ".join(f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}" for frame in frames)
    return ItemError(f"unexpected {type(error).__name__} at {places}")
