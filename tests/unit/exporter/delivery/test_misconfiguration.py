"""Which signers wait for an operator, as the function's answers tell."""

import dataclasses

from csr_exporter.csr import Stage
from csr_exporter.delivery.misconfiguration import REMEMBERED, RIGHT, WRONG, Misconfiguration
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from tests.unit.exporter.support import reference

CONFIGURATION = Answer(verdict=Verdict.CONFIGURATION, status=503, reason="fault ConfigurationError")
OF_SIGNER = Answer(verdict=Verdict.SIGNER_CONFIGURATION, status=500, reason="fault SignerConfigurationError")
ISSUED = Answer(verdict=Verdict.ACKNOWLEDGED, status=200, reason="issued")
OTHERS = (
    Answer(verdict=Verdict.ACKNOWLEDGED, status=200, reason="refused NameNotAllowed"),
    Answer(verdict=Verdict.ACKNOWLEDGED, status=200, reason="ignored gone"),
    Answer(verdict=Verdict.LATER, status=500, reason="fault ItemError"),
    Answer(verdict=Verdict.UNAVAILABLE, status=503, reason="fault UnavailableError"),
    Answer(verdict=Verdict.SLOW),
)


def _item(signer_name: str) -> WorkItem:
    of_signer = dataclasses.replace(reference(), signer_name=signer_name)
    return WorkItem(reference=of_signer, stage=Stage.PENDING, attempt=1, resend=0)


def test_each_change_is_told_once() -> None:
    """Wrong, however often; right with the first certificate, and not before, so that no refusal clears it."""
    it, item = Misconfiguration(), _item("a.example.com/a")
    assert it.answered(item, ISSUED, now=0.0) is None
    for answer, told in ((CONFIGURATION, WRONG), (CONFIGURATION, None), (OF_SIGNER, None)):
        assert it.answered(item, answer, now=1.0) == told
    for answer in OTHERS:
        assert it.answered(item, answer, now=2.0) is None
        assert it.signer_names(2.0) == ["a.example.com/a"]
    assert it.answered(item, ISSUED, now=3.0) == RIGHT
    assert it.answered(item, ISSUED, now=3.0) is None
    assert it.signer_names(3.0) == []


def test_one_signers_key_says_nothing_of_another() -> None:
    """Certificates of another signer do not clear it."""
    it = Misconfiguration()
    assert it.answered(_item("a.example.com/a"), OF_SIGNER, now=0.0) == WRONG
    assert it.answered(_item("a.example.com/b"), ISSUED, now=0.0) is None
    assert it.signer_names(0.0) == ["a.example.com/a"]


def test_it_is_forgotten_when_no_csr_waits_any_more() -> None:
    """A CSR that waits is resent within a minute, so silence means that none does; the next fault is told again."""
    it, item = Misconfiguration(), _item("a.example.com/a")
    it.answered(item, CONFIGURATION, now=0.0)
    assert it.signer_names(REMEMBERED - 1) == ["a.example.com/a"]
    assert it.signer_names(REMEMBERED) == []
    assert it.answered(item, CONFIGURATION, now=REMEMBERED) == WRONG
