"""One root module, applied before and after the CA certificates exist, with values that only an apply determines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.terraform.plans import lines

if TYPE_CHECKING:
    from development.terraform.environment import Workspace

TEST = "tests/twice.tftest.hcl"
# As in deployment.tftest.hcl, but computed values are unknown until the apply, as with the real providers.
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

run "planned_again" {
  command = plan

  # Terraform's tests allow no check of an unknown value.
  override_module {
    target = module.function
  }
}

run "applied_again" {}

run "changed_nothing" {
  command = plan
}

run "deployed_anew" {
  command = plan

  override_resource {
    target          = module.function[0].google_cloudfunctions2_function.this
    override_during = plan
    values          = { state = "ACTIVE" }
  }

  plan_options {
    replace = [module.function[0].google_cloudfunctions2_function.this]
  }
}
"""


@pytest.fixture(scope="module")
def said(workspace: Workspace) -> list[dict[str, Any]]:
    """Runs Terraform, and returns its output; no run fails."""
    tests = workspace.tree / "infra" / "tests"
    head = (tests / "deployment.tftest.hcl").read_text(encoding="utf-8").split("\nrun ")[0]
    assert head.count(COMPUTED) == 1
    (workspace.tree / "infra" / TEST).write_text(head.replace(COMPUTED, "") + "\n" + RUNS, encoding="utf-8")
    told = lines(workspace, "infra", TEST, verbose=True)
    assert [line["@message"] for line in told if line["type"] == "diagnostic"] == []
    return told


def planned(said: list[dict[str, Any]], run: str) -> dict[str, list[str]]:
    """Returns the actions of a run's plan by address."""
    (plan,) = [line["test_plan"] for line in said if line["type"] == "test_plan" and line["@testrun"] == run]
    return {change["address"]: change["change"]["actions"] for change in plan["resource_changes"]}


def test_a_plan_prints_no_source(said: list[dict[str, Any]]) -> None:
    """Terraform reads the zip's data source at plan: a plan that deferred it would print all files of the function."""
    actions = planned(said, "planned_again")
    assert any(address.startswith("google_service_account.") for address in actions)
    assert not [address for address, action in actions.items() if action == ["read"]]


def test_a_third_apply_changes_nothing(said: list[dict[str, Any]]) -> None:
    """The first apply knows every for_each key; the second deploys the function; the third changes nothing."""
    actions = planned(said, "changed_nothing")
    assert "module.function[0].google_cloudfunctions2_function.this" in actions
    assert {address: action for address, action in actions.items() if action not in (["no-op"], ["read"])} == {}


def test_a_new_function_gets_its_callers_back(said: list[dict[str, Any]]) -> None:
    """A new Cloud Run service of the same name lacks the grants of the old one, so Terraform makes them again."""
    actions = planned(said, "deployed_anew")
    invoke = "module.function[0].google_cloud_run_v2_service_iam_member.invoke"
    assert {address: action for address, action in actions.items() if address.startswith(invoke)} == {
        f'{invoke}["exporter-prod"]': ["delete", "create"],
        f'{invoke}["exporter-site"]': ["delete", "create"],
    }


def test_the_next_apply_removes_the_ca_administrators_right(said: list[dict[str, Any]]) -> None:
    """Only an apply with ca_administrator_until grants the right; the next apply without it leaves no grant."""
    states = {line["@testrun"]: json.dumps(line["test_state"]) for line in said if line["type"] == "test_state"}
    assert {run: "user:ca-administrator@example.com" in state for run, state in states.items()} == {
        "applied_first": True,
        "applied_again": False,
    }
