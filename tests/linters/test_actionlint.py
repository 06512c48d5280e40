"""actionlint has nothing to say about the GitHub workflows; `scripts/check` looks for attacks on them with zizmor."""

import subprocess
from pathlib import Path

from tests.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def findings(actionlint: Path, *workflows: Path) -> list[str]:
    """Returns what actionlint says, one line for each finding."""
    # Without the two programs that it starts if they are installed, each machine finds the same.
    command = [str(actionlint), "-oneline", "-no-color", "-shellcheck=", "-pyflakes=", *map(str, workflows)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_actionlint_finds_nothing(actionlint: Path) -> None:
    """Syntax, expressions, and the inputs of well-known actions are right."""
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "codeql.yml", "release.yml"]
    assert findings(actionlint, *WORKFLOWS) == []


def test_actionlint_finds_a_fault(actionlint: Path, tmp_path: Path) -> None:
    """An output that no job has is a finding."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    (tmp_path / "release.yml").write_text(text.replace("outputs.exporter", "outputs.picture"), encoding="utf-8")
    (found,) = findings(actionlint, tmp_path / "release.yml")
    assert "picture" in found
