"""The tables of each Terraform module list its variables and outputs."""

import shutil
from pathlib import Path

import pytest

from development.terraform import tables
from tests.paths import INFRA

VARIABLES = """\
variable "network" {
  description = "Name of the network, \\"a\\" | \\"b\\"; null: none."
  type = object({
    name = string
    tags = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.network == null
    error_message = "network: Invalid value."
  }
}

variable "location" {
  description = "Region."
  type        = string
}
"""
OUTPUTS = 'output "uri" {\n  description = "URL."\n  value       = "https://${var.location}"\n}\n'
VERSIONS = """\
terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.40, < 9.0"
    }
  }
}
"""
EXPECTED = """\
## Requirements

| Name | Version |
| ---- | ------- |
| terraform | >= 1.9 |
| google | >= 7.40, < 9.0 |

## Inputs

| Name | Description | Type | Default | Required |
| ---- | ----------- | ---- | ------- | :------: |
| location | Region. | `string` | n/a | yes |
| network | Name of the network, "a" \\| "b"; null: none. \
| <pre>object({<br/>    name = string<br/>    tags = optional(list(string), [])<br/>  })</pre> | `null` | no |

## Outputs

| Name | Description |
| ---- | ----------- |
| uri | URL. |
"""


def test_the_tables_are_fresh() -> None:
    """The committed documents of all modules are the generated ones."""
    assert tables.main(["--check"]) == 0


def test_tables_have_terraform_docs_format(tmp_path: Path) -> None:
    """Rows are sorted, a type keeps its lines, and a vertical bar stays in its cell."""
    for name, content in {"variables.tf": VARIABLES, "outputs.tf": OUTPUTS, "versions.tf": VERSIONS}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert tables.tables(tmp_path) == EXPECTED


def test_a_changed_variable_makes_the_tables_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check fails and names document and command; the command writes the new table."""
    infra = shutil.copytree(INFRA, tmp_path / "infra")
    monkeypatch.setattr(tables, "INFRA", infra)
    changed = infra / "modules" / "key" / "variables.tf"
    changed.write_text(changed.read_text(encoding="utf-8").replace('"Name of the key ring', '"The key ring'))
    assert tables.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert said == (
        f"{infra / 'modules' / 'key' / 'README.md'} is not what the code says: "
        "run scripts/python -m development.terraform.tables\n"
    )
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0


def test_a_document_without_a_place_is_refused(tmp_path: Path) -> None:
    """The command does not overwrite a document without markers; the message says what to add."""
    for name, content in {"variables.tf": VARIABLES, "outputs.tf": OUTPUTS, "versions.tf": VERSIONS}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="add these lines below"):
        tables.refreshed(tmp_path, "# Module\n")
