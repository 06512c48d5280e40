"""Step 3, triage: what is done nothing about, and why."""

from typing import Any

import pytest

from csr_signer.policy.triage import triage
from tests.unit.function.builders import CSR_UID, SIGNER_NAME, make_csr

APPROVED = {"type": "Approved", "status": "True", "reason": "AutoApproved"}
DENIED = {"type": "Denied", "status": "True"}
FAILED = {"type": "Failed", "status": "True"}


@pytest.mark.parametrize(
    ("csr", "uid", "approve", "reason"),
    [
        ({}, CSR_UID, True, None),
        ({"conditions": [APPROVED]}, CSR_UID, True, None),
        ({"conditions": [APPROVED]}, CSR_UID, False, None),
        ({}, CSR_UID, False, "not-approved"),
        ({"conditions": [{"type": "Approved", "status": "False"}]}, CSR_UID, False, "not-approved"),
        ({}, "00000000-0000-0000-0000-000000000000", True, "gone"),
        ({}, "ffffffff-ffff-ffff-ffff-ffffffffffff", True, "gone"),
        ({"deleting": True}, CSR_UID, True, "gone"),
        ({"signer_name": "kubernetes.io/kube-apiserver-client"}, CSR_UID, True, "other-signer"),
        ({"signer_name": SIGNER_NAME + "x"}, CSR_UID, True, "other-signer"),
        ({"signer_name": SIGNER_NAME.upper()}, CSR_UID, True, "other-signer"),
        ({"conditions": [DENIED]}, CSR_UID, True, "denied"),
        ({"conditions": [APPROVED, FAILED]}, CSR_UID, True, "failed"),
        ({"conditions": [DENIED]}, CSR_UID, False, "denied"),
        ({"conditions": [APPROVED], "certificate": b"PEM"}, CSR_UID, True, "issued"),
        ({"certificate": b"PEM"}, CSR_UID, False, "issued"),
        # The first reason stands where several hold, as in the in-tree signer.
        ({"deleting": True, "signer_name": "example.com/other", "certificate": b"PEM"}, CSR_UID, True, "gone"),
        ({"signer_name": "example.com/other", "conditions": [DENIED]}, CSR_UID, True, "other-signer"),
    ],
)
def test_triage(csr: dict[str, Any], uid: str, approve: bool, reason: str | None) -> None:  # noqa: FBT001 - a column
    """Only a living CSR of ours that has no end yet, and is approved where another approves, is acted on."""
    assert triage(make_csr(**csr), uid=uid, signer_name=SIGNER_NAME, approve=approve) == reason


def test_triage_reads_nothing_of_the_request() -> None:
    """A stranger's request is not parsed: garbage in it changes nothing."""
    csr = make_csr(request=b"garbage", signer_name="example.com/other")
    assert triage(csr, uid=CSR_UID, signer_name=SIGNER_NAME, approve=True) == "other-signer"
