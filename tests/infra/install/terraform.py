"""`terraform` for the commands of docs/install.md: the real Terraform, with doubles of its providers and of Google."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from development.terraform.environment import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKSPACE: Final = "INSTALL_TEST_WORKSPACE"
"""The variable with the folder of the test's workspace."""


def outputs(folder: Path) -> dict[str, Any]:
    """Returns the outputs of a root module after its last apply."""
    return {name: each["value"] for name, each in _state(folder)["outputs"].items()}


def resources(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Returns the attributes of all resources of a type."""
    found = (each["instances"] for each in _state(folder)["resources"] if each["type"] == kind)
    return [instance["attributes"] for instances in found for instance in instances]


def _state(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "terraform.tfstate").read_text(encoding="utf-8"))
    return content


def main(arguments: Sequence[str]) -> int:
    """Runs Terraform in this folder, and approves each apply; returns the exit status."""
    command, *options = arguments
    made = Workspace(folder=Path(os.environ[WORKSPACE]))
    if command == "init":
        answer = made.init(str(Path.cwd()))
    else:
        answer = made.run(str(Path.cwd()), command, *(["-auto-approve"] if command == "apply" else []), *options)
    sys.stdout.write(answer.output)
    sys.stderr.write(answer.errors)
    return answer.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
