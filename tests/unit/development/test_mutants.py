"""The mutation tests' list of what changes nothing: it is about code that stands there, and says why."""

from pathlib import Path

import pytest

from development.lock import ROOT
from development.mutants import SELECTED, TESTS, Mutant, explained

HERE = ROOT / TESTS


def source(module: str) -> Path:
    """The file of a module."""
    return ROOT / "function" / "csr_signer" / f"{module.replace('.', '/')}.py"


@pytest.mark.parametrize("module", SELECTED)
def test_selected_modules_and_test_files_exist(module: str) -> None:
    """Every module exists, and every file of its tests."""
    assert source(module).is_file()
    for name in SELECTED[module]:
        assert (HERE / name).is_file()


@pytest.mark.parametrize("mutant", sorted(explained()), ids=lambda mutant: f"{mutant.module}: {mutant.after}")
def test_explained_lines_exist_in_the_module(mutant: Mutant) -> None:
    """A removed line needs no explanation any more."""
    lines = [line.strip() for line in source(mutant.module).read_text(encoding="utf-8").splitlines()]
    for line in mutant.before.splitlines():
        assert line in lines


def test_every_explanation_says_why() -> None:
    """Each in words of its own."""
    for mutant, why in explained().items():
        assert why, mutant
