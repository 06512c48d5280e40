"""The matrix: it is full for three issuers and one stack, and it can say that it is not.

All issuers under all stacks: tests/interoperability/test_matrix.py.
"""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from csr_signer.algorithm import EVERY_ALGORITHM
from csr_signer.profile import Profile
from development.matrix import run as runs
from development.matrix.__main__ import main
from development.matrix.authorities import CHAIN, NAMES, Authority
from development.matrix.certificates import Certified, NotPermittedError, certify
from development.matrix.controls import CONTROLS
from development.matrix.process import StackError
from development.matrix.reasons import REASONS
from development.matrix.requesters import DIGESTS, KEYS, Requester
from development.matrix.run import Run, run
from development.matrix.stacks import STACKS
from development.matrix.table import as_json, show

PYCA = next(stack for stack in STACKS if stack.name == "pyca")
ISSUERS = ("EC_SIGN_P256_SHA256", CHAIN, "RSA_SIGN_RAW_PKCS1_2048 SHA384")


@pytest.fixture(scope="module")
def came() -> Run:
    """A run with one issuer that is its own root, one in a chain and one with a raw key."""
    return run(ISSUERS, [PYCA])


def test_it_is_full(came: Run) -> None:
    """Every key and hash is certified under every issuer, accepted as itself, and every control refused."""
    assert list(came.complaints()) == []
    assert {(cell.issuer, cell.key, cell.digest) for cell in came.cells} == {
        (issuer, key, digest) for issuer in ISSUERS for key in KEYS for digest in DIGESTS
    }
    assert {(control.issuer, control.name) for control in came.controls} == {
        (issuer, name) for issuer in ISSUERS for name in CONTROLS
    }


def test_every_certificate_is_asked_about_as_server_and_as_client(came: Run) -> None:
    """Each has at least one name, and is used in both ways."""
    assert min(len(cell.accepted) for cell in came.cells) == 2
    assert len({number for cell in came.cells for number in cell.accepted}) == sum(
        len(cell.accepted) for cell in came.cells
    )


def test_it_names_every_algorithm() -> None:
    """What the product signs with stands in the matrix, each raw key's hash by itself, and one chain."""
    assert len(NAMES) == len(set(NAMES)) == len(EVERY_ALGORITHM) + 1
    assert {name.split()[0] for name in NAMES} == {algorithm.name for algorithm in EVERY_ALGORITHM}


def test_every_stack_has_a_reason_for_every_control() -> None:
    """No control passes because nobody said why it is refused."""
    assert {name: tuple(reasons) for name, reasons in REASONS.items()} == {
        stack.name: tuple(CONTROLS) for stack in STACKS
    }


def answering(came: Run, text: str) -> Run:
    """The same run with a stack that answers every question alike."""
    return replace(came, answers={"pyca": dict.fromkeys(range(came.questions), text)})


def test_a_stack_that_accepts_everything_is_found_out(came: Run) -> None:
    """The certificates alone would not tell."""
    complaints = list(answering(came, "").complaints())
    assert complaints == [f"pyca: {issuer}, {name}: accepted" for issuer in ISSUERS for name in CONTROLS]


def test_a_stack_that_refuses_everything_verifies_nothing(came: Run) -> None:
    """Neither certificates nor controls: what differs from these in one thing is refused too."""
    complaints = list(answering(came, "no").complaints())
    assert len(complaints) == len(came.cells) + len(came.controls)


def test_a_control_must_be_refused_for_its_reason(came: Run) -> None:
    """A stack that cannot read a certificate, say, refuses it as well."""
    refused = {control.refused: "out of memory" for control in came.controls}
    other = replace(came, answers={"pyca": {**came.answers["pyca"], **refused}})
    assert len(list(other.complaints())) == len(came.controls)
    assert all("for another reason" in complaint for complaint in other.complaints())


