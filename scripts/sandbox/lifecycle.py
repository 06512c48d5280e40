"""The life of every part: it reports that it is ready, and waits for a signal to stop."""

import json
import os
import signal
from types import FrameType
from typing import Any, Self


class StopSignals:
    """Catches SIGTERM and SIGINT after its creation; main thread only.

    It uses a pipe instead of an event: the main thread's read returns, whichever thread the signal interrupts.
    """

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self) -> None:
        """Waits until one of the signals has arrived."""
        os.read(self._reader, 1)


def say_ready(ready: dict[str, Any]) -> None:
    """Prints the part's ready line to stdout."""
    print(json.dumps(ready), flush=True)


def _ignore(_: int, __: FrameType | None) -> None:
    """Replaces the default handler, which would end the process at once."""
