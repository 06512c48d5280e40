"""Time for the loops: monotonic, so that a changed wall clock moves nothing, and interrupted by the end."""

import datetime as dt
import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What a loop may know of time. Seconds, from an arbitrary beginning."""

    def now(self) -> float:
        """The time."""
        ...

    def wait(self, seconds: float) -> bool:
        """Waits, and says whether the end has come, which ends the wait early."""
        ...


class MonotonicClock:
    """The machine's clock, until `stop` is called."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Waits for `seconds` or for `stop`, whichever is first; True after `stop`."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """Ends all waits, now and later."""
        self._stopped.set()


def age_of(timestamp: str) -> float | None:
    """Seconds of the wall clock since a time of the API server's; None where it is none.

    For metrics only, and as exact as both clocks: a future time is 0 seconds old, and nothing waits by it.
    """
    try:
        return max(0.0, time.time() - dt.datetime.fromisoformat(timestamp).timestamp())
    except (ValueError, OverflowError):
        return None
