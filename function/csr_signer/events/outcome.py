"""How a reference ends where nothing is at fault: values, each with its HTTP answer."""

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
    """The CSR is Denied, or Failed where it was approved already or it was too late.

    Attributes:
        reason: of the condition.
        codes: of the violations.
    """

    status: ClassVar[int] = HTTPStatus.OK
    name: ClassVar[str] = "refused"
    reason: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """There is nothing to do."""

    status: ClassVar[int] = HTTPStatus.OK
    name: ClassVar[str] = "ignored"
    reason: IgnoreReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """This item must be sent again, after `retry_after` seconds; no other is concerned."""

    status: ClassVar[int] = HTTPStatus.TOO_EARLY
    name: ClassVar[str] = "deferred"
    reason: str
    retry_after: int


Outcome = Issued | Refused | Ignored | Deferred
