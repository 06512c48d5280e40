"""How long to wait after a failure: growing, random waits. Pure: time is an argument."""

import random
from collections.abc import Callable


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


def full_jitter(attempts: int, *, least: float, most: float, chance: Callable[[], float] = random.random) -> float:
    """Returns a random wait: from `least` up to `least` doubled for each failed attempt, or `most`."""
    ceiling = min(most, least * 2.0 ** min(attempts, 32))
    return least + (ceiling - least) * chance()
