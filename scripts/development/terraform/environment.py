"""Terraform's environment: a virtual environment, the doubles, and a copy of the tree."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from development import apart
from development.lock import ROOT, TERRAFORM
from development.terraform.doubles import schema, small

_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", ".terraform*", "*.pyc", "csr_exporter", "*.tfstate*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Terraform's exit status and output."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A copy of the tree with the doubles.

    Attributes:
        folder: Contains `tree`, with infra/ as in the project and function/ with the same files.
    """

    folder: Path

    @property
    def tree(self) -> Path:
        """Returns the copy of the tree."""
        return self.folder / "tree"

    @property
    def attached(self) -> Path:
        """Returns the file that tells Terraform where the doubles are."""
        return self.folder / "attached.json"

    def run(self, module: str, *arguments: str, timeout: float = 300) -> Answer:
        """Runs Terraform in one folder of the copy, by its path below the project's root."""
        variables = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "PYTHONPATH": str(ROOT / "scripts")}
        variables["TF_REATTACH_PROVIDERS"] = self.attached.read_text(encoding="utf-8")
        variables["GOGC"] = "800"  # uses a few hundred MiB more, and a third less CPU
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")} | variables
        command = [
            str(apart.python(TERRAFORM)),
            "-m",
            "development.terraform.program",
            str(self.tree / module),
            *arguments,
        ]
        done = subprocess.run(
            command, capture_output=True, check=False, encoding="utf-8", env=environment, timeout=timeout
        )
        return Answer(status=done.returncode, output=done.stdout, errors=done.stderr)

    def init(self, module: str) -> Answer:
        """Runs `terraform init`, once per folder."""
        return self.run(module, "init", "-backend=false", "-no-color", "-input=false")


@contextmanager
def workspace(folder: Path) -> Iterator[Workspace]:
    """Copies the files that Terraform reads, and serves the doubles.

    Raises:
        SchemaError: The provider's package is in an unknown format, or the doubles cannot start.
    """
    made = Workspace(folder=folder)
    shutil.copytree(ROOT / "infra", made.tree / "infra", ignore=_LEFT_OUT, dirs_exist_ok=True)
    named = made.tree / "function"
    shutil.copytree(ROOT / "function", named, ignore=_LEFT_OUT, dirs_exist_ok=True, copy_function=_copy_name)
    python = apart.python(TERRAFORM)
    packages = next((python.parents[1] / "lib").glob("python3.*")) / "site-packages"
    schemas = {
        "google": schema.google(packages, ROOT / "infra"),
        "google-beta": small.GOOGLE_BETA,
        "archive": small.ARCHIVE,
        "time": small.TIME,
    }
    for name, content in schemas.items():
        (folder / f"{name}-schema.json").write_text(json.dumps(content), encoding="utf-8")
    command = [str(python), "-m", "development.terraform.doubles.plugin", str(folder)]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=variables,
        start_new_session=True,  # an interrupt of the tests is not the doubles'
    ) as doubles:
        attached = cast("IO[str]", doubles.stdout).readline()
        if not attached:
            raise schema.SchemaError("the providers' doubles ended at their start")
        made.attached.write_text(attached, encoding="utf-8")
        yield made


def _copy_name(source: str, target: str) -> None:
    """Writes a file's name as its content: Terraform sorts the zip's files by content, half of a plan's CPU time."""
    Path(target).write_text(Path(source).relative_to(ROOT).as_posix() + "\n", encoding="utf-8")


def modules() -> Sequence[str]:
    """Returns all folders of Terraform files below the project's root: root module, modules and examples."""
    return sorted({str(path.parent.relative_to(ROOT)) for path in (ROOT / "infra").rglob("*.tf")})
