"""Step 3, triage: decides whether the function must act on a CSR.

Triage comes before parsing, so the function neither parses nor writes CSRs of other signers.
"""

from enum import StrEnum

from csr_signer.objects.csr import APPROVED, DENIED, FAILED, CertificateSigningRequest


class IgnoreReason(StrEnum):
    """The reason why the function ignores a CSR; audit records and answers use these values as an interface."""

    GONE = "gone"
    OTHER_SIGNER = "other-signer"
    ISSUED = "issued"
    DENIED = "denied"
    FAILED = "failed"
    NOT_APPROVED = "not-approved"


def triage(csr: CertificateSigningRequest, *, uid: str, signer_name: str, approve: bool) -> IgnoreReason | None:
    """Returns why the function ignores a CSR, or None if it must act.

    Args:
        csr: the CSR.
        uid: the uid that the event named.
        signer_name: the signer's signerName.
        approve: whether this signer approves CSRs itself; otherwise it waits for another approver.
    """
    # The order of the in-tree signer's handle(): cheap checks first, final states before waiting states.
    reasons = (
        (csr.uid != uid or csr.deleting, IgnoreReason.GONE),
        (csr.signer_name != signer_name, IgnoreReason.OTHER_SIGNER),
        (bool(csr.certificate), IgnoreReason.ISSUED),
        (DENIED in csr.conditions, IgnoreReason.DENIED),
        (FAILED in csr.conditions, IgnoreReason.FAILED),
        (not approve and APPROVED not in csr.conditions, IgnoreReason.NOT_APPROVED),
    )
    return next((reason for holds, reason in reasons if holds), None)
