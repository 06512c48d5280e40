"""From the command line to the exit status: checks, and what happens when the output's reader ends."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.demo import interrupt
from sandbox.demo import options as command_line
from sandbox.demo.live_view import LiveView
from sandbox.demo.view import PlainView, complain

if TYPE_CHECKING:
    from sandbox.demo.options import Options
    from sandbox.demo.view import View

_CANNOT_RUN = 2
_OUTPUT_CLOSED = 141  # 128 + SIGPIPE, as for a program that the signal ends


def start() -> int:
    """Runs the demo, and returns its exit status."""
    options = command_line.parse()
    if shutil.which("openssl") is None:
        return complain("the openssl program is needed to verify certificates, and is not in PATH", _CANNOT_RUN)
    if options.directory is not None and not _is_new(options.directory):
        message = f'--directory: Invalid value: "{options.directory}": must be a new or an empty folder'
        return complain(message, _CANNOT_RUN)
    if isinstance(options.plane, Path):
        from sandbox import foreign  # noqa: PLC0415 - it takes a second, which other runs should not take

        try:
            foreign.access(options.plane)
        except ValueError as error:
            return complain(str(error), _CANNOT_RUN)
    try:
        status = _run(options, LiveView() if options.live else PlainView())
        sys.stdout.flush()
    except BrokenPipeError:
        # The output's reader has ended, as in `scripts/demo | head`. Python flushes again at exit, and must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OUTPUT_CLOSED
    return status


def _run(options: Options, view: View) -> int:
    view.title(title(options))
    view.stage("starting all parts on this machine")
    # Imported after the first lines of output, because these imports take a second.
    from sandbox.demo import run  # noqa: PLC0415

    interrupt.stop_parts()
    try:
        return run.run(options, view)
    except interrupt.InterruptedDemoError:
        return complain("interrupted", interrupt.STATUS)


def title(options: Options) -> str:
    """Returns the first line of the output."""
    if options.pods == 0:
        return "kms-csr-signer demo"
    return f"kms-csr-signer demo: {options.pods} Calico pods get certificates, attackers get none"


def _is_new(directory: Path) -> bool:
    return not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))
