"""Runs the demo as a process, and finds what it leaves behind."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil

from tests.paths import ROOT
from tests.patience import PATIENCE

LONG: Final = 120.0
MODULE: Final = "sandbox.demo"


def run(*arguments: str, temporary: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the demo to its end; its temporary files go to a folder."""
    environment = os.environ | ({} if temporary is None else {"TMPDIR": str(temporary)})
    return subprocess.run(
        command(arguments), capture_output=True, text=True, timeout=LONG, check=False, env=environment, cwd=ROOT
    )


@contextlib.contextmanager
def started(*arguments: str, temporary: Path, module: str = MODULE) -> Iterator[subprocess.Popen[str]]:
    """Starts the demo; its temporary files go to a folder, and its output to a pipe. A failed test kills it."""
    with subprocess.Popen(
        command(arguments, module),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        cwd=ROOT,
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def command(arguments: Sequence[str], module: str = MODULE) -> list[str]:
    """Returns the command that `scripts/demo` runs, or that of another program."""
    return [sys.executable, "-m", module, *arguments]


def read_until(demo: subprocess.Popen[str], text: str) -> list[str]:
    """Reads the demo's output up to the first line with a text, and returns the lines.

    Raises:
        AssertionError: The output ended before.
    """
    assert demo.stdout is not None
    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} is not in {lines}")


def left_running(temporary: Path) -> list[str]:
    """Returns the command lines of processes that a demo with that folder for temporary files has left.

    A killed process may take a moment to end on a busy machine.
    """
    end = time.monotonic() + PATIENCE
    while (found := _running(temporary)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _running(temporary: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        mentions = [*(process.info["cmdline"] or []), (process.info["environ"] or {}).get("TMPDIR", "")]
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(temporary) in each for each in mentions):
            found.append(" ".join(process.info["cmdline"] or []))
    return found
