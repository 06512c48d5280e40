"""One root, applied twice: before and after the CA certificates exist, with values that only an apply makes known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.terraform.plans import lines

if TYPE_CHECKING:
    from development.terraform.environment import Workspace

TEST = "tests/twice.tftest.hcl"
# As in deployment.tftest.hcl, but what a provider computes is unknown until it is applied, as it really is.
COMPUTED = "  override_during = plan\n"
RUNS = """
run "applied_first" {
  variables {
    ca_administrator_until = timeadd(timestamp(), "1h")
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


@pytest.fixture(scope="module")
def said(workspace: Workspace) -> list[dict[str, Any]]:
    """What Terraform tells of the runs; none of them fails."""
    tests = workspace.tree / "infra" / "tests"
    head = (tests / "deployment.tftest.hcl").read_text(encoding="utf-8").split("\nrun ")[0]
    assert head.count(COMPUTED) == 1
    (workspace.tree / "infra" / TEST).write_text(head.replace(COMPUTED, "") + "\n" + RUNS, encoding="utf-8")
    told = lines(workspace, "infra", TEST, verbose=True)
    assert [line["@message"] for line in told if line["type"] == "diagnostic"] == []
    return told


def test_a_third_apply_changes_nothing(said: list[dict[str, Any]]) -> None:
    """No key of a for_each waits for an apply; the function follows the certificates; then nothing is left to do."""
    (plan,) = [line["test_plan"] for line in said if line["type"] == "test_plan"]
    actions = {change["address"]: change["change"]["actions"] for change in plan["resource_changes"]}
    assert "module.function[0].google_cloudfunctions2_function.this" in actions
    assert {address: action for address, action in actions.items() if action not in (["no-op"], ["read"])} == {}


def test_the_apply_after_the_ca_certificate_takes_its_administrators_right_away(said: list[dict[str, Any]]) -> None:
    """Only an apply with ca_administrator_until gives the right; the next one without it leaves no grant behind."""
    states = {line["@testrun"]: json.dumps(line["test_state"]) for line in said if line["type"] == "test_state"}
    assert {run: "user:ca-administrator@example.com" in state for run, state in states.items()} == {
        "applied_first": True,
        "applied_again": False,
    }
