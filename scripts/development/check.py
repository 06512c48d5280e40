"""`scripts/check`: all checks that do not run the code. CI runs the same command."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = (sys.executable, "-m")
CHECKS: Final = (
    ("locks are fresh", (*PYTHON, "development.lock", "--check")),
    ("lint", (*PYTHON, "ruff", "check", ".")),
    ("format", (*PYTHON, "ruff", "format", "--check", ".")),
    ("types", (*PYTHON, "mypy")),
    ("generated documents are fresh", (*PYTHON, "development.refusals", "--check")),
    ("the troubleshooting page is fresh", (*PYTHON, "development.troubleshooting", "--check")),
    ("the metrics' page is fresh", (*PYTHON, "development.metrics", "--check")),
    ("the profiles' schema is fresh", (*PYTHON, "development.schema", "--check")),
    ("the profiles' tables are fresh", (*PYTHON, "development.components", "--check")),
    ("the conformance table is fresh", (*PYTHON, "development.conformance", "--check")),
    ("the configuration's tables are fresh", (*PYTHON, "development.configuration", "--check")),
    ("the command line's page is fresh", (*PYTHON, "development.command_line", "--check")),
    ("the Terraform tables are fresh", (*PYTHON, "development.terraform.tables", "--check")),
    ("the example manifests are fresh", (*PYTHON, "development.manifests", "--check")),
    ("GitHub workflows", (str(Path(sys.executable).with_name("zizmor")), "--offline", "--quiet", ".github")),
    ("import contracts", (str(Path(sys.executable).with_name("lint-imports")), "--no-cache")),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all checks, even if one fails; returns the exit status."""
    argparse.ArgumentParser(prog="scripts/check", description=__doc__).parse_args(arguments)
    failed = []
    for name, command in CHECKS:
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
