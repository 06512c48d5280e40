"""The programs of others that these tests run, and what becomes of a test where one of them is missing."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

REQUIRED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "openssl": "OpenSSL 3",
        "go": "Go 1.22 or later",
    },
)
"""What the project needs anyway: with `CI` set, a test that lacks one fails."""

OPTIONAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "keytool": "a JDK, 17 or later",
        "certtool": "GnuTLS's tools, Debian's package gnutls-bin",
    },
)
"""Run where they exist: without one its tests are skipped, with CI set too; pytest lists each at the end, with the
reason."""

PATIENCE: Final = 120
"""Seconds after which a program is taken for stuck."""


def path_of(tool: str) -> str:
    """Where a tool is.

    A tool that is found is used, whatever it then does: only absence skips a test.
    """
    found = shutil.which(tool)
    if found is None:
        wanted = REQUIRED.get(tool) or OPTIONAL[tool]
        reason = f"NOT TESTED with {tool}: it is not installed ({wanted})"
        if tool in REQUIRED and os.environ.get("CI"):
            pytest.fail(f"CI is set and {tool} is needed: {reason}")
        pytest.skip(reason)
    return found


def run(*command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> bytes:
    """What a program writes to its standard output; a program that does not succeed fails the test.

    Args:
        command: program and arguments.
        environment: variables beside the test's own.
        folder: where it runs.
    """
    status, output, said = attempt(*command, environment=environment, folder=folder)
    assert status == 0, f"{' '.join(map(str, command))} ended with {status}: {said}"
    return output


def attempt(
    *command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[int, bytes, str]:
    """Exit status, standard output, and all that a program said; for one that may refuse."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, (done.stdout + done.stderr).decode(errors="replace")
