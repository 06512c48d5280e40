"""Step 3, triage: whether a CSR is ours to act on.

Triage comes before parsing: a stranger's CSR is neither parsed nor written to.
"""

from enum import StrEnum

from csr_signer.objects.csr import APPROVED, DENIED, FAILED, CertificateSigningRequest


class IgnoreReason(StrEnum):
    """Why nothing is done about a CSR; the values are an interface of audit records and answers."""

    GONE = "gone"
    OTHER_SIGNER = "other-signer"
    ISSUED = "issued"
    DENIED = "denied"
    FAILED = "failed"
    NOT_APPROVED = "not-approved"


def triage(csr: CertificateSigningRequest, *, uid: str, signer_name: str, approve: bool) -> IgnoreReason | None:
    """Returns why nothing is to be done about a CSR, or None if the function must act on it.

    Args:
        csr: the object as read.
        uid: the uid that the event named.
        signer_name: the signer's.
        approve: whether this signer approves by itself; otherwise it waits for another approver.
    """
    # Same order as the in-tree signer's handle(): cheapest refusal first, terminal states before waiting ones.
    reasons = (
        (csr.uid != uid or csr.deleting, IgnoreReason.GONE),
        (csr.signer_name != signer_name, IgnoreReason.OTHER_SIGNER),
        (bool(csr.certificate), IgnoreReason.ISSUED),
        (DENIED in csr.conditions, IgnoreReason.DENIED),
        (FAILED in csr.conditions, IgnoreReason.FAILED),
        (not approve and APPROVED not in csr.conditions, IgnoreReason.NOT_APPROVED),
    )
    return next((reason for holds, reason in reasons if holds), None)
