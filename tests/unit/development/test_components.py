"""docs/profiles.md: its tables of components are what the shipped profiles say."""

from pathlib import Path

import pytest

from development import components


def test_the_tables_are_what_the_profiles_say() -> None:
    """The committed document is the generated one."""
    assert components.main(["--check"]) == 0


def test_a_stale_table_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed name fails the check, names the command, and is mended by it."""
    copy = tmp_path / "profiles.md"
    copy.write_text(components.DOCUMENT.read_text(encoding="utf-8").replace("`compliance` |", "`other` |"), "utf-8")
    monkeypatch.setattr(components, "DOCUMENT", copy)
    assert components.main(["--check"]) == 1
    assert "development.components" in capsys.readouterr().out
    assert components.main([]) == 0
    assert components.main(["--check"]) == 0


def test_a_document_without_a_place_is_refused() -> None:
    """A profile that the document does not show is not forgotten."""
    with pytest.raises(ValueError, match=r"profiles\.md has no place for \['calico-enterprise'\]"):
        components.refreshed("# Profiles\n")


def test_a_row_of_the_table_is_complete() -> None:
    """It has releases of the row and of its names, a service's names in short form, and single uses."""
    table = components.table("calico")
    assert "| calico-apiserver-own-namespace | to 3.30 | `calico-apiserver/calico-apiserver` |" in table
    assert "`calico-apiserver-certs:{pod}` (from 3.28), `{namespace}:{pod}` (to 3.27)" in table
    assert "| `calico-api` | `calico-api.calico-apiserver`\\* | server, client |" in table
    enterprise = components.table("calico-enterprise")
    assert (
        "| `localhost` | `localhost`, `calico-manager.calico-system`\\*, `tigera-manager.tigera-manager`\\* |"
        in enterprise
    )
    assert "| `localhost` | `localhost` | client |" in enterprise
    assert enterprise.count("| from 1.44 |") == 2
