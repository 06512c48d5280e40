"""Every stack accepts what the function issues if it trusts only the root, and refuses what differs in one thing."""

from dataclasses import replace

import pytest

from csr_signer.ca.algorithm import EVERY_ALGORITHM
from tests.interoperability.__main__ import counts, tables
from tests.interoperability.controls import CONTROLS
from tests.interoperability.issuers import CHAIN, NAMES
from tests.interoperability.matrix import DIGESTS, KEYS, Matrix
from tests.interoperability.stack import Stack
from tests.interoperability.stacks import STACKS, skip_if_missing


@pytest.fixture(params=STACKS, ids=lambda stack: stack.name)
def stack(request: pytest.FixtureRequest) -> type[Stack]:
    """Each installed stack."""
    chosen: type[Stack] = request.param
    skip_if_missing(chosen)
    return chosen


def test_every_algorithm_certifies_every_key_and_digest(verified: Matrix) -> None:
    """Each KMS algorithm, a raw one with each digest, and a chain, for every key and digest of a request."""
    assert {(name.split()[0], "RAW" in name) for name in NAMES} == {(each.name, each.raw) for each in EVERY_ALGORITHM}
    assert len(NAMES) == len(EVERY_ALGORITHM) + 1
    places = [(each.issuer.name, each.kind, each.digest) for each in verified.issued]
    assert places == [(name, key, digest) for name in NAMES for key in KEYS for digest in DIGESTS]


def test_every_certificate_is_accepted(verified: Matrix, stack: type[Stack]) -> None:
    """As a server for each of its names and addresses, and as a client."""
    refusals = {(each.issuer.name, each.kind, each.digest): verified.refusal(stack, each) for each in verified.issued}
    assert {place: reason for place, reason in refusals.items() if reason} == {}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_is_refused_for_the_right_reason(verified: Matrix, stack: type[Stack], control: str) -> None:
    """Under every issuer; the chain that differs only in this one thing is accepted."""
    issuers = [issuer for issuer, name in verified.controls if name == control]
    assert issuers == ([CHAIN] if control == "without its intermediates" else list(NAMES))
    assert {issuer: verified.failure(stack, issuer, control) for issuer in issuers} == dict.fromkeys(issuers, "")


@pytest.mark.parametrize(
    ("answer", "accepted", "refused"), [("", 336, 0), ("out of memory", 0, 0)], ids=["accepts", "refuses"]
)
def test_the_tables_do_not_count_wrong_answers(verified: Matrix, answer: str, accepted: int, refused: int) -> None:
    """A stack that accepts everything fails every control, and one that refuses everything fails everything."""
    alike = replace(verified, answers={"pyca": dict.fromkeys(verified.answers["pyca"], answer)})
    certificates, _, controls = (counts(alike, table) for table in tables(alike).values())
    column = [stack.name for stack in STACKS].index("pyca")
    assert certificates["total"][column] == f"{accepted}/336"
    assert controls["expired"][column] == f"{refused}/{len(NAMES)}"
    assert certificates["total"][column - 1] == "not here"
