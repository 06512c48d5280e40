"""docs/profiles.md and docs/write-a-profile.md: their snippets are valid, and every key is explained."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic import TypeAdapter

from csr_signer.configuration.schema import ProfileReference
from csr_signer.policy.profile import SHIPPED, Profile, load
from tests.paths import DOCS
from tests.unit.function.policy.component_tables import ENTERPRISE_RELEASES, rows
from tests.unit.signerctl.stage import signerctl

TEXT: Final = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("profiles.md", "write-a-profile.md"))
BLOCKS: Final[list[tuple[str, str]]] = re.findall(r"^```yaml *(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def blocks(kind: str) -> list[str]:
    """The pages' YAML of a kind, which stands after the fence's language."""
    return [text for found, text in BLOCKS if found == kind]


def test_every_snippet_is_of_a_kind() -> None:
    """So that none is left out of the tests below."""
    kinds = [kind for kind, _ in BLOCKS]
    assert sorted(set(kinds)) == ["csr", "document", "profile", "reference", "row"]
    assert len(kinds) == TEXT.count("```yaml")


@pytest.mark.parametrize("text", blocks("reference"))
def test_a_reference_is_one_that_loads(text: str, tmp_path: Path) -> None:
    """It names a shipped profile, a release that it knows, and namespaces that it uses."""
    content = yaml.safe_load(text)
    assert list(content) == ["profile"]
    reference = TypeAdapter(ProfileReference).validate_json(json.dumps(content["profile"]))
    made = load(reference.name, release=reference.release, namespaces=reference.namespaces, folder=tmp_path)
    assert made.components


def test_enterprises_namespaces_are_all_of_the_release() -> None:
    """Whoever copies the list and leaves out what is not installed has forgotten none."""
    (reference,) = [yaml.safe_load(text)["profile"] for text in blocks("reference") if "enterprise" in text]
    assert reference["release"] == ENTERPRISE_RELEASES[-1]
    used = {asked.namespace for asked in rows("calico-enterprise", reference["release"])}
    assert reference["namespaces"] == sorted(used)


@pytest.mark.parametrize("text", blocks("profile"))
def test_a_profile_loads(text: str, tmp_path: Path) -> None:
    """As it stands, as a user's file."""
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    assert load("own.yaml", release=None, folder=tmp_path).components


def test_the_document_with_the_profile_is_what_guards_reads(tmp_path: Path) -> None:
    """The command of step 3 accepts the two files, and prints policies about the profile's account and name."""
    (document,), (profile,), (csr,) = blocks("document"), blocks("profile"), blocks("csr")
    (tmp_path / "function.yaml").write_text(document, encoding="utf-8")
    (tmp_path / "web.yaml").write_text(profile, encoding="utf-8")
    user = "csr-signer@my-project.iam.gserviceaccount.com"
    result = signerctl(
        "guards", "--configuration", str(tmp_path / "function.yaml"), "--cluster", "shop", "--function-user", user
    )
    assert result.exit_code == 0, result.output
    assert "system:serviceaccount:shop:web" in result.stdout
    assert yaml.safe_load(csr)["spec"]["signerName"] in result.stdout


@pytest.mark.parametrize("text", blocks("row"))
def test_a_row_can_be_added_to_a_copy_of_enterprises(text: str, tmp_path: Path) -> None:
    """As the document says: copied beside the configuration document, with the row at its end."""
    (tmp_path / "own.yaml").write_text((SHIPPED / "calico-enterprise.yaml").read_text("utf-8") + text, encoding="utf-8")
    own = load("own.yaml", release="1.43", namespaces=["tigera-fluentd"], folder=tmp_path)
    assert [row.name for row in own.components] == ["fluentd"]


def test_every_key_has_a_row() -> None:
    """Keys of a profile and of a component, each in a table of its own; nothing else is called a key."""
    schema: dict[str, Any] = TypeAdapter(Profile).json_schema()
    for heading, definition in (("A profile's keys", schema), ("A row's keys", schema["$defs"]["Component"])):
        (table,) = re.findall(rf"# {heading}\n\n((?:\|.*\n)+)", TEXT)
        named = [name for line in table.splitlines() for name in re.findall(r"`([a-z_]+)`", line.split(" | ")[0])]
        assert sorted(named) == sorted(definition["properties"])
