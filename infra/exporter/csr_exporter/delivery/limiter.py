"""How many events may be in flight, and when the next one may be sent. Pure: time is an argument.

Three mechanisms, one decision: a concurrency limit (additive increase, multiplicative decrease), pauses that the
function asks for with Retry-After, and a circuit breaker. A pause ends half open: the exporter sends one event as a
probe, and its answer decides whether the others follow. Except for 429, a fault is the function's only if the CSRs of
different requesters suffer it: one requester's CSRs hold up no other requester's.
"""

import enum

from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import HANG, NOT_THE_FUNCTION, OF_503, SUSPICIOUS, Answer, Verdict

START = 8
MOST = 64
# Two, so that other events pass by one that hangs.
LEAST = 2
# Suspects get one slot in this many, so that they leave slots for the other CSRs.
_SUSPECTS_ONE_IN = 4
# This many failures in a row, of CSRs of more than one requester, open the circuit breaker.
FAILURES = 5
LONGEST_PAUSE = 30.0
# If a probe is not answered within this time, the exporter sends the next one.
PROBE_PATIENCE = 10.0
# The pause if the function names none. Cloud Run's own 429 and 503 have no Retry-After.
DEFAULT_PAUSE = 1.0
# The requesters that get 503 may all be hostile. A short pause lets an honest CSR show soon that the function works.
LONGEST_UNAVAILABLE_PAUSE = 5.0
RETIRED_PAUSE = 3600.0
# The function itself asks for these pauses.
_ASKED_FOR = OF_503 | {Verdict.OVERLOADED}


class State(enum.IntEnum):
    """The circuit breaker's state, as the metric shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class _Streak:
    """Failures in a row. The CSRs of one requester alone may cause them, so that those prove nothing."""

    def __init__(self) -> None:
        self.length = 0
        self.is_shared = False
        self._first = ""

    def add(self, requester: str) -> None:
        self._first = self._first or requester
        self.length += 1
        self.is_shared = self.is_shared or requester != self._first


class _Pauses:
    """When each reason's pause ends. The seconds count for the reason whose pause ends last."""

    def __init__(self) -> None:
        self._until: dict[Verdict, float] = {}
        self._counted_to = float("-inf")
        self._seconds: dict[str, float] = {}

    @property
    def until(self) -> float:
        return max(self._until.values(), default=float("-inf"))

    def ends_at(self, reason: Verdict) -> float:
        return self._until.get(reason, float("-inf"))

    def extend(self, reason: Verdict, until: float, now: float) -> None:
        self._count(now)
        self._until[reason] = max(until, self._until.get(reason, until))

    def end(self, now: float, *, keep: frozenset[Verdict]) -> None:
        self._count(now)
        self._until = {reason: until for reason, until in self._until.items() if reason in keep}

    def seconds(self, now: float) -> dict[str, float]:
        self._count(now)
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _count(self, now: float) -> None:
        length = min(now, self.until) - self._counted_to
        if length > 0:
            reason = max(self._until, key=self._until.__getitem__).value
            self._seconds[reason] = self._seconds.get(reason, 0.0) + length
        self._counted_to = max(self._counted_to, now)


