"""Parses plans from the output of `terraform test`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from development.terraform.environment import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The planned resources and outputs.

    Attributes:
        resources: by address, as far as their values are known.
        outputs: of the root module.
    """

    resources: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Any]

    def of_type(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Returns the resources of one type."""
        return {address: values for address, values in self.resources.items() if f"{kind}." in address}

    def one(self, kind: str) -> Mapping[str, Any]:
        """Returns the only resource of one type."""
        (values,) = self.of_type(kind).values()
        return values


def lines(workspace: Workspace, module: str, *filters: str, verbose: bool = False) -> list[dict[str, Any]]:
    """Runs `terraform test`, and returns one value per output line; plans only if it is verbose."""
    options = [*(["-verbose"] if verbose else []), *(f"-filter={name}" for name in filters)]
    answer = workspace.run(module, "test", "-json", *options)
    return [json.loads(line) for line in answer.output.splitlines()]


def plans(workspace: Workspace, module: str, name: str) -> dict[str, Plan]:
    """Returns the plans of a test file by run; all runs must pass."""
    said = lines(workspace, module, name, verbose=True)
    assert [line["@message"] for line in said if line["type"] == "diagnostic"] == []
    return {line["@testrun"]: _plan(line["test_plan"]) for line in said if line["type"] == "test_plan"}


def _plan(content: dict[str, Any]) -> Plan:
    return Plan(
        resources={
            change["address"]: change["change"]["after"] or {}
            for change in content.get("resource_changes", ())
            if change["change"]["actions"] == ["create"]
        },
        outputs={name: change.get("after") for name, change in content["output_changes"].items()},
    )
