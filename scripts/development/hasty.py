"""The exporter without long waits, so that days of reconnects take minutes."""

import sys
from typing import Final

from csr_exporter import __main__, exporter
from csr_exporter.clock import MonotonicClock

LONGEST: Final = 0.002


class HastyClock(MonotonicClock):
    """A clock with normal time but short waits."""

    def wait(self, seconds: float) -> bool:
        """Waits for an event, at most `LONGEST` seconds."""
        return super().wait(min(seconds, LONGEST))


if __name__ == "__main__":
    exporter.MonotonicClock = HastyClock  # type: ignore[attr-defined]
    sys.exit(__main__.main())
