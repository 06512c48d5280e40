"""The examples work outside this repository, as README.md says."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from development.lock import ROOT
from development.terraform.environment import modules
from tests.infra.terraform.test_modules import blocks

if TYPE_CHECKING:
    from development.terraform.environment import Workspace

EXAMPLES = [name for name in modules() if name.startswith("infra/examples/")]
READ = re.compile(r"terraform (?:-chdir=\S+ )?output (?:-json )?([a-z_]+)")


def test_an_example_works_in_its_own_folder(workspace: Workspace) -> None:
    """The copy lies next to the repository, with README.md's relative source and a CA certificate."""
    command = re.search(r"^sed -i\.bak .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert command
    assert 's|"../.."|"../$(basename "$REPO")/infra"|' in command[0].replace("\\", "")
    copy = workspace.folder / "csr-signer"
    shutil.copytree(workspace.tree / "infra" / "examples" / "gke-dns-endpoint", copy)
    main = copy / "main.tf"
    main.write_text(main.read_text(encoding="utf-8").replace('"../.."', '"../tree/infra"'), encoding="utf-8")
    shutil.copyfile(workspace.tree / "infra" / "tests" / "ca.pem", copy / "prod-calico-ca.pem")
    tests = copy / "tests" / "plan.tftest.hcl"
    head = tests.read_text(encoding="utf-8").split("\nrun ")[0]
    asserted = """
run "applied_again" {
  command = plan

  assert {
    condition     = contains(keys(output.exporter_configurations), "prod")
    error_message = "the CA certificate beside main.tf is found, and the function is planned"
  }
}
"""
    tests.write_text(head + asserted, encoding="utf-8")
    answer = workspace.init(str(copy))
    assert answer.status == 0, answer.errors
    answer = workspace.run(str(copy), "test", "-no-color")
    assert answer.status == 0, answer.output + answer.errors


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_have_the_outputs_that_the_documents_read(example: str) -> None:
    """Each example has all outputs that README.md and next_steps read with `terraform output`."""
    texts = [ROOT / "README.md", ROOT / "infra" / "outputs.tf", ROOT / example / "main.tf"]
    read = {name for path in texts for name in READ.findall(path.read_text(encoding="utf-8"))} - {"associate"}
    assert {"documents", "exporter_configurations", "manifests", "next_steps"} <= read
    assert read <= set(blocks(ROOT / example / "main.tf", "output"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_ca_administrators_right_comes_from_the_command_line(example: str) -> None:
    """No example contains a time: it passes on the value of -var, or null."""
    main = ROOT / example / "main.tf"
    assert re.search(r"^  default += null$", blocks(main, "variable")["ca_administrator_until"], re.MULTILINE)
    times = re.findall(r"^  ca_administrator_until += (.*)$", main.read_text(encoding="utf-8"), re.MULTILINE)
    assert times == ["var.ca_administrator_until"]
