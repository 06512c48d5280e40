"""The name of the deployed object follows from its content."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from development.lock import ROOT
from tests.infra.terraform.conftest import initialised
from tests.infra.terraform.plans import plans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from development.terraform.environment import Workspace

MODULE = "infra/modules/bundle"
TEST = "tests/planned.tftest.hcl"
CONTENT = "{for each in data.archive_file.this.source : each.filename => sha256(each.content)}"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A copy of the repository in which the tests change the function."""
    with initialised(tmp_path_factory, MODULE) as made:
        yield made


def object_name(workspace: Workspace) -> str:
    """Returns the name of the object to build from, and checks the zip's content."""
    module = workspace.tree / MODULE
    text = (module / "tests" / "bundle.tftest.hcl").read_text(encoding="utf-8")
    head = text[: text.index("\nrun ")]
    listed = json.dumps(hashed(workspace.tree / "function"), separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(listed.encode()).hexdigest()
    (module / TEST).write_text(
        f"""{head}
run "planned" {{
  command = plan

  assert {{
    condition     = sha256(jsonencode({CONTENT})) == "{digest}"
    error_message = "the zip holds other files: ${{jsonencode({CONTENT})}}"
  }}
}}
""",
        encoding="utf-8",
    )
    name = plans(workspace, MODULE, TEST)["planned"].outputs["name"]
    assert re.fullmatch(r"csr-signer-[0-9a-f]{64}\.zip", name)
    return str(name)


def hashed(function: Path) -> dict[str, str]:
    """Returns the files that the zip must contain, with SHA-256: the function's source and the documents."""
    contents: dict[str, Any] = {
        path.relative_to(function).as_posix(): path.read_bytes()
        for path in function.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    contents["configuration.yaml"] = b"clusters: {}\n"
    contents["prod-ca.pem"] = b"-----BEGIN CERTIFICATE-----\n"
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def test_the_same_source_gives_the_same_object(workspace: Workspace) -> None:
    """Python's cache files do not change the name, so a second apply builds nothing."""
    before = object_name(workspace)
    cache = workspace.tree / "function" / "csr_signer" / "__pycache__"
    cache.mkdir()
    (cache / "service.cpython-313.pyc").write_bytes(b"compiled")
    (workspace.tree / "function" / "main.py").touch()
    assert object_name(workspace) == before


def test_one_more_byte_gives_a_new_object(workspace: Workspace) -> None:
    """One more byte in a file, or a renamed file, causes a new object and a new build."""
    function = workspace.tree / "function" / "csr_signer"
    names = [object_name(workspace)]
    with (function / "profiles" / "calico.yaml").open("a", encoding="utf-8") as profile:
        profile.write("\n")
    names.append(object_name(workspace))
    (function / "issuance" / "lint.py").rename(function / "issuance" / "lint2.py")
    names.append(object_name(workspace))
    assert len(set(names)) == 3


def test_every_source_file_is_text() -> None:
    """Terraform reads the source as text, and cannot pack other files."""
    files = [path for path in (ROOT / "function").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert ROOT / "function" / "main.py" in files
    assert [path for path in files if path.read_bytes().decode(errors="replace").encode() != path.read_bytes()] == []
