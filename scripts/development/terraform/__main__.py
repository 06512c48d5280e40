"""`scripts/python -m development.terraform validate|test|fmt [FOLDER...]`: Terraform on infra/, without network.

`fmt` rewrites files, unless `--check` is given. Folders have names such as infra or infra/modules/key; the default is
all folders.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from development import apart
from development.lock import ROOT, TERRAFORM
from development.terraform.environment import Answer, Workspace, modules, workspace


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command in every folder, even if one fails; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="development.terraform", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("validate", "test", "fmt"))
    parser.add_argument("folders", nargs="*", help="folders below the project's root")
    parser.add_argument("--check", action="store_true", help="fmt: only tell what it would change")
    options = parser.parse_intermixed_args(arguments)
    apart.python(TERRAFORM)
    with tempfile.TemporaryDirectory(prefix="csr-signer-terraform-") as folder, workspace(Path(folder)) as made:
        if options.command == "fmt":
            return _format(made, options.folders or ["infra"], check=options.check)
        failed = [
            name for name in options.folders or modules() if not _succeeds(made, name.rstrip("/"), options.command)
        ]
    print(f"failed: {', '.join(failed)}" if failed else f"{options.command}: no violations")
    return 1 if failed else 0


def _succeeds(made: Workspace, module: str, command: str) -> bool:
    if command == "test" and not list((made.tree / module).glob("tests/*.tftest.hcl")):
        return True
    print(f"== {module}", flush=True)
    answer = made.init(module)
    if answer.status == 0:
        answer = made.run(module, command, "-no-color")
    _show(answer)
    return answer.status == 0


def _format(made: Workspace, folders: Sequence[str], *, check: bool) -> int:
    status = 0
    for folder in folders:
        answer = made.run(folder, "fmt", "-recursive", *(("-check", "-diff") if check else ()))
        _show(answer)
        if not check:
            for name in answer.output.split():
                shutil.copyfile(made.tree / folder / name, ROOT / folder / name)
        status = status or answer.status
    return status


def _show(answer: Answer) -> None:
    sys.stdout.write(answer.output)
    sys.stdout.write(answer.errors)


if __name__ == "__main__":
    sys.exit(main())
