"""What every part does between its start and its end: say that it is ready, and wait to be stopped."""

import json
import os
import signal
from types import FrameType
from typing import Any, Self


class StopSignals:
    """Catches SIGTERM and SIGINT from its start on; main thread only.

    A byte in a pipe instead of an event: whichever thread the signal interrupts, the main thread's read returns.
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
        """Return when one of the signals has come, also where it came before."""
        os.read(self._reader, 1)


def say_ready(ready: dict[str, Any]) -> None:
    """Print the part's one line to stdout."""
    print(json.dumps(ready), flush=True)


def _ignore(_: int, __: FrameType | None) -> None:
    """Take the place of the default, which would end the process at once."""
