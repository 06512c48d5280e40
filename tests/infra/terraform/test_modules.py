"""Every folder of Terraform files: valid, formatted, tested, and written by the same rules."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from development import apart
from development.lock import ROOT, TERRAFORM
from development.terraform.environment import modules
from tests.unit.function.authorities import Ca
from tests.unit.function.builders import ec_key

if TYPE_CHECKING:
    from pathlib import Path

    from development.terraform.environment import Workspace

FILES: Final = sorted((ROOT / "infra").rglob("*.tf"))
BLOCK: Final = re.compile(r'^(\w+) "(\w+)"(?: "(\w+)")? \{\n(.*?)^\}$', re.MULTILINE | re.DOTALL)
PLANNED: Final = "deployment.tftest.hcl"
"""Its runs are those of the fixture `planned`."""
IN_ORDER: Final = ("variables.tf", "outputs.tf")


def blocks(path: Path, kind: str) -> dict[str, str]:
    """The bodies of a file's blocks of one kind, by name, in their order."""
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return {match[3] or match[2]: match[4] for match in found if match[1] == kind}


@pytest.mark.parametrize("module", modules())
def test_module(workspace: Workspace, module: str) -> None:
    """Terraform finds it valid with the providers' schemas, and all of its tests pass."""
    answer = workspace.init(module)
    assert answer.status == 0, answer.errors
    answer = workspace.run(module, "validate", "-no-color")
    assert answer.status == 0, answer.output + answer.errors
    tests = sorted((ROOT / module / "tests").glob("*.tftest.hcl"))
    assert tests, "a module without tests"
    options = [f"-filter=tests/{path.name}" for path in tests if path.name != PLANNED]
    answer = workspace.run(module, "test", "-no-color", *options)
    assert answer.status == 0, answer.output + answer.errors


def test_everything_is_formatted(workspace: Workspace) -> None:
    """`terraform fmt` has nothing to change."""
    answer = workspace.run("infra", "fmt", "-check", "-diff", "-recursive", "-no-color")
    assert answer.output == ""
    assert answer.status == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_and_outputs_are_described(path: Path) -> None:
    """Each variable has type and description, each output a description, in whole sentences and alphabetical order."""
    for kind in ("variable", "output"):
        found = blocks(path, kind)
        if path.name in IN_ORDER:
            assert list(found) == sorted(found)
        for name, body in found.items():
            described = re.search(r'^  description = "(.*)"$', body, re.MULTILINE)
            assert described, f"{name} has no description"
            assert described[1].endswith("."), f"{name}: {described[1]}"
            assert kind == "output" or re.search(r"^  type +=", body, re.MULTILINE), f"{name} has no type"
            for message in re.findall(r'error_message = "(.*)"', body):
                assert message.endswith((".", "}.")), message


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_replaces_the_grants_of_others(path: Path) -> None:
    """IAM is added to, never replaced; no name is random; names in the cloud are in kebab-case."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'^resource "google_\w+_iam_(binding|policy)"', text, re.MULTILINE)
    assert not re.search(r'^resource "random_', text, re.MULTILINE)
    for name in re.findall(
        r'^  (?:name|account_id|secret_id|repository_id|workload_identity_pool_id) += "([^"$]+)"', text, re.MULTILINE
    ):
        assert re.fullmatch(r"[a-z0-9-]+", name), name


def test_a_key_cannot_be_destroyed_by_mistake() -> None:
    """prevent_destroy is no variable, so it is read."""
    text = (ROOT / "infra" / "modules" / "key" / "main.tf").read_text(encoding="utf-8")
    key = text[text.index('resource "google_kms_crypto_key" "this"') :]
    assert "prevent_destroy = true" in key[: key.index("\n}\n")]


def test_checkov_finds_nothing() -> None:
    """Each of its findings is mended, or waived at its place with a reason."""
    checkov = apart.python(TERRAFORM).with_name("checkov")
    options = ["--framework", "terraform", "--skip-download", "--quiet", "--compact", "--output", "json"]
    done = subprocess.run(
        [str(checkov), "--directory", str(ROOT / "infra"), *options],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "LOG_LEVEL": "ERROR"},
        timeout=300,
    )
    results: dict[str, Any] = json.loads(done.stdout)["results"]
    found = {(each["check_id"], each["resource"], each["file_path"]) for each in results["failed_checks"]}
    assert found == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_waivers_have_reasons(path: Path) -> None:
    """What checkov is told to pass over says why, in more than a word."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if "checkov" in line:
            waiver = re.fullmatch(r" *#checkov:skip=CKV2?_[A-Z]+_[0-9]+:(.*)", line)
            assert waiver, line
            assert len(waiver[1].split()) >= 5, line


@pytest.mark.parametrize(
    ("name", "number", "end"),
    [
        ("ca", 7000, datetime(2106, 1, 1, tzinfo=UTC)),
        ("another-ca", 7001, datetime(2106, 1, 1, tzinfo=UTC)),
        ("ended-ca", 7002, datetime(2026, 2, 1, 12, 30, 5, tzinfo=UTC)),
    ],
)
def test_example_authorities(name: str, number: int, end: datetime) -> None:
    """The certificates in infra/tests are those that the tests' own maker makes, whose keys are no secret."""
    ca = Ca(f"Example {name}", key=ec_key(number=number), end=end)
    assert (ROOT / "infra" / "tests" / f"{name}.pem").read_bytes() == ca.pem
