"""One root, applied twice: before and after the CA certificates exist, with values that only an apply makes known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.infra.terraform.plans import lines

if TYPE_CHECKING:
    from development.terraform.environment import Workspace

TEST = "tests/twice.tftest.hcl"
# As in deployment.tftest.hcl, but what a provider computes is unknown until it is applied, as it really is.
COMPUTED = "  override_during = plan\n"
RUNS = """
run "applied_first" {
  variables {
    signers = { for name in ["prod", "site"] : "${name}-calico" => {
      cluster     = name
      profile     = { name = "calico", release = "3.31" }
      signer_name = "${name}.example.com/calico"
    } }
  }
}

run "applied_again" {}

run "changed_nothing" {
  command = plan
}
"""


def test_a_third_apply_changes_nothing(workspace: Workspace) -> None:
    """No key of a for_each waits for an apply; the function follows the certificates; then nothing is left to do."""
    tests = workspace.tree / "infra" / "tests"
    head = (tests / "deployment.tftest.hcl").read_text(encoding="utf-8").split("\nrun ")[0]
    assert head.count(COMPUTED) == 1
    (workspace.tree / "infra" / TEST).write_text(head.replace(COMPUTED, "") + "\n" + RUNS, encoding="utf-8")
    said = lines(workspace, "infra", TEST, verbose=True)
    assert [line["@message"] for line in said if line["type"] == "diagnostic"] == []
    (plan,) = [line["test_plan"] for line in said if line["type"] == "test_plan"]
    actions = {change["address"]: change["change"]["actions"] for change in plan["resource_changes"]}
    assert "module.function[0].google_cloudfunctions2_function.this" in actions
    assert {address: action for address, action in actions.items() if action not in (["no-op"], ["read"])} == {}