def test_a_stack_that_leaves_questions_open_is_an_error() -> None:
    """Silence is neither yes nor no."""
    with pytest.raises(StackError, match="pyca leaves 1 of"):
        run(ISSUERS[:1], [replace(PYCA, answer=lambda questions: {each.number: "" for each in questions.asked[1:]})])


def test_a_leaf_without_its_intermediate_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack really builds the chain, from the pinned root alone."""

    def without(requester: Requester, authority: Authority, profile: Profile) -> Certified:
        certified = certify(requester, authority, profile)
        leaf, end, _ = certified.chain.partition(b"-----END CERTIFICATE-----\n")
        return replace(certified, chain=leaf + end)

    monkeypatch.setattr(runs, "certify", without)
    came = run([CHAIN], [PYCA])
    assert all("candidates exhausted" in came.refusal(cell, PYCA) for cell in came.cells)


def test_what_is_not_issued_is_counted_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its row, and by its reason."""

    def refuse(requester: Requester, authority: Authority, profile: Profile) -> Certified:
        if requester.kind == "RSA-8192":
            raise NotPermittedError("too large")
        return certify(requester, authority, profile)

    monkeypatch.setattr(runs, "certify", refuse)
    came = run(ISSUERS[:1], [PYCA])
    assert list(came.complaints()) == [f"{ISSUERS[0]}, RSA-8192 {digest}: not issued: too large" for digest in DIGESTS]
    assert rows(came)[ISSUERS[0]] == ["18/21", "18/21"]


def test_the_table_counts(came: Run) -> None:
    """By issuer, by request, in total, and the controls."""
    table = rows(came)
    assert [table[issuer] for issuer in ISSUERS] == [["21/21", "21/21"]] * 3
    assert [table[f"{key} {digest}"] for key in KEYS for digest in DIGESTS] == [["3/3", "3/3"]] * 21
    assert table["total"] == ["63/63", "63/63"]
    assert [table[control] for control in CONTROLS] == [["3/3"]] * len(CONTROLS)


def rows(came: Run) -> dict[str, list[str]]:
    """The tables' rows, by their first column."""
    shown = io.StringIO()
    show(came, [PYCA], shown)
    found = {}
    for line in shown.getvalue().splitlines():
        name, _, rest = line.partition("  ")
        found[name] = rest.split()
    return found


def test_json_holds_every_cell(came: Run) -> None:
    """For programs: each certificate with the stacks that refuse it, each control with those that fail it."""
    document = json.loads(as_json(came))
    assert len(document["certificates"]) == 63
    assert all(each["issued"] and each["refused"] == {} for each in document["certificates"])
    assert all(each["failed"] == {} for each in document["controls"])
    assert (document["complaints"], document["missing"]) == ([], {})


@pytest.mark.parametrize(
    ("arguments", "status"),
    [((), 1), (("--stack", "Java"), 1)],
    ids=["all", "Java"],
)
def test_a_missing_stack_is_said_aloud(
    arguments: tuple[str, ...],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a machine without programs: what is required, or was asked for, makes it fail."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--issuer", "EC_SIGN_P384", *arguments]) == status
    said = capsys.readouterr().out
    asked = arguments[1:] or [stack.name for stack in STACKS]
    for stack in STACKS:
        assert (f"NOT TESTED with {stack.name}: " in said) == bool(stack.tools and stack.name in asked)
        assert not (stack.tools and stack.name in asked) or "not here" in said


def test_issuers_are_chosen_by_how_their_names_begin(capsys: pytest.CaptureFixture[str]) -> None:
    """One that there is not ends it before anything starts."""
    assert main(["--issuer", "RSA_SIGN_RAW_PKCS1_2048", "--stack", "pyca", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {each["issuer"] for each in document["certificates"]} == {
        f"RSA_SIGN_RAW_PKCS1_2048 {digest}" for digest in DIGESTS
    }
    with pytest.raises(SystemExit):
        main(["--issuer", "EC_SIGN_ED25519"])
