"""How many events may be in flight, and until when none may be sent. Pure: time is an argument.

One limit and one pause. The limit follows the function: one more event after a round of acknowledgements, half as many
after 429, or if CSRs of several requesters fail. The pause follows the answers: after 429 for as long as the function
asks; for a few seconds if CSRs of several requesters fail and none is answered. A pause is short because requesters may
cause it: what honest requesters file meanwhile is sent as soon as it ends.
"""

from collections.abc import Iterable

from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import FAULTS, Answer, Verdict

START = 8
# With fewer, the CSRs of a few requesters that always fail could take them all.
LEAST = 8
MOST = 64
# The event of a CSR that hangs gives its place to another one after this many seconds. Most CSRs take a tenth of it.
STUCK = 3.0
# With those that are stuck.
MOST_IN_FLIGHT = 2 * MOST
# If the function names no time. Cloud Run's own 429 has no Retry-After.
DEFAULT_PAUSE = 1.0
FAULT_PAUSE = 5.0
# Nine times a ninth must count as one.
_ROUNDING = 1e-6
# Requesters whose CSRs fail in a row before the exporter pauses. One requester alone proves nothing.
SEVERAL = 2


class Limiter:
    """Decides when the next event may be sent, and learns from every answer.

    Attributes:
        limit: places, each for an event in flight that is not stuck; LEAST to MOST, with the fraction of the next one.
        paused_until: nothing is sent before; it never decreases. What was sent before says nothing new.
        failing: requesters whose CSRs failed since the function last answered about a CSR; at most SEVERAL.
    """

    def __init__(self) -> None:
        self.limit = float(START)
        self.paused_until = float("-inf")
        self.failing: set[str] = set()

    @property
    def places(self) -> int:
        """The whole places of `limit`."""
        return int(self.limit + _ROUNDING)

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
        free_at = now if len(held) < self.places else min(held) + STUCK
        return max(free_at, self.paused_until)

    def answered(self, item: WorkItem, answer: Answer, *, now: float) -> float:
        """Learns from an answer; returns by how many seconds it prolongs the pause."""
        if answer.is_about_the_csr:
            self.failing.clear()
            if answer.verdict is Verdict.ACKNOWLEDGED:
                self.limit = min(MOST, self.limit + 1 / self.places)
            return 0.0
        if answer.verdict is Verdict.OVERLOADED:
            return self._slow_down(item, DEFAULT_PAUSE if answer.retry_after is None else answer.retry_after, now)
        if answer.verdict not in FAULTS:
            return 0.0  # the exporter's own
        if not self.is_failing:
            self.failing.add(item.reference.requester)
        is_news = self.is_failing and item.sent_at >= self.paused_until
        return self._slow_down(item, FAULT_PAUSE, now) if is_news else 0.0

    def _slow_down(self, item: WorkItem, pause: float, now: float) -> float:
        if item.sent_at >= self.paused_until:
            self.limit = max(LEAST, self.limit / 2)
        begins = max(now, self.paused_until)
        self.paused_until = max(self.paused_until, now + pause)
        return max(0.0, self.paused_until - begins)
