"""With the provider's double, Terraform detects mistakes in arguments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from development.terraform.doubles.schema import SchemaError, google
from tests.infra.terraform.conftest import initialised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from development.terraform.environment import Workspace

MODULE = "infra/modules/key"
KEY = 'resource "google_kms_crypto_key" "a" {\n  name     = "key"\n  key_ring = "ring"\n'
MISTAKES = {
    "argument_missing": (
        'resource "google_kms_key_ring" "a" {\n  location = "europe-west1"\n}',
        'The argument "name" is required',
    ),
    "argument_unknown": (KEY + '  rotation = "90d"\n}', 'An argument named "rotation" is not expected here'),
    "wrong_type": (KEY + '  purpose  = ["SIGN"]\n}', 'Inappropriate value for attribute "purpose": string required'),
    "block_unknown": (KEY + "  version {\n  }\n}", 'Blocks of type "version" are not expected here'),
    "two_blocks_where_one_may_be": (
        KEY + 2 * '  version_template {\n    algorithm = "EC_SIGN_P384_SHA384"\n  }\n' + "}",
        'No more than 1 "version_template" blocks are allowed',
    ),
    "no_such_resource": ('resource "google_kms_crypto_kye" "a" {\n}', 'support resource type "google_kms_crypto_kye"'),
    "no_such_attribute": (
        KEY + '}\noutput "a" {\n  value = google_kms_crypto_key.a.mail\n}',
        'This object has no argument, nested block, or exported attribute named "mail"',
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Path]]:
    """A module with a main.tf of the test."""
    with initialised(tmp_path_factory, MODULE) as workspace:
        module = workspace.tree / MODULE
        for path in module.glob("*.tf"):
            if path.name != "versions.tf":
                path.unlink()
        yield workspace, module / "main.tf"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_terraform_reports_mistakes(folder: tuple[Workspace, Path], mistake: str) -> None:
    """An error names the mistake in arguments, types, blocks or names."""
    workspace, path = folder
    text, says = MISTAKES[mistake]
    path.write_text(text + "\n", encoding="utf-8")
    answer = json.loads(workspace.run(MODULE, "validate", "-json").output)
    (said,) = answer["diagnostics"]
    assert says in " ".join(said["detail"].split())


def test_another_package_is_refused(tmp_path: Path) -> None:
    """Without the package that has the schema, the double fails instead of using an empty schema."""
    with pytest.raises(
        SchemaError, match=r"archives of cdktn-provider-google in .*: Invalid value: 0: must be exactly 1"
    ):
        google(tmp_path, tmp_path)
