"""`scripts/lock`: writes the hashed locks from the ranges in pyproject.toml.

There are locks for the function (Python 3.13 on Linux), the images of the exporter and of signerctl, and developers
(3.11 to 3.14), with the same versions. More locks are for separate virtual environments: mutation testing
(development.mutants), Terraform with its tools, and a second CloudEvents SDK. No lock names an index. Each lock has the
SHA-256 of its ranges, so that `--check` can detect a stale lock without network. The locks of the function and of the
images have a bill of materials each, in sbom/.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from development import sbom

ROOT: Final = Path(__file__).resolve().parents[2]
DEVELOPMENT: Final = "scripts/requirements-dev.txt"
MUTANTS: Final = "scripts/requirements-mutants.txt"
TERRAFORM: Final = "scripts/requirements-terraform.txt"
SIGNERCTL: Final = "scripts/signerctl/requirements.txt"
CLOUDEVENTS: Final = "scripts/requirements-cloudevents.txt"
# They run in separate processes, and conflict with the development lock.
_APART: Final = (DEVELOPMENT, TERRAFORM, CLOUDEVENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One lock file.

    Attributes:
        path: Path below the project's root.
        groups: Its dependency groups; `project` stands for the wheel's dependencies.
        target: uv's options for Python version and platform.
        part: The deployed part, whose bill of materials is `sbom/PART.cdx.json`; None without one.
    """

    path: str
    groups: tuple[str, ...]
    target: tuple[str, ...]
    part: str | None = None


UNIVERSAL: Final = ("--universal", "--python-version", "3.11")
PRODUCTION: Final = ("--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_28")
LOCKS: Final = (
    Lock(path=DEVELOPMENT, groups=("project", "function", "dev"), target=UNIVERSAL),
    Lock(path="function/requirements.txt", groups=("function",), target=PRODUCTION, part="csr-signer"),
    Lock(path="infra/exporter/requirements.txt", groups=("exporter",), target=PRODUCTION, part="csr-exporter"),
    Lock(path=SIGNERCTL, groups=("project",), target=PRODUCTION, part="signerctl"),
    Lock(path=TERRAFORM, groups=("terraform",), target=UNIVERSAL),
    Lock(path=CLOUDEVENTS, groups=("cloudevents",), target=UNIVERSAL),
    # yattag, for cosmic-ray's HTML, has no wheel, and its build requirements would have no hash.
    Lock(path=MUTANTS, groups=("mutants",), target=(*UNIVERSAL, "--no-emit-package", "yattag")),
)


def ranges(lock: Lock) -> list[str]:
    """Returns the sorted requirements of a lock."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups: dict[str, list[Any]] = {"project": pyproject["project"]["dependencies"], **pyproject["dependency-groups"]}

    def expand(group: str) -> list[str]:
        found: list[str] = []
        for entry in groups[group]:
            found += expand(entry["include-group"]) if isinstance(entry, dict) else [entry]
        return found

    return sorted({requirement for group in lock.groups for requirement in expand(group)})


def header(lock: Lock) -> str:
    """Returns the first lines of a lock, with the digest of its ranges."""
    digest = hashlib.sha256("\n".join([*ranges(lock), *lock.target]).encode()).hexdigest()
    return f"# Made by scripts/lock from pyproject.toml; do not edit.\n# ranges sha256: {digest}\n"


def is_fresh(lock: Lock) -> bool:
    """Tells whether a lock matches the current ranges."""
    return _text(ROOT / lock.path).startswith(header(lock))


def stale_bills() -> list[str]:
    """Returns the bills of materials that do not match their locks or the version."""
    return [path for path, text in _bills().items() if _text(ROOT / path) != text]


def _bills() -> dict[str, str]:
    parts = [(lock.part, _text(ROOT / lock.path)) for lock in LOCKS if lock.part is not None]
    return {f"sbom/{part}.cdx.json": sbom.document(part, text) for part, text in parts}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def write(lock: Lock, *, upgrade: bool) -> None:
    """Writes one lock; keeps its current versions unless `upgrade`."""
    path = ROOT / lock.path
    follow = [] if lock.path in _APART else ["--constraint", str(ROOT / DEVELOPMENT)]
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "requirements.in", Path(folder) / "requirements.txt"
        source.write_text("\n".join(ranges(lock)) + "\n", encoding="utf-8")
        if path.is_file():
            output.write_bytes(path.read_bytes())
        command = [sys.executable, "-m", "uv", "pip", "compile", str(source), "--output-file", str(output)]
        command += ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", "--quiet"]
        # Before 23.3, pip does not apply the pin `coverage==1` to the requirement `coverage[toml]`: it takes a newer
        # release once there is one, and then refuses that release because it is not pinned.
        command += ["--no-strip-extras"]
        command += [*lock.target, *follow, *(["--upgrade"] if upgrade else [])]
        subprocess.run(command, check=True)
        path.write_text(header(lock) + output.read_text(encoding="utf-8"), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or checks all locks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/lock", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether the locks are fresh")
    parser.add_argument("--upgrade", action="store_true", help="move to the newest versions within the ranges")
    options = parser.parse_args(arguments)
    if not options.check:
        for lock in LOCKS:
            write(lock, upgrade=options.upgrade)
        for path, text in _bills().items():
            (ROOT / path).write_text(text, encoding="utf-8")
    stale = [lock.path for lock in LOCKS if not is_fresh(lock)] + stale_bills()
    for path in stale:
        print(f"{path} is stale: run scripts/lock")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
