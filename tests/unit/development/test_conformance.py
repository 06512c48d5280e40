"""docs/profiles.md: its conformance table is what the shipped profile says, with a source for each row."""

from dataclasses import replace
from pathlib import Path

import pytest

from csr_signer.document import read
from csr_signer.policy.profile import SHIPPED, Profile
from development import conformance

PROFILE = read(Profile, SHIPPED / "calico.yaml")


def test_the_table_is_what_the_profile_says() -> None:
    """The committed document is the generated one."""
    assert conformance.main(["--check"]) == 0


def test_a_stale_table_is_found_and_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed name fails the check, names the command, and is mended by it."""
    copy = tmp_path / "profiles.md"
    copy.write_text(conformance.DOCUMENT.read_text(encoding="utf-8").replace("`goldmane` |", "`gold` |"), "utf-8")
    monkeypatch.setattr(conformance, "DOCUMENT", copy)
    assert conformance.main(["--check"]) == 1
    assert "development.conformance" in capsys.readouterr().out
    assert conformance.main([]) == 0
    assert capsys.readouterr().out == conformance.table(PROFILE)
    assert conformance.main(["--check"]) == 0


def test_equal_releases_are_one_row() -> None:
    """A row says what its releases request, how it gets a certificate, and which source says so."""
    table = conformance.table(PROFILE)
    assert (
        "| calico-node | 3.26 to 3.27 | `calico-system/calico-node` | `{namespace}:{pod}` | `typha-client` |" in table
    )
    assert "| `node-certs` | asks itself | `pkg/render/node.go` v1.34.0 to 40788b9 |" in table
    assert "| calico-apiserver-own-namespace | 3.28 to 3.30 | `calico-apiserver/calico-apiserver` |" in table
    assert (
        "| `localhost`, `guardian.calico-system`\\* | server, client | `guardian-key-pair` | key pair by `sign" in table
    )
    assert (
        "| calico-kube-controllers | all | `calico-system/calico-kube-controllers` | - | - | - | - | - | has" in table
    )


def test_a_table_knows_each_release_and_component_once() -> None:
    """No release of a row is missing or twice."""
    releases = {
        row.name: [release for release in conformance.TAGS if row.includes(release)] for row in PROFILE.components
    }
    entries = conformance.entries(PROFILE)
    found = {
        name: [release for entry in entries if entry.component == name for release in entry.releases]
        for name in releases
    }
    assert found == releases


def test_a_new_component_or_release_needs_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says where to name it."""
    row = replace(PROFILE.components[0], name="calico-relay")
    with pytest.raises(ValueError, match="name the source of 'calico-relay' in FILES"):
        conformance.table(replace(PROFILE, components=(row,)))
    monkeypatch.setattr(conformance, "TAGS", {"3.26": "v1.30.0", "3.32": "v1.42.4"})
    with pytest.raises(ValueError, match=r"name the source of each release from 3\.26 to 3\.33 in TAGS"):
        conformance.refreshed("")
