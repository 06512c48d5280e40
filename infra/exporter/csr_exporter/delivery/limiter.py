"""How much is sent at once, and when nothing is sent at all. Pure: time is an argument."""

import enum
from collections.abc import Collection

from csr_exporter.backoff import LONGEST_RETRY_AFTER
from csr_exporter.queue.retry_policy import ITEM, SUSPICIOUS, Answer, Verdict

# So many failures in a row, of more than one requester's CSRs, are the function's fault and not a CSR's.
FAILURES = 5
LONGEST_PAUSE = 30.0
# A probe that was not answered for so long does not keep the next one from being sent.
PROBE_PATIENCE = 10.0


class State(enum.IntEnum):
    """The metric's values."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Streak:
    """Failures in a row, and whether they are the function's fault: one requester's CSRs alone may cause them.

    Attributes:
        length: how many failures.
        is_shared: whether CSRs of different requesters failed.
    """

    def __init__(self) -> None:
        self.length = 0
        self.is_shared = False
        self._first = ""

    def add(self, requester: str) -> None:
        """Adds a failure of a requester's CSR."""
        if not self.length:
            self._first = requester
        self.length += 1
        self.is_shared = self.is_shared or requester != self._first

    def clear(self) -> None:
        """Ends the streak."""
        self.length, self.is_shared, self._first = 0, False, ""


class CircuitBreaker:
    """Closed in normal times; open: nothing is sent; half open: one event is, and its answer decides.

    Attributes:
        opens_at: until then nothing is sent.
    """

    def __init__(self) -> None:
        self.opens_at = float("-inf")
        self._tripped_at: float | None = None
        self._rounds = 0
        self._streak = Streak()
        self._probe_until = float("-inf")

    def state(self, now: float) -> State:
        """Open, until the pause is over; then half open, until something is answered."""
        if self._tripped_at is None:
            return State.CLOSED
        return State.OPEN if now < self.opens_at else State.HALF_OPEN

    @property
    def probe_at(self) -> float | None:
        """When the next probe may be sent; None while the circuit is closed."""
        return None if self._tripped_at is None else max(self.opens_at, self._probe_until)

    def sent(self, now: float) -> None:
        """An event is sent; in half open that is the probe."""
        self._probe_until = now + PROBE_PATIENCE

    def answered(self) -> None:
        """The function itself has answered, whatever it was."""
        self._tripped_at, self._rounds = None, 0
        self._streak.clear()

    def undecided(self) -> None:
        """A probe has ended without an answer that says anything."""
        self._probe_until = float("-inf")

    def failed(self, requester: str, *, certain: bool, least: float, sent_at: float, now: float) -> bool:
        """Nobody answered, or somebody else; returns whether that opened the circuit.

        What one requester's CSRs alone suffer is no reason, unless it is `certain` that they are not. What was sent
        before the circuit opened says nothing new. The pause is `least` seconds or longer.
        """
        if self._tripped_at is not None:
            if sent_at < self.opens_at:
                return False
        elif not certain and not self._is_enough(requester):
            return False
        self._tripped_at = now
        self.opens_at = now + max(least, min(LONGEST_PAUSE, 2.0**self._rounds))
        self._rounds = min(self._rounds + 1, 16)
        self.undecided()
        self._streak.clear()
        return True

    def _is_enough(self, requester: str) -> bool:
        self._streak.add(requester)
        return self._streak.length >= FAILURES and self._streak.is_shared


START = 8
MOST = 64
# Never one alone: the others must get past one that hangs.
LEAST = 2
# Where the function names no time. Cloud Run's own 429 and 503 do not.
DEFAULT_PAUSE = 1.0
# After 503 to different requesters, who may all be hostile. Only a CSR that got 503 waits as long as was asked for: an
# honest one that is sent meanwhile shows that the function works.
LONGEST_UNAVAILABLE_PAUSE = 5.0
RETIRED_PAUSE = 3600.0

# It is not for a CSR that these are answered.
_CERTAIN = frozenset({Verdict.CREDENTIAL, Verdict.ENDPOINT, Verdict.RETIRED})
_FAILURES = _CERTAIN | {Verdict.SLOW}
_LONGEST_PAUSES = {Verdict.OVERLOADED: LONGEST_RETRY_AFTER, Verdict.UNAVAILABLE: LONGEST_UNAVAILABLE_PAUSE}


