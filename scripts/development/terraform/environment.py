"""Terraform's environment: a virtual environment, a mirror with the doubles, and a copy of the tree."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from development import apart
from development.lock import ROOT, TERRAFORM
from development.terraform import schema, small

# Versions within the constraints of infra/versions.tf; cdktn-provider-google comes from this google version.
VERSIONS: Final = {"google": "8.7.0", "google-beta": "8.7.0", "archive": "2.7.1", "time": "0.13.1"}
_SIMPLE: Final = "infra/modules/key"  # needs only the google provider, and no other module
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
        folder: Contains `tree`, with infra/ as in the project and function/ with the same files, and `mirror`.
    """

    folder: Path

    @property
    def tree(self) -> Path:
        """Returns the copy of the tree."""
        return self.folder / "tree"

    @classmethod
    def make(cls, folder: Path) -> "Workspace":
        """Copies the files that Terraform reads, and writes the doubles' schemas.

        Raises:
            SchemaError: The provider's package is in an unknown format.
        """
        made = cls(folder=folder)
        shutil.copytree(ROOT / "infra", made.tree / "infra", ignore=_LEFT_OUT, dirs_exist_ok=True)
        named = made.tree / "function"
        shutil.copytree(ROOT / "function", named, ignore=_LEFT_OUT, dirs_exist_ok=True, copy_function=_copy_name)
        packages = next((apart.python(TERRAFORM).parents[1] / "lib").glob("python3.*")) / "site-packages"
        schemas = {
            "google": schema.google(packages, ROOT / "infra"),
            "google-beta": small.GOOGLE_BETA,
            "archive": small.ARCHIVE,
            "time": small.TIME,
        }
        host = made._host()
        for name, content in schemas.items():
            made._install(host, name, json.dumps(content))
        return made

    def _host(self) -> str:
        """Returns the registry host that Terraform uses for `hashicorp/google`, the name of a folder in its mirrors."""
        said = self.run(_SIMPLE, "providers")
        found = re.search(r"provider\[([^/\]]+)/hashicorp/google\]", said.output)
        if found is None:
            raise schema.SchemaError(f"terraform providers names no google: {said.output}{said.errors}")
        return found[1]

    def _install(self, host: str, name: str, content: str) -> None:
        """Installs a script that starts the double where Terraform looks for the provider's program."""
        version = VERSIONS[name]
        folder = self.folder / "mirror" / host / "hashicorp" / name / version / "linux_amd64"
        folder.mkdir(parents=True)
        described = self.folder / f"{name}.json"
        described.write_text(content, encoding="utf-8")
        script = folder / f"terraform-provider-{name}_v{version}"
        command = f'"{apart.python(TERRAFORM)}" -m development.terraform.plugin "{described}"'
        script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "scripts"}" exec {command}\n', encoding="utf-8")
        script.chmod(0o755)

    def run(self, module: str, *arguments: str, timeout: float = 300) -> Answer:
        """Runs Terraform in one folder of the copy, by its path below the project's root."""
        variables = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "PYTHONPATH": str(ROOT / "scripts")}
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
        """Runs `terraform init` with the doubles, once per folder."""
        return self.run(
            module, "init", "-backend=false", "-no-color", "-input=false", f"-plugin-dir={self.folder / 'mirror'}"
        )


def _copy_name(source: str, target: str) -> None:
    """Writes a file's name as its content: Terraform sorts the zip's files by content, half of a plan's CPU time."""
    Path(target).write_text(Path(source).relative_to(ROOT).as_posix() + "\n", encoding="utf-8")


def modules() -> Sequence[str]:
    """Returns all folders of Terraform files below the project's root: root module, modules and examples."""
    return sorted({str(path.parent.relative_to(ROOT)) for path in (ROOT / "infra").rglob("*.tf")})
