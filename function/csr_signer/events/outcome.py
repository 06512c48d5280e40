"""Outcomes of a reference without a fault: values, each with its HTTP answer."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from csr_signer.policy.triage import IgnoreReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The certificate is in the CSR's status."""

    status: ClassVar[int] = HTTPStatus.OK
    name: ClassVar[str] = "issued"
    tbs_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The CSR is Denied; or Failed, if it was already Approved or too late.

    Attributes:
        reason: reason of the condition.
        codes: codes of the violations.
    """

    status: ClassVar[int] = HTTPStatus.OK
    name: ClassVar[str] = "refused"
    reason: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The CSR needs no action."""

    status: ClassVar[int] = HTTPStatus.OK
    name: ClassVar[str] = "ignored"
    reason: IgnoreReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The exporter must resend this item after `retry_after` seconds; other items are not affected."""

    status: ClassVar[int] = HTTPStatus.TOO_EARLY
    name: ClassVar[str] = "deferred"
    reason: str
    retry_after: int


Outcome = Issued | Refused | Ignored | Deferred
