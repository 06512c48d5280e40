"""A test whose stack is missing never passes silently."""

from pathlib import Path

import pytest

from tests.interoperability.__main__ import main
from tests.interoperability.issuers import P256
from tests.interoperability.stack import Stack
from tests.interoperability.stacks import STACKS, skip_if_missing

WITH_TOOLS = [stack for stack in STACKS if stack.tools]


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder in `PATH`, which is empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.mark.parametrize("stack", WITH_TOOLS)
def test_a_missing_stack_is_skipped_with_the_reason(empty_path: Path, stack: type[Stack]) -> None:
    """A developer sees which tests did not run, and what to install."""
    with pytest.raises(pytest.skip.Exception, match=f"^NOT TESTED with {stack.name}: not installed: "):
        skip_if_missing(stack)


@pytest.mark.parametrize("stack", WITH_TOOLS)
def test_ci_fails_without_a_required_stack(
    empty_path: Path, monkeypatch: pytest.MonkeyPatch, stack: type[Stack]
) -> None:
    """CI fails without OpenSSL and Go, and skips the others with the reason."""
    monkeypatch.setenv("CI", "true")
    expected = pytest.fail.Exception if stack.name in ("OpenSSL", "Go") else pytest.skip.Exception
    with pytest.raises(expected, match=f"NOT TESTED with {stack.name}: not installed: "):
        skip_if_missing(stack)


@pytest.mark.parametrize("stack", WITH_TOOLS)
def test_an_installed_stack_that_fails_is_not_skipped(empty_path: Path, stack: type[Stack]) -> None:
    """Only absence skips."""
    for tool in stack.tools:
        (empty_path / tool).write_text("#!/bin/sh\necho no >&2\nexit 3\n", encoding="utf-8")
        (empty_path / tool).chmod(0o755)
    skip_if_missing(stack)
    with pytest.raises(AssertionError, match="ended with 3: no"):
        stack(empty_path).describe()


def test_the_command_fails_without_a_required_stack(empty_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the matrix of the others, and which stacks are missing."""
    assert main([P256]) == 1
    printed = capsys.readouterr().out
    assert all(f"NOT TESTED with {stack.name}: " in printed for stack in WITH_TOOLS)
    assert "not here" in printed


def test_skips_are_listed_at_the_end(pytestconfig: pytest.Config) -> None:
    """Every run prints its skips with their reasons."""
    assert "-ra" in pytestconfig.getini("addopts")
