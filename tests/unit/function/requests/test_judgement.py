"""Every row of the catalogue gets exactly its judgement, and every honest one exactly its certificate."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csr_signer.policy.decision import Deferral, Permit, Refusal
from tests.unit.function.builders import Case, codes, issued, judge_objects, make_request, make_signer, outcome
from tests.unit.function.requests import golden
from tests.unit.function.requests.catalogue import CASES
from tests.unit.function.requests.certified import assert_certified
from tests.unit.function.requests.golden import FOLDER

CERTIFICATES: Final = FOLDER.with_name("certificates")
_PERMITTED: Final = tuple(row for row in CASES if row.outcome == "permitted")
_LONGEST_MESSAGE: Final = 1024
_PRINTABLE: Final = re.compile(rf"[ -~]{{1,{_LONGEST_MESSAGE}}}")


@pytest.mark.parametrize("row", CASES, ids=str)
def test_a_request_gets_its_judgement(row: Case) -> None:
    """The outcome and the codes are exactly the row's, twice; every message is bounded and printable ASCII."""
    objects = row.objects()
    judgement = judge_objects(**objects)
    assert (outcome(judgement), codes(judgement)) == (row.outcome, row.breaks), judgement
    assert judgement == judge_objects(**objects)
    messages = [violation.message for violation in judgement.violations] if isinstance(judgement, Refusal) else []
    messages += [judgement.missing] if isinstance(judgement, Deferral) else []
    assert all(map(_PRINTABLE.fullmatch, messages)), messages


@pytest.mark.parametrize("row", _PERMITTED, ids=str)
def test_a_certificate_says_what_its_row_says(row: Case) -> None:
    """An honest request is certified with the row's names, usages and times, for its own key, and nothing else."""
    permit = row.judge()
    assert isinstance(permit, Permit), permit
    assert_certified(permit, row)


def test_rows_are_found_by_their_sentences() -> None:
    """No sentence stands twice; each is the id of its tests."""
    assert [sentence for sentence, count in Counter(map(str, CASES)).items() if count > 1] == []


@pytest.mark.parametrize("file", sorted(CERTIFICATES.iterdir()), ids=lambda file: file.stem)
def test_a_certificate_is_the_golden_one_to_the_byte(file: Path) -> None:
    """A change of any byte that is certified, or signed, is seen here before a cluster sees it."""
    (row,) = [row for row in _PERMITTED if re.sub(r"[^a-z0-9]+", "-", row.sentence.lower()) == file.stem]
    permit = row.judge()
    assert isinstance(permit, Permit), permit
    certificate = issued(permit, make_signer(**row.signer).issuer)
    assert certificate.public_bytes(Encoding.PEM).decode() == file.read_text(encoding="ascii")


def test_the_honest_request_is_what_go_writes() -> None:
    """Tests build the very CertificationRequestInfo that Calico's client builds."""
    ours, of_go = map(x509.load_pem_x509_csr, (make_request(), (FOLDER / "go.csr").read_bytes()))
    assert ours.tbs_certrequest_bytes == of_go.tbs_certrequest_bytes


def test_every_golden_request_has_a_row() -> None:
    """No file is left behind."""
    judged = {row.request for row in golden.CASES}
    assert {file.read_bytes() for file in FOLDER.iterdir()} == judged
