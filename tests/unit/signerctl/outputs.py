"""Terraform's outputs for the example clusters, and changes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import yaml

from tests.paths import INFRA

TERRAFORM_OUTPUT: Final = INFRA / "cluster" / "examples" / "terraform-output.json"
IMAGE: Final = f"registry.example.com:5000/team/csr-exporter@sha256:{'a' * 64}"
Document = dict[str, Any]


def function_user(cluster: str) -> str:
    """Returns the function's username at the API server of an example cluster."""
    return f"csr-access-{cluster}@example-project.iam.gserviceaccount.com"


def outputs(change: Callable[[Document], object] = lambda _: None) -> Document:
    """Returns the output of `terraform output -json` for the example clusters, after a change of the values.

    Args:
        change: Gets the values by output; `document` is the function's configuration document.
    """
    found: Document = json.loads(TERRAFORM_OUTPUT.read_text(encoding="utf-8"))
    values = {name: output["value"] for name, output in found.items()}
    values["document"] = yaml.safe_load(values["documents"]["configuration.yaml"])
    change(values)
    values["documents"]["configuration.yaml"] = json.dumps(values.pop("document"))
    return {name: {**found[name], "value": value} for name, value in values.items()}
