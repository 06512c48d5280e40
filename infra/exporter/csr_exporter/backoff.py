"""When to try again: growing, randomised waits, and what a server's Retry-After asks for. No clock is read here."""

import datetime as dt
import random
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 300.0


class Backoff:
    """Waits between failures against one server: `least` seconds doubling to `most`, then up to twice that.

    client-go's reflector waits so (tools/cache/reflector.go: 0.8 s, 30 s, factor 2, jitter 1, reset after 2 minutes).
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
        """Seconds to wait after a failure at `now`; the waits start anew when the last one is long over."""
        if now - self._until > self._healthy_after:
            self._failures = 0
        step = min(self._most, self._least * 2.0 ** min(self._failures, 32))
        self._failures += 1
        delay = step * (1 + self._chance())
        self._until = now + delay
        return delay

    def reset(self) -> None:
        """What was wrong is over: the waits start anew."""
        self._failures = 0


def full_jitter(attempts: int, *, least: float, most: float, chance: Callable[[], float] = random.random) -> float:
    """Seconds until the next try after `attempts` failed ones: anything from `least` to `least` doubled per attempt."""
    ceiling = min(most, least * 2.0 ** min(attempts, 32))
    return least + (ceiling - least) * chance()


def retry_after(value: str | None, *, wall_clock: float, most: float = LONGEST_RETRY_AFTER) -> float | None:
    """Seconds that a Retry-After header asks for, at most `most`; None where it is missing or makes no sense.

    RFC 9110 §10.2.3: seconds, or an HTTP date, which `wall_clock` (seconds since 1970) is compared with.
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,20}", value.strip()):
        return min(most, float(value))
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=dt.UTC)
    return min(most, max(0.0, date.timestamp() - wall_clock))
