"""The refusals that the records name."""

from dataclasses import dataclass
from datetime import datetime

from signerctl.recorded.entries import Json, csr_name, optional_text, requester, text, texts, time


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRefusal:
    """A request that the function refused.

    Attributes:
        time: When the function recorded the refusal.
        cluster, signer_name: The signer.
        csr_name, csr_uid: The CSR.
        requester: The username that the API server recorded.
        pod: NAMESPACE/NAME of the requester's pod; empty if the token names none.
        reason: The condition's reason.
        codes: The codes of all broken rules.
        violations: The codes with the requested and the allowed values.
    """

    time: datetime
    cluster: str
    signer_name: str
    csr_name: str
    csr_uid: str
    requester: str
    pod: str
    reason: str
    codes: tuple[str, ...]
    violations: str

    @classmethod
    def of(cls, record: Json) -> "RecordedRefusal":
        """Parses a `refused` record.

        Raises:
            ValueError: The record lacks a field, or has another type in it.
        """
        return cls(
            time=time(record),
            cluster=text(record, "cluster"),
            signer_name=text(record, "signer_name"),
            csr_name=csr_name(record),
            csr_uid=text(record, "csr_uid"),
            requester=requester(record),
            pod=optional_text(record, "pod"),
            reason=text(record, "reason"),
            codes=texts(record, "codes"),
            violations=text(record, "violations"),
        )
