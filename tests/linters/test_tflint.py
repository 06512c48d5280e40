"""tflint has nothing to say about any folder of Terraform files; infra/.tflint.hcl says why a rule is disabled."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from development.terraform.environment import modules
from tests.paths import INFRA, ROOT

CONFIGURATION: Final = INFRA / ".tflint.hcl"


def findings(tflint: Path, folder: Path, *options: str) -> list[str]:
    """Returns what tflint says about one folder: file, line, rule and message."""
    command = [str(tflint), f"--chdir={folder}", f"--config={CONFIGURATION}", "--format=json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = json.loads(done.stdout)
    assert said["errors"] == [], said["errors"]
    return [
        f"{issue['range']['filename']}:{issue['range']['start']['line']}: {issue['rule']['name']}: {issue['message']}"
        for issue in said["issues"]
    ]


@pytest.mark.parametrize("module", modules())
def test_tflint_finds_nothing(tflint: Path, module: str) -> None:
    """Every enabled rule passes. A module also requires no provider that it does not use."""
    options = ["--enable-rule=terraform_unused_required_providers"] if module.startswith("infra/modules/") else []
    assert findings(tflint, ROOT / module, *options) == []


def test_tflint_finds_a_fault(tflint: Path, tmp_path: Path) -> None:
    """A variable that a module declares and does not use is a finding."""
    (tmp_path / "main.tf").write_text('terraform {\n  required_version = ">= 1.9"\n}\n', encoding="utf-8")
    assert findings(tflint, tmp_path) == []
    (tmp_path / "variables.tf").write_text(
        'variable "unused" {\n  description = "Not used."\n  type        = string\n}\n', encoding="utf-8"
    )
    (found,) = findings(tflint, tmp_path)
    assert "variables.tf:1: terraform_unused_declarations" in found
