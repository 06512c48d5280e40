"""What becomes of a test whose program is missing: never nothing."""

from pathlib import Path

import pytest

from tests.interoperability.tools import OPTIONAL, REQUIRED, path_of, run


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has none of the programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.mark.parametrize("tool", [*REQUIRED, *OPTIONAL])
def test_a_missing_program_is_a_loud_skip(empty: Path, tool: str) -> None:
    """A developer without it sees which tests did not run, and what to install."""
    with pytest.raises(pytest.skip.Exception, match=f"^NOT TESTED with {tool}: it is not installed "):
        path_of(tool)


@pytest.mark.parametrize("tool", REQUIRED)
def test_ci_fails_without_what_is_required(empty: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    """Nothing passes in CI because a program that the project needs is missing."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=f"CI is set and {tool} is needed"):
        path_of(tool)


@pytest.mark.parametrize("tool", OPTIONAL)
def test_ci_skips_loudly_what_is_optional(empty: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    """CI says so, too."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match=f"^NOT TESTED with {tool}: it is not installed "):
        path_of(tool)


@pytest.mark.parametrize("tool", [*REQUIRED, *OPTIONAL])
def test_a_program_that_is_there_is_used_even_if_it_is_broken(empty: Path, tool: str) -> None:
    """Only absence skips: one that cannot do its work fails the test."""
    (empty / tool).write_text("#!/bin/sh\necho no >&2\nexit 3\n", encoding="utf-8")
    (empty / tool).chmod(0o755)
    with pytest.raises(AssertionError, match="ended with 3: no"):
        run(path_of(tool), "version")


def test_skips_are_listed_at_the_end(pytestconfig: pytest.Config) -> None:
    """Every run prints its skips with their reasons, unless who starts it asks for something else."""
    assert "-ra" in pytestconfig.getini("addopts")
