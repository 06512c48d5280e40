"""SIGINT (Ctrl-C) and SIGTERM: the demo says so in one line, and leaves nothing running."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from sandbox import process

STATUS = 130  # 128 + SIGINT, as shells report it
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedDemoError(BaseException):
    """A signal has arrived.

    It is no Exception, so that only the end of the program catches it. It is no KeyboardInterrupt either: if Python
    raises that in an import, the process ends with a signal of its own instead of its exit status.
    """


def end_at_once() -> None:
    """From now on, a signal ends the process at once. Use it before anything has started: imports take a second."""
    _handle(_end)


def stop_parts() -> None:
    """From now on, the first signal kills all parts and raises an exception; later ones are ignored.

    The parts have nothing to lose. Without them, the `with` blocks of the main thread end quickly.
    """
    _handle(_stop)


def set_instead(notify: Callable[[], object]) -> None:
    """From now on, a signal only calls a function, and the program ends in order."""
    _handle(lambda *_: notify())


def ignore() -> None:
    """From now on, signals change nothing: the program removes what it made, and ends."""
    _handle(signal.SIG_IGN)


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Ignores signals in a `with` block of the main thread."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in _SIGNALS:
        signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not sys.exit: it is an exception, and an extension module that is being imported may lose it.
    os.write(sys.stderr.fileno(), b"demo: interrupted\n")
    os._exit(STATUS)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    process.kill_all()
    raise InterruptedDemoError
