"""docs/metrics.md is what the code says."""

from pathlib import Path

import pytest

from development import metrics


def test_the_page_is_what_the_code_says() -> None:
    """Name, kind, labels and meaning of every metric."""
    assert metrics.main(["--check"]) == 0


def test_a_stale_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One removed row fails the check, and the command writes it again."""
    page = tmp_path / "metrics.md"
    right = metrics.DOCUMENT.read_text(encoding="utf-8")
    page.write_text("".join(line for line in right.splitlines(keepends=True) if "_poison_total" not in line))
    monkeypatch.setattr(metrics, "DOCUMENT", page)
    assert metrics.main(["--check"]) == 1
    assert metrics.main([]) == 0
    assert page.read_text(encoding="utf-8") == right
