"""Faults, grouped by who must act; nothing else leaves a module, and a refusal is not among them: it is a value.

Each class states the HTTP status that the exporter is answered with (the outcomes table of the architecture document).
"""

from typing import ClassVar


class SignerError(Exception):
    """A request could not be brought to an outcome; the CSR is as it was.

    Attributes:
        status: HTTP status of the answer.
        severity: of its audit record, Cloud Logging's word: ERROR where a human must act.
        retry_after: seconds after which the sender should try again; None where trying again is pointless.
    """

    status: ClassVar[int] = 500
    severity: ClassVar[str] = "WARNING"
    retry_after: int | None = None

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after


class EventError(SignerError):
    """The sender must act: what arrived is no event of ours. Its text is never echoed."""

    status = 400


class ConfigurationError(SignerError):
    """The operator must act: a key is disabled, a CA does not match, a permission is missing."""

    status = 503
    severity = "ERROR"
    retry_after = 30


class ItemError(SignerError):
    """A human must act, for this one item: it is answered 500 and not 503, which would hold up every other."""

    status = 500
    severity = "ERROR"
    retry_after = 30


class ItemUnavailableError(ItemError):
    """The call about this one item failed in a way that may pass, while the API server serves the function."""

    severity = "WARNING"
    retry_after = 2


class UnavailableError(SignerError):
    """Time must act: the API server or KMS did not answer, or not in time."""

    status = 503
    retry_after = 2


class AuditError(UnavailableError):
    """An audit record could not be written, so that nothing may be signed."""


class QuotaError(SignerError):
    """Time must act: KMS asks to slow down."""

    status = 429
    retry_after = 5


class ConcurrencyLimitError(SignerError):
    """The cluster's exporter must slow down: its requests in flight are the cluster's whole share of this process."""

    status = 429
    retry_after = 1


class ShutdownError(SignerError):
    """This process is shutting down; another one serves the request."""

    status = 503
    retry_after = 1


class ConflictError(SignerError):
    """The object was modified since it was read; the caller must read it again."""

    status = 503
    retry_after = 1


class IntegrityError(UnavailableError):
    """KMS answered what cannot be right, twice: nothing of it was used, and a human should look."""

    severity = "ERROR"
