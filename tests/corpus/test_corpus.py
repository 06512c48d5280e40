"""The corpus: every case, as its files say it, gets the judgement that its file says."""

import dataclasses
import re
from pathlib import Path
from typing import Final

import pytest

from csr_signer.policy import Deferral, Refusal
from csr_signer.violation import CODES
from tests.corpus import patch
from tests.corpus.document import base, files
from tests.corpus.generate import entries, present, write
from tests.corpus.recorded import CASES, Judgement, Recorded, certified, codes, outcome, recorded, replay
from tests.corpus.refusals import LIST

CORPUS: Final = tuple(recorded())
HONEST: Final = tuple(case for case in CORPUS if case.outcome == "permitted")
_PRINTABLE: Final = re.compile(r"[ -~]+")
_LONGEST_MESSAGE: Final = 1024
_LEAST: Final = 250
_LARGEST_FILE: Final = 17 * 1024
_LARGEST: Final = 1_500_000


@pytest.fixture(scope="module")
def written() -> dict[str, bytes]:
    """What the generator writes."""
    return files(entries())


@pytest.mark.parametrize("case", CORPUS, ids=str)
def test_a_case_is_judged_as_its_file_says(case: Recorded) -> None:
    """The outcome is the file's, with exactly its codes, and again the same; every word of it is bounded and ASCII."""
    judgement = replay(case)
    assert (outcome(judgement), codes(judgement)) == (case.outcome, case.codes), judgement
    assert case.ignored in ("", judgement)
    assert judgement == replay(case)
    texts = _texts(judgement)
    assert all(_PRINTABLE.fullmatch(text) and len(text) <= _LONGEST_MESSAGE for text in texts), texts


@pytest.mark.parametrize("case", HONEST, ids=str)
def test_a_certificate_is_the_recorded_one_to_the_byte(case: Recorded) -> None:
    """What an honest case certifies is what its file says, down to the digest of the certificate's content."""
    assert certified(case) == case.certificate


def test_the_files_are_what_the_generator_writes(written: dict[str, bytes]) -> None:
    """Nobody edits a case by hand, and none is left behind: the rows are the source."""
    lying = present()
    assert sorted(lying.keys() ^ written.keys()) == []
    different = sorted(path for path in written if written[path] != lying[path])
    assert different == [], "run scripts/python -m tests.corpus.generate, and read what it changes"


def test_the_generator_leaves_nothing_behind(written: dict[str, bytes], tmp_path: Path) -> None:
    """In a folder come to lie exactly its files: what is no case any more goes, and what is none of its files stays."""
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "pending.json").write_bytes(b"{}")
    (tmp_path / "README.md").write_bytes(b"")
    (tmp_path / "honest").mkdir()
    (tmp_path / "honest" / "no-case.csr").write_bytes(b"")
    assert sorted(write(written, tmp_path)) == sorted([*written, "honest/no-case.csr"])
    assert present(tmp_path) == written
    assert write(written, tmp_path) == []
    assert (tmp_path / "events" / "pending.json").exists()
    assert (tmp_path / "README.md").exists()


def test_every_code_has_a_case() -> None:
    """Each code that a refusal can have is given by some case."""
    assert {code for case in CORPUS for code in case.codes} == set(CODES)


def test_a_case_lies_where_it_belongs() -> None:
    """The folder of a refusal is one of its codes; other outcomes have folders of their own."""
    folders = {"permitted": "honest", "deferred": "deferred", "ignored": "ignored"}
    for case in CORPUS:
        folder = case.place.partition("/")[0]
        assert folder in case.codes if case.outcome == "refused" else folder == folders[case.outcome], case.place
        assert bool(case.codes) == (case.outcome == "refused"), case.place
        assert case.what, case.place
        assert case.source, case.place


def test_the_corpus_is_large_and_its_files_are_small() -> None:
    """At least 250 cases, which a person can read and a repository can hold."""
    sizes = {path: len(content) for path, content in present().items()}
    assert len(CORPUS) >= _LEAST
    assert sum(sizes.values()) < _LARGEST
    assert [path for path, size in sizes.items() if size > _LARGEST_FILE] == []


def test_the_lists_name_cases_that_are_there() -> None:
    """README.md's table and the list of kube-apiserver's refusals name no case that is not there."""
    places = {case.place for case in CORPUS}
    mentioned = set(re.findall(r"`([a-z_.]+/[a-z0-9-]+)`", (CASES / "README.md").read_text()))
    listed = {line.partition("  ")[0] for line in LIST.read_text().splitlines()}
    assert mentioned
    assert listed
    assert sorted((mentioned | listed) - places) == []


@pytest.mark.parametrize("part", ["csr", "pod", "node", "signer"])
def test_a_case_says_exactly_what_differs(part: str) -> None:
    """Applied to the honest case, what a file says makes the document that its row means."""
    start = base()[part]
    for case in CORPUS:
        document = dataclasses.asdict(case)[part]
        if document is not None:
            assert patch.apply(start, patch.difference(start, document)) == document, case.place


def test_an_unknown_key_of_a_case_is_an_error() -> None:
    """A misspelt key would make a case prove less than it says."""
    document = {"what": "x", "source": "x", "outcome": "refused", "codes": [], "psd": {}}
    with pytest.raises(ValueError, match="psd"):
        Recorded.load("x/x", base(), document, b"")


def _texts(judgement: Judgement) -> list[str]:
    """Words that go to conditions, Events and logs."""
    if isinstance(judgement, Refusal):
        return [violation.message for violation in judgement.violations]
    return [judgement.missing] if isinstance(judgement, Deferral) else []
