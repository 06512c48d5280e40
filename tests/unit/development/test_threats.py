"""docs/threats.md names tests that are there."""

import re
from pathlib import Path

from development.lock import ROOT

THREATS = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
ROWS = [line for line in THREATS.splitlines() if line.startswith("|") and not re.match(r"\| (?:threat|---)", line)]


def test_every_test_that_is_named_exists() -> None:
    """Whoever follows a name from the table finds a test of that name."""
    named = set(re.findall(r"`(test_\w+)`", THREATS))
    written: set[str] = set()
    for path in Path(ROOT / "tests").rglob("test_*.py"):
        written |= set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
    assert named
    assert sorted(named - written) == []


def test_every_threat_has_a_test() -> None:
    """No row of the table promises what nothing proves."""
    assert len(ROWS) > 20
    assert [row for row in ROWS if "`test_" not in row.rsplit("|", 2)[1]] == []
