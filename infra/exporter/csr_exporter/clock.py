"""Time for the loops: monotonic, so that a change of the wall clock has no effect."""

import datetime as dt
import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The time of a loop, in seconds from an arbitrary beginning."""

    def now(self) -> float:
        """Returns the time."""
        ...

    def wait(self, seconds: float) -> bool:
        """Waits; returns whether the clock has stopped, which ends the wait early."""
        ...


class MonotonicClock:
    """The machine's clock, until `stop` is called."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> float:
        """Returns the machine's monotonic time."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Waits for `seconds` or for `stop`; returns whether the clock has stopped."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """Ends all waits, now and later."""
        self._stopped.set()


def age_of(timestamp: str) -> float | None:
    """Returns the age in seconds of an API server's timestamp, for metrics only; None if it is invalid."""
    try:
        return max(0.0, time.time() - dt.datetime.fromisoformat(timestamp).timestamp())
    except (ValueError, OverflowError):
        return None
