"""How many events may be in flight, and until when none may be sent. Pure: time is an argument.

One limit and one pause. The limit follows the function: one more event after a round of acknowledgements, half as many
after a fault. The pause follows the answers: after 429 for as long as the function asks; for a few seconds if CSRs of
several requesters fail and none is answered. A pause is short because requesters may cause it: what honest requesters
file meanwhile is sent as soon as it ends.
"""

from collections.abc import Iterable

from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import FAULTS, Answer, Verdict

START = 8
# Fewer would leave the retries of a few requesters, whose CSRs always fail, too many of the places.
LEAST = 8
MOST = 64
# The event of a CSR that hangs gives its place to another one after this many seconds. Most CSRs take a tenth of it.
STUCK = 3.0
# With those that are stuck.
MOST_IN_FLIGHT = 2 * MOST
# If the function names no time. Cloud Run's own 429 has no Retry-After.
DEFAULT_PAUSE = 1.0
FAULT_PAUSE = 5.0
# Requesters whose CSRs fail in a row before the exporter pauses. One requester alone proves nothing.
SEVERAL = 2


class Limiter:
    """Decides when the next event may be sent, and learns from every answer.

    Attributes:
        limit: places, each for an event in flight that is not stuck; LEAST to MOST.
        paused_until: nothing is sent before; it never decreases.
        failing: requesters whose CSRs failed since the function last answered about a CSR; at most SEVERAL.
    """

    def __init__(self) -> None:
        self.limit = START
        self.paused_until = float("-inf")
        self.failing: set[str] = set()
        self._acknowledged = 0  # since the limit last changed; less than the limit
        self._slowed_at = float("-inf")  # later than any event whose failure has lowered the limit

    @property
    def is_failing(self) -> bool:
        """Whether the function seems to fail as a whole."""
        return len(self.failing) >= SEVERAL

    def admits_at(self, now: float, in_flight: Iterable[WorkItem]) -> float | None:
        """Returns when the next event may be sent; None: when an event in flight has been answered."""
        times = [item.sent_at for item in in_flight]
        if len(times) >= MOST_IN_FLIGHT:
            return None
        held = [time for time in times if now - time < STUCK]
        free_at = now if len(held) < self.limit else min(held) + STUCK
        return max(free_at, self.paused_until)

    def answered(self, item: WorkItem, answer: Answer, *, now: float) -> float:
        """Learns from an answer; returns by how many seconds it prolongs the pause."""
        if answer.is_about_the_csr:
            self.failing.clear()
            if answer.verdict is Verdict.ACKNOWLEDGED:
                self._speed_up()
            return 0.0
        if answer.verdict is Verdict.OVERLOADED:
            self._slow_down(item.sent_at, now)
            return self._pause(DEFAULT_PAUSE if answer.retry_after is None else answer.retry_after, now)
        if answer.verdict not in FAULTS:
            return 0.0  # the exporter's own
        if not self.is_failing:
            self.failing.add(item.reference.requester)
        if not self.is_failing:
            return 0.0
        self._slow_down(item.sent_at, now)
        # What was sent before the pause says nothing new.
        return self._pause(FAULT_PAUSE, now) if item.sent_at >= self.paused_until else 0.0

    def _pause(self, seconds: float, now: float) -> float:
        begins = max(now, self.paused_until)
        self.paused_until = max(self.paused_until, now + seconds)
        return max(0.0, self.paused_until - begins)

    def _speed_up(self) -> None:
        self._acknowledged += 1
        if self._acknowledged >= self.limit:
            self._acknowledged = 0
            self.limit = min(MOST, self.limit + 1)

    def _slow_down(self, sent_at: float, now: float) -> None:
        if sent_at <= self._slowed_at:
            return  # it was sent before the limit was lowered, so that it shows nothing new
        self._acknowledged = 0
        self.limit = max(LEAST, self.limit // 2)
        self._slowed_at = now