class Limiter:
    """Additive increase, multiplicative decrease (AIMD) of what may be in flight; pauses and a circuit breaker.

    Attributes:
        limit: deliveries that may be in flight.
    """

    def __init__(self, *, start: int = START, most: int = MOST) -> None:
        self.limit = start
        self._most = most
        self._clean = 0
        self._slowed_at = float("-inf")
        self._pauses = _Pauses()
        self._unavailable = Streak()
        self._circuit = CircuitBreaker()

    def admits_at(self, in_flight: int, now: float) -> float | None:
        """When the next event may be sent, as far as is known; None: when something in flight has been answered."""
        probe_at = self._circuit.probe_at
        if probe_at is not None:
            return max(now, self._pauses.opens_at, probe_at)
        return max(now, self._pauses.opens_at) if in_flight < self.limit else None

    def state(self, now: float) -> State:
        """The circuit's."""
        return self._circuit.state(now)

    def sent(self, now: float) -> None:
        """An event is sent."""
        self._circuit.sent(now)

    def answered(self, answer: Answer, *, requester: str, suspect: bool, sent_at: float, now: float) -> bool:
        """Learns from an answer, and returns whether it shows a fault of the function.

        An answer about one CSR (425, 500, a poison event) neither pauses nor slows. A `suspect` does neither, unless it
        is the probe. A 503 does neither while only one requester's CSRs get it.
        """
        if suspect and answer.verdict in SUSPICIOUS and self.state(now) is State.CLOSED:
            return False
        if answer.verdict is Verdict.ACKNOWLEDGED:
            self._speed_up()
        self._judge(answer, requester, sent_at, now)
        if answer.verdict is Verdict.UNAVAILABLE:
            self._unavailable.add(requester)
        if answer.verdict in ITEM or (answer.verdict is Verdict.UNAVAILABLE and not self._unavailable.is_shared):
            return False
        if sent_at > self._slowed_at:
            # Answers to what was sent before the last slowing down say nothing new.
            self._slow_down(now)
        if answer.verdict in _LONGEST_PAUSES:
            asked = DEFAULT_PAUSE if answer.retry_after is None else answer.retry_after
            self._pauses.extend(now + min(asked, _LONGEST_PAUSES[answer.verdict]), answer.verdict.value, now)
        return True

    def paused_seconds(self, now: float) -> dict[str, float]:
        """Seconds in which nothing was sent since this was asked before, by the verdict that was the reason."""
        return self._pauses.taken(now)

    def _judge(self, answer: Answer, requester: str, sent_at: float, now: float) -> None:
        """Tells the circuit whether the function is there."""
        if answer.verdict not in _FAILURES:
            if answer.status is None:  # a fault of ours
                self._circuit.undecided()
            else:
                self._circuit.answered()
                # The function is there after all: only what it asks for itself is waited for.
                kept = {Verdict.OVERLOADED.value}
                if answer.verdict in ITEM:
                    self._unavailable.clear()
                else:
                    kept.add(Verdict.UNAVAILABLE.value)
                self._pauses.lift_all_but(kept, now)
            return
        certain = answer.verdict in _CERTAIN
        least = RETIRED_PAUSE if answer.verdict is Verdict.RETIRED else answer.retry_after or 0.0
        if self._circuit.failed(requester, certain=certain, least=least, sent_at=sent_at, now=now):
            self._pauses.extend(self._circuit.opens_at, answer.verdict.value, now)

    def _speed_up(self) -> None:
        self._clean += 1
        if self._clean >= self.limit:
            self._clean = 0
            self.limit = min(self._most, self.limit + 1)

    def _slow_down(self, now: float) -> None:
        self._clean = 0
        self.limit = max(LEAST, self.limit // 2)
        self._slowed_at = now


class _Pauses:
    """Shut for as long as any reason holds; time is counted for the one that ends last."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._counted_to = float("-inf")
        self._seconds: dict[str, float] = {}

    @property
    def opens_at(self) -> float:
        return max(self._until.values(), default=float("-inf"))

    def extend(self, until: float, reason: str, now: float) -> None:
        self._count(now)
        self._until[reason] = max(until, self._until.get(reason, until))

    def lift_all_but(self, reasons: Collection[str], now: float) -> None:
        self._count(now)
        self._until = {each: until for each, until in self._until.items() if each in reasons}

    def taken(self, now: float) -> dict[str, float]:
        self._count(now)
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _count(self, now: float) -> None:
        extend = min(now, self.opens_at) - self._counted_to
        if extend > 0:
            reason = max(self._until, key=self._until.__getitem__)
            self._seconds[reason] = self._seconds.get(reason, 0.0) + extend
        self._counted_to = max(self._counted_to, now)
