"""Whether the function is there at all: after many failures in a row it is asked by one event at a time.

Pure: time is an argument.
"""

from __future__ import annotations

import enum

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


class Circuit:
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
