"""Time for the loops: monotonic, so that a change of the wall clock has no effect; and growing waits."""

import datetime as dt
import random
import threading
import time
from collections.abc import Callable
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


class Backoff:
    """Waits between failures of one server: `least` seconds, doubling up to `most`, and then up to twice as long.

    The numbers are those of client-go's reflector (tools/cache/reflector.go): 0.8 s, 30 s, factor 2, jitter 1, reset
    after 2 minutes.
    """

    def __init__(
        self,
        *,
        least: float = 0.8,
        most: float = 30.0,
        healthy_after: float = 120.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._least = least
        self._most = most
        self._healthy_after = healthy_after
        self._chance = chance
        self._failures = 0
        self._until = 0.0

    def delay(self, now: float) -> float:
        """Returns the seconds to wait after a failure. The waits start again if the last one ended long ago."""
        if now - self._until > self._healthy_after:
            self._failures = 0
        step = min(self._most, self._least * 2.0 ** min(self._failures, 32))
        self._failures += 1
        delay = step * (1 + self._chance())
        self._until = now + delay
        return delay

    def reset(self) -> None:
        """Starts the waits again: the server works."""
        self._failures = 0


def age_of(timestamp: str) -> float | None:
    """Returns the age in seconds of an API server's timestamp, for metrics only; None if it is invalid."""
    try:
        return max(0.0, time.time() - dt.datetime.fromisoformat(timestamp).timestamp())
    except (ValueError, OverflowError):
        return None
