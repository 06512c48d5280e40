"""Separate virtual environments below .state/, for packages that conflict with the development lock."""

import fcntl
import subprocess
import sys
import zlib
from pathlib import Path

from development.lock import ROOT


def python(lock: str) -> Path:
    """Returns the interpreter with a lock's packages; installs them if the lock is new or has changed.

    Args:
        lock: The lock's path below the project's root.

    Raises:
        subprocess.CalledProcessError: The installation failed, for example without a network.
    """
    environment = folder(lock)
    environment.parent.mkdir(exist_ok=True)
    with environment.with_suffix(".making").open("w") as only_one:
        fcntl.flock(only_one, fcntl.LOCK_EX)  # several workers of scripts/test may call this at the same time
        return _made(environment, lock)


def _made(environment: Path, lock: str) -> Path:
    stamp, program = environment / "lock.crc32", environment / "bin" / "python"
    made_from = str(zlib.crc32((ROOT / lock).read_bytes()))
    if not program.is_file() or not stamp.is_file() or stamp.read_text(encoding="utf-8") != made_from:
        print(f"installing the packages of {lock} into {environment.relative_to(ROOT)} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", environment], check=True)
        # uv, because pip takes a minute for Terraform's tools.
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(program)]
        install += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(ROOT / lock)]
        subprocess.run(install, check=True)
        stamp.write_text(made_from, encoding="utf-8")
    return program


def folder(lock: str) -> Path:
    """Returns the folder of a lock's environment."""
    return ROOT / ".state" / Path(lock).stem.removeprefix("requirements-")
