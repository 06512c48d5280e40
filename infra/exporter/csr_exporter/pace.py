"""How much is sent at once, and when nothing is sent at all. Pure: time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csr_exporter.answer import Verdict

if TYPE_CHECKING:
    from csr_exporter.answer import Answer

START = 8
MOST = 64
# Where the function names no time. Cloud Run's own 429 and 503 do not.
DEFAULT_PAUSE = 1.0
LONGEST_PAUSE = 60.0
RETIRED_PAUSE = 3600.0

_SLOWER = frozenset(Verdict) - {Verdict.ACKNOWLEDGED, Verdict.LATER, Verdict.POISON}
_FAULTS = frozenset({Verdict.CREDENTIAL, Verdict.ENDPOINT})


class Pace:
    """Additive increase, multiplicative decrease of what may be in flight, and a gate for everything.

    Attributes:
        limit: deliveries that may be in flight.
        opens_at: nothing is sent before.
    """

    def __init__(self, *, start: int = START, most: int = MOST) -> None:
        self.limit = start
        self.opens_at = 0.0
        self._most = most
        self._clean = 0
        self._slowed_at = float("-inf")
        self._faults = 0

    def answered(self, answer: Answer, *, sent_at: float, now: float) -> None:
        """Learns from an answer. What concerns one CSR only (425, 500, a poison event) teaches nothing."""
        if answer.verdict is Verdict.ACKNOWLEDGED:
            self._faults = 0
            self._speed_up()
        elif answer.verdict in _SLOWER:
            # Answers to what was sent before the last slowing down say nothing new, except how long to pause.
            is_news = sent_at > self._slowed_at
            if is_news:
                self._slow_down(now)
            self.opens_at = max(self.opens_at, now + self._pause(answer, is_news=is_news))

    def _speed_up(self) -> None:
        self._clean += 1
        if self._clean >= self.limit:
            self._clean = 0
            self.limit = min(self._most, self.limit + 1)

    def _slow_down(self, now: float) -> None:
        self._clean = 0
        self.limit = max(1, self.limit // 2)
        self._slowed_at = now

    def _pause(self, answer: Answer, *, is_news: bool) -> float:
        if answer.verdict is Verdict.OVERLOADED:
            return DEFAULT_PAUSE if answer.retry_after is None else answer.retry_after
        if answer.verdict is Verdict.RETIRED:
            return RETIRED_PAUSE
        if answer.verdict in _FAULTS and is_news:
            self._faults = min(self._faults + 1, 16)
            return max(answer.retry_after or 0.0, min(LONGEST_PAUSE, 2.0 ** (self._faults - 1)))
        return 0.0
