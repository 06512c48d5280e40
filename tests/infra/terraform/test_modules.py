"""Every folder of Terraform files is valid, formatted and tested, and follows the same rules."""

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
"""The fixture `planned` has its runs."""
IN_ORDER: Final = ("variables.tf", "outputs.tf")


def blocks(path: Path, kind: str) -> dict[str, str]:
    """Returns the bodies of a file's blocks of one kind by name, in order."""
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return {match[3] or match[2]: match[4] for match in found if match[1] == kind}


@pytest.mark.parametrize("module", modules())
def test_module_is_valid_and_passes_its_tests(workspace: Workspace, module: str) -> None:
    """All its tests pass; their plans validate it against the providers' schemas too."""
    answer = workspace.init(module)
    assert answer.status == 0, answer.errors
    tests = sorted((ROOT / module / "tests").glob("*.tftest.hcl"))
    assert tests, "a module without tests"
    options = [f"-filter=tests/{path.name}" for path in tests if path.name != PLANNED]
    answer = workspace.run(module, "test", "-no-color", *options)
    assert answer.status == 0, answer.output + answer.errors


def test_everything_is_formatted(workspace: Workspace) -> None:
    """`terraform fmt` changes no file."""
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
def test_no_resource_replaces_other_grants(path: Path) -> None:
    """Resources only add IAM members; no name is random; cloud names are in kebab case."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'^resource "google_\w+_iam_(binding|policy)"', text, re.MULTILINE)
    assert not re.search(r'^resource "random_', text, re.MULTILINE)
    for name in re.findall(
        r'^  (?:name|account_id|secret_id|repository_id|workload_identity_pool_id) += "([^"$]+)"', text, re.MULTILINE
    ):
        assert re.fullmatch(r"[a-z0-9-]+", name), name


def test_terraform_takes_no_project_out_of_a_perimeter() -> None:
    """It forgets the projects that it once added: outside, `callers = "perimeter"` would shut the exporters out."""
    assert "destroy = false" in (ROOT / "infra" / "perimeter.tf").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "infra").rglob("*.tftest.hcl")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_mocked_values_are_possible(path: Path) -> None:
    """The real provider refuses a service account's name without an email address; our double accepts any name."""
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"serviceAccounts/([^\"/]*)\"", text)
    email = re.compile(r"[a-z0-9-]+@[a-z0-9-]+\.iam\.gserviceaccount\.com")
    assert [name for name in names if not email.fullmatch(name)] == []
    # Terraform 1.11 refuses a test file with a function in a mocked value.
    mocked = re.findall(r"^( *)(?:mock|override)_\w+ [^\n]*\{\n(.*?)^\1\}", text, re.MULTILINE | re.DOTALL)
    assert [body for _, body in mocked if re.search(r"\w\(", body)] == []
    if re.search(r'^mock_provider "google" ', text, re.MULTILINE):
        used = re.compile(r'^resource "google_service_account" ', re.MULTILINE)
        sources = [each.read_text(encoding="utf-8") for each in path.parents[1].glob("*.tf")]
        assert names or not any(used.search(source) for source in sources), "the mock names no service account"


def test_the_threat_model_names_existing_runs() -> None:
    """docs/threats.md names runs of `terraform test` as proofs, beside the Python tests."""
    files = (ROOT / "infra").rglob("*.tftest.hcl")
    runs = {
        name for path in files for name in re.findall(r'^run "(\w+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    text = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    named = {name for found in re.findall(r"\bruns? ((?:`\w+`(?:, )?)+)", text) for name in re.findall(r"\w+", found)}
    assert named
    assert named <= runs


def test_checkov_reports_no_violation() -> None:
    """Each violation is fixed, or waived in the code with a reason.

    An example only calls the root module, so checkov finds the same in each: it reads one.
    """
    checkov = apart.python(TERRAFORM).with_name("checkov")
    options = ["--framework", "terraform", "--skip-download", "--quiet", "--compact", "--output", "json"]
    for example in (ROOT / "infra" / "examples").iterdir():
        if example.name != "self-managed":
            assert not any(blocks(path, kind) for path in example.glob("*.tf") for kind in ("resource", "data"))
            options += ["--skip-path", f"examples/{example.name}"]
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
    """Each waiver for checkov has a reason of at least five words."""
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
def test_example_certificates_are_reproducible(name: str, number: int, end: datetime) -> None:
    """The tests' own code makes the certificates in infra/tests; their keys are not secret."""
    ca = Ca(f"Example {name}", key=ec_key(number=number), end=end)
    assert (ROOT / "infra" / "tests" / f"{name}.pem").read_bytes() == ca.pem
