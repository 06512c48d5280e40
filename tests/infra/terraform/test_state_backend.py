"""The example of a state backend works beside an example's main.tf."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.paths import INFRA

if TYPE_CHECKING:
    from development.terraform.environment import Answer, Workspace

EXAMPLE = (INFRA / "examples" / "backend.tf.example").read_text(encoding="utf-8")


def migrated(workspace: Workspace, backend: str, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Runs `terraform init -migrate-state` in a copy of an example, with credentials that cannot work."""
    folder = workspace.tree / "infra" / "examples" / "with-backend"
    shutil.copytree(folder.with_name("gke-dns-endpoint"), folder)
    try:
        (folder / "backend.tf").write_text(backend, encoding="utf-8")
        monkeypatch.setenv("GOOGLE_CREDENTIALS", "none")
        assert workspace.run(str(folder), "fmt", "-check").output == ""
        mirror = f"-plugin-dir={workspace.folder / 'mirror'}"
        return workspace.run(str(folder), "init", "-migrate-state", "-no-color", "-input=false", mirror)
    finally:
        shutil.rmtree(folder)


def test_the_state_moves_to_the_bucket(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform accepts the backend's arguments, and fails only when it needs credentials for the bucket."""
    answer = migrated(workspace, EXAMPLE, monkeypatch)
    assert "the string provided in credentials is neither valid json nor a valid file path" in answer.errors


def test_a_mistake_in_the_backend_is_found(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform checks the arguments before the credentials."""
    answer = migrated(workspace, EXAMPLE.replace(" prefix ", " folder "), monkeypatch)
    assert "Unsupported argument" in answer.errors
