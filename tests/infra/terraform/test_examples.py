"""The examples work outside this repository, as docs/install.md says."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from development.lock import ROOT
from development.terraform.environment import modules
from signerctl.cluster import terraform_output
from tests.infra.terraform.plans import lines
from tests.infra.terraform.test_modules import blocks
from tests.paths import DOCS

if TYPE_CHECKING:
    from development.terraform.environment import Workspace

EXAMPLES = [name for name in modules() if name.startswith("infra/examples/")]
READ = re.compile(r"terraform (?:-chdir=\S+ )?output (?:-json )?([a-z_]+)")


def test_an_example_works_in_its_own_folder(workspace: Workspace) -> None:
    """The copy lies next to the repository, with the page's relative source and a CA certificate."""
    command = re.search(r"^sed -i\.bak .*$", (DOCS / "install.md").read_text(encoding="utf-8"), re.MULTILINE)
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

  override_module {
    target = module.signer.module.function
  }

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


ADOPTED = {
    'module.signer.module.identities["shop"].google_iam_workload_identity_pool.this[0]': (
        "projects/example-signer/locations/global/workloadIdentityPools/csr-exporter-shop"
    ),
    'module.signer.module.identities["shop"].google_iam_workload_identity_pool_provider.this[0]': (
        "projects/example-signer/locations/global/workloadIdentityPools/csr-exporter-shop/providers/cluster"
    ),
    'module.signer.module.key.google_kms_crypto_key.this["shop-calico"]': (
        "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/shop-calico"
    ),
    "module.signer.module.key.google_kms_key_ring.this": (
        "projects/example-keys/locations/europe-west1/keyRings/csr-signer"
    ),
}


def test_an_earlier_deployment_is_adopted(workspace: Workspace) -> None:
    """With the variable `adopt`, Terraform imports what an uninstall left, and creates no second one."""
    example = "infra/examples/eks"
    tests = workspace.tree / example / "tests"
    overrides = "\n".join(f"  override_resource {{\n    target = {address}\n  }}" for address in ADOPTED)
    head = (tests / "plan.tftest.hcl").read_text(encoding="utf-8").split("\nrun ")[0]
    variables = '  variables {\n    adopt = ["identity_pools", "key_ring"]\n  }'
    run = f'run "adopted" {{\n  command = plan\n\n{variables}\n{overrides}\n}}\n'
    (tests / "adopt.tftest.hcl").write_text(f"{head}\n{run}", encoding="utf-8")
    assert workspace.init(example).status == 0
    said = lines(workspace, example, "tests/adopt.tftest.hcl", verbose=True)
    assert [line["@message"] for line in said if line["type"] == "diagnostic"] == []
    (plan,) = [line["test_plan"] for line in said if line["type"] == "test_plan"]
    assert {
        change["address"]: change["change"]["importing"]["id"]
        for change in plan["resource_changes"]
        if "importing" in change["change"]
    } == ADOPTED


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_adopt(example: str) -> None:
    """The file is the same in all examples."""
    adopt = (ROOT / example / "adopt.tf").read_text(encoding="utf-8")
    assert adopt == (ROOT / EXAMPLES[0] / "adopt.tf").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_have_the_outputs_that_the_documents_read(example: str) -> None:
    """Each example has all outputs that docs/install.md, next_steps and `signerctl cluster manifests` read."""
    texts = [DOCS / "install.md", ROOT / "infra" / "outputs.tf", ROOT / example / "main.tf"]
    read = {name for path in texts for name in READ.findall(path.read_text(encoding="utf-8"))} - {"associate"}
    assert "next_steps" in read
    assert {*read, *terraform_output.OUTPUTS} <= set(blocks(ROOT / example / "main.tf", "output"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_ca_administrators_right_comes_from_the_command_line(example: str) -> None:
    """No example contains a time: it passes on the value of -var, or null."""
    main = ROOT / example / "main.tf"
    assert re.search(r"^  default += null$", blocks(main, "variable")["ca_administrator_until"], re.MULTILINE)
    times = re.findall(r"^  ca_administrator_until += (.*)$", main.read_text(encoding="utf-8"), re.MULTILINE)
    assert times == ["var.ca_administrator_until"]
