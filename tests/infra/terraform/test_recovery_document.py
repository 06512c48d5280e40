"""docs/recovery.md names options of Terraform, addresses and variables that exist.

tests/unit/documentation checks links and the commands of signerctl. The commands of gcloud and kubectl are not checked:
gcloud is no package that a test can install.
"""

from __future__ import annotations

import itertools
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import pytest

from development.terraform import files
from development.terraform.doubles.google import NUMBER
from tests.infra.terraform.conftest import initialised
from tests.infra.terraform.deployed import IMAGE, KEY, Deployment
from tests.paths import DOCS, INFRA
from tests.unit.signerctl.runbook import commands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from development.terraform.environment import Workspace
    from tests.infra.terraform.plans import Plan

DOCUMENT: Final = DOCS / "recovery.md"
TEXT: Final = DOCUMENT.read_text(encoding="utf-8")
ADOPT: Final = (INFRA / "examples" / "gke-dns-endpoint" / "adopt.tf").read_text(encoding="utf-8")
DOCUMENTED: Final = dict(re.findall(r"^\| `(google_\w+)` \| `(.+)` \|$", TEXT, re.MULTILINE))


def blocks(language: str) -> list[str]:
    """Returns the code blocks of one language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)


def of_program(program: str) -> list[list[str]]:
    """Returns the arguments of each call of a program."""
    lines = [shlex.split(line) for text in blocks("sh") for line in commands(text)]
    return [line[1 : line.index(">") if ">" in line else None] for line in lines if line[0] == program]


@pytest.mark.parametrize("arguments", of_program("terraform"), ids=lambda arguments: " ".join(arguments[:2]))
def test_terraform_knows_the_commands(workspace: Workspace, arguments: list[str]) -> None:
    """Terraform's help of each command lists each option."""
    command = arguments[: 2 if arguments[0] == "state" else 1]
    answer = workspace.run("infra", *command, "-help")
    assert answer.status == 0, answer.errors
    for option in (each for each in arguments if each.startswith("-")):
        assert re.search(rf"^\s*{option.partition('=')[0]}\b", answer.output, re.MULTILINE), option


def test_addresses_are_those_of_a_plan(planned: Mapping[str, Plan]) -> None:
    """Each address in the commands is the address of a planned resource, or of a module that has some."""
    addresses = [address for run in ("hardened", "from_an_image") for address in planned[run].resources]
    named = set(re.findall(r"(?:^|['` ])module\.signer\.([a-z_0-9.\[\]\"-]+)", TEXT, re.MULTILINE))
    assert len(named) >= 20
    for name in named:
        assert any(re.match(rf"{re.escape(name)}[.\[]", f"{address}.") for address in addresses), name


def test_a_lost_state_is_imported_without_a_replacement(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the document's IDs, the plan destroys and replaces nothing, and the next one is empty."""
    with initialised(tmp_path_factory) as workspace:
        deployment = Deployment(workspace=workspace)
        for variables in ({"encryption_key": KEY}, {"image": IMAGE}):
            deployment.begin(variables)
            before = deployment.projects["objects"].keys()
            imports = [
                f'import {{\n  to = {address}\n  id = "{import_id(kind, values)}"\n}}\n'
                for address, kind, values in deployment.resources()
                if kind in DOCUMENTED
            ]
            assert len(imports) >= 30
            deployment.lose_state()
            recovered = workspace.tree / "infra" / "recovered.tf"
            recovered.write_text("\n".join(imports), encoding="utf-8")
            run = deployment.apply(variables)
            recovered.unlink()
            assert run.errors == []
            assert {"delete", "replace"}.isdisjoint(run.planned.values())
            deployment.assert_unchanged(variables)
            assert deployment.projects["objects"].keys() >= before


def import_id(kind: str, values: Mapping[str, Any]) -> str:
    """Returns a resource's import ID, as the document writes it."""
    parts = values["id"].split("/")
    named = dict(itertools.pairwise(parts))
    given = {
        "BUCKET": named.get("buckets"),
        "EMAIL": parts[-1],
        "LOCATION": named.get("locations"),
        "NAME": values.get("name") if kind == "google_logging_metric" else parts[-1],
        "NUMBER": NUMBER,
        "POOL": named.get("workloadIdentityPools"),
        "RING": named.get("keyRings"),
        "PROJECT": named.get("projects") or values.get("project"),
        "SERVICE": named.get("services"),
        "AUDIT_PROJECT": named.get("metricsScopes"),
        "KEY_PROJECT": named.get("projects"),
    }
    return re.sub(r"[A-Z_]{4,}", lambda match: str(given[match[0]]), DOCUMENTED[kind])


def test_what_is_adopted_can_be_adopted() -> None:
    """The examples' variable `adopt` has each value that the commands give it."""
    given = {name for values in re.findall(r"adopt=\[(.*?)\]", TEXT) for name in re.findall(r'"(\w+)"', values)}
    assert given
    assert {name for name in given if f'contains(var.adopt, "{name}")' not in ADOPT} == set()


def test_variables_exist() -> None:
    """Each line sets a variable of the root module, an attribute of a signer, or belongs to an import."""
    variables = {block.labels[0]: block.attributes["type"] for block in files.blocks(INFRA) if block.kind == "variable"}
    for name in re.findall(r"^ *(\w+) += ", "\n".join(blocks("hcl")), re.MULTILINE):
        assert name in {"to", "id"} | variables.keys() or re.search(rf"\b{name} ", variables["signers"]), name
    assert re.search(r"\blocation ", variables["audit"])
