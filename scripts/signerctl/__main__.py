"""Starts `signerctl`; `command_line` has its commands."""

import os
import signal
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 130  # as signerctl.interface.program, whose import takes time


def main() -> None:
    """Runs signerctl. The imports take up to a second; Ctrl-C meanwhile prints one line and no traceback."""
    is_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_interruptible:
        signal.signal(signal.SIGINT, _end)
    from signerctl import command_line  # noqa: PLC0415

    if is_interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line.main(prog_name="signerctl")


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not an exception: an extension module that is being imported may lose it.
    os.write(2, b"interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
