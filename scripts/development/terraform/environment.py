"""Where Terraform finds what it needs: a virtual environment, a mirror of stand-ins, a copy of the tree to work in."""

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

# As written into the constraints of infra/versions.tf; google's is the one that cdktn-provider-google was made from.
VERSIONS: Final = {"google": "8.7.0", "archive": "2.7.1", "time": "0.13.1"}
COPIED: Final = ("infra", "function")
_SIMPLE: Final = "infra/modules/key"  # needs the google provider and no other module
_LEFT_OUT: Final = ("__pycache__", ".terraform*", "*.pyc", "csr_exporter", "*.tfstate*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Terraform answered."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A copy of the tree, with the stand-ins beside it.

    Attributes:
        folder: holds `tree`, where infra/ and function/ are as in the project, and `mirror`.
    """

    folder: Path

    @property
    def tree(self) -> Path:
        """The copy."""
        return self.folder / "tree"

    @classmethod
    def make(cls, folder: Path) -> "Workspace":
        """Copies what Terraform reads, and writes the stand-ins' schemas.

        Raises:
            SchemaError: the provider's package, or what Terraform says of it, is not understood.
        """
        made = cls(folder=folder)
        for name in COPIED:
            shutil.copytree(
                ROOT / name, made.tree / name, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True
            )
        packages = next((apart.python(TERRAFORM).parents[1] / "lib").glob("python3.*")) / "site-packages"
        schemas = {"google": schema.google(packages, ROOT / "infra"), "archive": small.ARCHIVE, "time": small.TIME}
        host = made._host()
        for name, content in schemas.items():
            made._install(host, name, json.dumps(content))
        return made

    def _host(self) -> str:
        """Whose provider Terraform takes `hashicorp/google` to be: its mirrors have a folder of that name."""
        said = self.run(_SIMPLE, "providers")
        found = re.search(r"provider\[([^/\]]+)/hashicorp/google\]", said.output)
        if found is None:
            raise schema.SchemaError(f"terraform providers names no google: {said.output}{said.errors}")
        return found[1]

    def _install(self, host: str, name: str, content: str) -> None:
        """Where Terraform looks for the provider's program, a script that starts the stand-in."""
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
        variables["GOGC"] = "800"  # a third less CPU for a few hundred MiB
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
        """`terraform init` with the stand-ins; to be done once in each folder."""
        return self.run(
            module, "init", "-backend=false", "-no-color", "-input=false", f"-plugin-dir={self.folder / 'mirror'}"
        )


def modules() -> Sequence[str]:
    """Every folder of Terraform files, below the project's root: the root module, its modules, the examples."""
    return sorted({str(path.parent.relative_to(ROOT)) for path in (ROOT / "infra").rglob("*.tf")})
