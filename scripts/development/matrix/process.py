"""The programs that stacks are driven by: run to their end, or an error."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PATIENCE: Final = 300
"""Seconds after which a program is taken for stuck."""


class StackError(Exception):
    """A stack that is there could not do its work."""


def run(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    may_fail: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end.

    Raises:
        StackError: it fails and may not, or never ends.
    """
    try:
        done = subprocess.run(
            list(map(str, command)),
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{command[0]}: no end after {PATIENCE} seconds") from error
    if done.returncode != 0 and not may_fail:
        raise StackError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done
