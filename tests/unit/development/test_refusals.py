"""docs/refusals.md: every code stands in it, as the code says it."""

import re
from pathlib import Path

import pytest

from csr_signer.violation import CODES
from development import refusals


def test_the_table_is_what_the_code_says() -> None:
    """The committed document is the generated one."""
    assert refusals.main(["--check"]) == 0


def test_a_stale_table_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed word fails the check, names the command, and is mended by it."""
    copy = tmp_path / "refusals.md"
    copy.write_text(refusals.DOCUMENT.read_text(encoding="utf-8").replace("`pod.gone` | a pod", "`pod.gone` | the pod"))
    monkeypatch.setattr(refusals, "DOCUMENT", copy)
    assert refusals.main(["--check"]) == 1
    assert "development.refusals" in capsys.readouterr().out
    assert refusals.main([]) == 0
    assert refusals.main(["--check"]) == 0


def test_a_document_without_a_place_is_refused() -> None:
    """A document that lost its marks is not overwritten."""
    with pytest.raises(ValueError, match=r"refusals\.md has no lines"):
        refusals.refreshed("# Refusals\n")


def test_every_code_that_the_prose_names_exists() -> None:
    """Advice is about codes that there are; `kind.*` stands for all of a kind."""
    prose = refusals.DOCUMENT.read_text(encoding="utf-8").partition("## What to do")[2]
    named = re.findall(r"`([a-z_]+\.(?:[a-z_.]+|\*))`", prose)
    kinds = {f"{code.partition('.')[0]}.*" for code in CODES}
    fields = {"profile.release", "profile.namespaces"}
    assert set(named) - set(CODES) - kinds <= fields, named