class Limiter:
    """Decides when the next event may be sent, and learns from every answer.

    Attributes:
        limit: events that may be in flight.
        in_flight: the events in flight by the CSR's uid, oldest first.
        is_down: whether the circuit breaker takes the function to be unreachable.
    """

    def __init__(self, *, start: int = START, most: int = MOST) -> None:
        self.limit = start
        self.in_flight: dict[str, WorkItem] = {}
        self.is_down = False
        self._most = most
        self._suspects = 0  # in flight
        self._successes = 0
        self._slowed_at = float("-inf")
        self._pauses = _Pauses()
        self._is_half_open = False
        self._probe_until = float("-inf")
        self._rounds = 0
        self._failures = _Streak()
        self._unavailable = _Streak()

    def admits_at(self, now: float) -> float | None:
        """Returns when the next event may be sent; None: when an event in flight has been answered."""
        if self._is_half_open:
            return max(now, self._pauses.until, self._probe_until)
        if len(self.in_flight) < self.limit:
            return max(now, self._pauses.until)
        if len(self.in_flight) >= self._most:
            return None
        # If every slot is stuck, the limiter allows one extra event: a few CSRs may be at fault.
        return max(now, self._pauses.until, next(reversed(self.in_flight.values())).sent_at + HANG)

    @property
    def admits_suspects(self) -> bool:
        """Whether a suspect CSR's event may be sent too."""
        return self._suspects < max(1, self.limit // _SUSPECTS_ONE_IN)

    def state(self, now: float) -> State:
        """Returns the circuit breaker's state: open during a pause, then half open until a probe is answered."""
        if now < self._pauses.until:
            return State.OPEN
        return State.HALF_OPEN if self._is_half_open else State.CLOSED

    def paused_seconds(self, now: float) -> dict[str, float]:
        """Returns the seconds in which the exporter sent no events since the last call, by reason."""
        return self._pauses.seconds(now)

    def sent(self, item: WorkItem) -> None:
        """Counts an event that is sent now."""
        self.in_flight[item.reference.uid] = item
        self._suspects += item.suspect
        self._probe_until = item.sent_at + PROBE_PATIENCE

    def answered(self, item: WorkItem, answer: Answer, *, now: float) -> bool:
        """Learns from an answer; returns whether it shows a fault of the function.

        The failure of a suspect CSR shows none, unless its event was the probe.
        """
        del self.in_flight[item.reference.uid]
        self._suspects -= item.suspect
        was_probe = self._is_half_open and item.sent_at >= self._pauses.until
        if item.suspect and answer.verdict in SUSPICIOUS and not was_probe:
            return False
        if answer.is_about_the_csr:
            self._function_works(now, keep=frozenset({Verdict.OVERLOADED}))
            self._unavailable = _Streak()
            if answer.verdict is Verdict.ACKNOWLEDGED:
                self._speed_up()
            return False
        if answer.verdict not in SUSPICIOUS and answer.verdict is not Verdict.OVERLOADED:
            self._probe_until = float("-inf")  # the exporter's own fault: the next event is the probe
            return False
        if answer.verdict in _ASKED_FOR:
            return self._asked_to_wait(item, answer, now)
        return self._not_reached(item, answer, now, was_probe=was_probe)

    def _function_works(self, now: float, *, keep: frozenset[Verdict]) -> None:
        self.is_down, self._rounds, self._failures = False, 0, _Streak()
        self._pauses.end(now, keep=keep)
        self._is_half_open = self._pauses.ends_at(Verdict.OVERLOADED) > now

    def _asked_to_wait(self, item: WorkItem, answer: Answer, now: float) -> bool:
        """Pauses all CSRs after 429. After 503 only if different requesters get it: one CSR can crash the function."""
        self._function_works(now, keep=_ASKED_FOR)
        seconds = DEFAULT_PAUSE if answer.retry_after is None else answer.retry_after
        if answer.verdict in OF_503:
            seconds = min(seconds, LONGEST_UNAVAILABLE_PAUSE)
            self._unavailable.add(item.reference.requester)
            if not self._unavailable.is_shared:
                return False
        self._slow_down(item.sent_at, now)
        self._pause(answer.verdict, seconds, now)
        return True

    def _not_reached(self, item: WorkItem, answer: Answer, now: float, *, was_probe: bool) -> bool:
        """Opens the circuit breaker if different requesters fail; returns whether the function is at fault.

        The second failure is enough if it is a probe's or another server answered, else it takes a row. One requester
        alone proves nothing: its failed probe neither extends the pause nor keeps the next event waiting.
        """
        if self.is_down and not was_probe:
            return True  # it was sent before the pause, so that it shows nothing new
        if was_probe:
            self._probe_until = float("-inf")
        self._failures.add(item.reference.requester)
        if not self._failures.is_shared:
            return False
        self._slow_down(item.sent_at, now)
        if answer.verdict not in NOT_THE_FUNCTION and not was_probe and self._failures.length < FAILURES:
            return True
        least = RETIRED_PAUSE if answer.verdict is Verdict.RETIRED else answer.retry_after or 0.0
        self._pause(answer.verdict, max(least, min(LONGEST_PAUSE, 2.0**self._rounds)), now)
        self.is_down, self._rounds, self._failures = True, min(self._rounds + 1, 16), _Streak()
        return True

    def _pause(self, reason: Verdict, seconds: float, now: float) -> None:
        if seconds > 0.0:
            self._pauses.extend(reason, now + seconds, now)
            # No single probe after 503: hostile requesters, who cause it, would spend it.
            self._is_half_open = self._is_half_open or reason not in OF_503
            self._probe_until = float("-inf")

    def _speed_up(self) -> None:
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit = min(self._most, self.limit + 1)

    def _slow_down(self, sent_at: float, now: float) -> None:
        if sent_at <= self._slowed_at:
            return  # it was sent before the limiter slowed down, so that it shows nothing new
        self._successes = 0
        self.limit = max(LEAST, self.limit // 2)
        self._slowed_at = now
