"""The custom roles in infra/deployer allow what an apply does.

No test can apply at Google, so only a deployer can find a permission that Google requires beyond those listed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from development.terraform import files
from development.terraform.environment import modules
from tests.paths import INFRA, ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.infra.terraform.plans import Plan

ROLES: Final = sorted((INFRA / "deployer").glob("*.yaml"))
PROJECTS: Final = {
    "example-audit": "audit",
    "example-clusters": "clusters",
    "example-fleet": "clusters",
    "example-keys": "keys",
    "example-signer": "function",
}
"""The role for each project of infra/tests/deployment.tftest.hcl."""
_HEADING: Final = re.compile(r"  # ((?:(?:data\.)?google_[a-z0-9_]+(?:, )?)+)")
_ENTRY: Final = re.compile(r"  - (.+)")


def permissions(path: Path) -> dict[str, set[str]]:
    """Returns the permissions of a role by resource type. The comment above a permission names its types."""
    _, _, listed = path.read_text(encoding="utf-8").partition("includedPermissions:\n")
    found: dict[str, set[str]] = {}
    types: list[str] = []
    for line in listed.splitlines():
        if heading := _HEADING.fullmatch(line):
            types = heading[1].split(", ")
        else:
            entry = _ENTRY.fullmatch(line)
            assert entry, line
            assert types, f"{entry[1]} has no resource type above it"
            for each in types:
                found.setdefault(each, set()).add(entry[1])
    return found


def used() -> set[str]:
    """Returns the types of all resources and data sources of Google's providers in infra/."""
    blocks = [block for module in modules() for block in files.blocks(ROOT / module)]
    resources = {block.labels[0] for block in blocks if block.kind == "resource"}
    data = {f"data.{block.labels[0]}" for block in blocks if block.kind == "data"}
    return {each for each in resources | data if "google_" in each}


def test_roles_list_exactly_the_resource_types_of_the_terraform() -> None:
    """A new type needs its permissions; a removed type must not leave any behind."""
    assert {each for path in ROLES for each in permissions(path)} == used()


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.stem)
def test_role_has_the_format_of_gcloud(path: Path) -> None:
    """`gcloud iam roles create --file` reads it: title, description, stage, and permissions without wildcards."""
    role: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(role) == {"title", "description", "stage", "includedPermissions"}
    assert len(role["title"]) <= 100
    assert len(role["description"]) <= 300
    assert role["stage"] == "GA"
    for permission in role["includedPermissions"]:
        assert re.fullmatch(r"[a-z]+\.[A-Za-z]+\.[A-Za-z]+", permission), permission
    assert len(role["includedPermissions"]) == len(set(role["includedPermissions"]))


@pytest.mark.parametrize("run", ["deployed", "from_an_image", "hardened"])
def test_each_project_has_the_types_of_its_plan(planned: Mapping[str, Plan], run: str) -> None:
    """The role of a project covers each resource that a plan creates in it, as far as the plan knows the project."""
    for address, values in planned[run].resources.items():
        found = re.search(r"\b(google_\w+)\.", address)
        if found and (project := values.get("project")) is not None:
            role = INFRA / "deployer" / f"{PROJECTS[project]}.yaml"
            assert found[1] in permissions(role), f"{address} in {project}"


def test_no_role_can_sign_or_destroy() -> None:
    """The deployer gets no right to use a key, and none to destroy a key version."""
    listed = {each for path in ROLES for granted in permissions(path).values() for each in granted}
    assert {each for each in listed if each.startswith("cloudkms.cryptoKeyVersions.")} == set()
