"""`terraform` for the commands of docs/install.md: the real Terraform, with the providers' doubles.

`terraform test` computes what an apply would create, without Google, and destroys it again. So this program applies
from the start each time, and keeps the result in a file for `terraform output` and the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from development.terraform.environment import Workspace
from tests.infra.terraform.plans import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORKSPACE: Final = "INSTALL_TEST_WORKSPACE"
"""The variable with the folder of the test's workspace."""
URL: Final = "INSTALL_TEST_URL"
"""The variable with the URL that Google gives the function."""
NUMBER: Final = "104567890123456789012"
"""The number of the function's account."""
_STATE: Final = "state.json"
_TEST: Final = "tests/apply.tftest.hcl"


def state(folder: Path) -> dict[str, Any]:
    """Returns what the last apply of a root module created."""
    content: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    return content


def resources(folder: Path, kind: str) -> dict[str, dict[str, Any]]:
    """Returns the values of all resources of a type by address."""
    return {each["address"]: each["values"] for each in _all(state(folder)["root_module"]) if each["type"] == kind}


def _all(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _all(child)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `init`, `apply [-var NAME=VALUE]` or `output -json [NAME]` in this folder; returns the exit status."""
    parser = argparse.ArgumentParser(prog="terraform", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init")
    commands.add_parser("apply").add_argument("-var", action="append", default=[])
    output = commands.add_parser("output")
    output.add_argument("-json", action="store_true", required=True)
    output.add_argument("name", nargs="?")
    options = parser.parse_args(arguments)
    here = Path.cwd()
    if options.command == "init":
        answer = Workspace(folder=Path(os.environ[WORKSPACE])).init(str(here))
        sys.stderr.write(answer.errors)
        return answer.status
    if options.command == "apply":
        return _apply(here, dict(each.split("=", 1) for each in options.var))
    outputs = state(here)["outputs"]
    sys.stdout.write(json.dumps(outputs[options.name]["value"] if options.name else outputs) + "\n")
    return 0


def _apply(here: Path, variables: dict[str, str]) -> int:
    given = "".join(f"    {name} = {json.dumps(value)}\n" for name, value in variables.items())
    (here / _TEST).write_text(_mocks() + f'run "apply" {{\n  variables {{\n{given}  }}\n}}\n', encoding="utf-8")
    said = lines(Workspace(folder=Path(os.environ[WORKSPACE])), str(here), _TEST, verbose=True)
    for line in said:
        if line["type"] == "diagnostic":
            sys.stderr.write(f"{line['diagnostic']['summary']}: {line['diagnostic']['detail']}\n")
    states = [line["test_state"] for line in said if line["type"] == "test_state"]
    if len(states) != 1:
        return 1
    (here / _STATE).write_text(json.dumps(states[0]), encoding="utf-8")
    sys.stdout.write("Apply complete!\n")
    return 0


def _mocks() -> str:
    """Returns the providers' doubles with the values that Google would choose."""
    return f"""
mock_provider "archive" {{}}
mock_provider "google-beta" {{}}
mock_provider "time" {{}}

mock_provider "google" {{
  mock_data "google_project" {{
    defaults = {{ number = "123456789012" }}
  }}

  mock_resource "google_service_account" {{
    defaults = {{ unique_id = "{NUMBER}", name = "projects/p/serviceAccounts/x@p.iam.gserviceaccount.com" }}
  }}

  mock_resource "google_cloudfunctions2_function" {{
    defaults = {{ service_config = {{ uri = "{os.environ[URL]}" }}, state = "ACTIVE" }}
  }}
}}

"""


if __name__ == "__main__":
    sys.exit(main())
