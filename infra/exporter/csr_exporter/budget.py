"""What one requester may cause: a burst of events, then one at a time. Pure: time is an argument.

One pod can make hundreds of CSRs a second, and each event of one may end in a signature. What exceeds its budget waits,
and delays nobody but that pod. The first event of each CSR counts, and retries as `Work` says. Each replica counts for
itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csr_exporter.document import Document

# A requester is known until its budget is whole again; what is over is swept out when so many more are known.
_SWEEP = 256
# Nobody holds more than can be sent within two of the relist's periods, which finds the rest.
_HORIZON = 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Events that a requester may cause: `burst` at once, then one per `seconds`."""

    burst: int = 6
    seconds: float = 30.0

    @property
    def most_held(self) -> int:
        """CSRs of one requester that are held at a time; the others are found again by a later list."""
        return self.burst + math.ceil(_HORIZON / self.seconds)


class Budget:
    """Who has caused how much of late: for each requester, when its whole burst is available again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._whole_at: dict[str, float] = {}
        self._sweep_at = _SWEEP

    def available_at(self, requester: str) -> float:
        """When the requester may cause the next event, at the earliest."""
        whole_at = self._whole_at.get(requester)
        return -math.inf if whole_at is None else whole_at - (self._limits.burst - 1) * self._limits.seconds

    def left(self, requester: str, now: float) -> int:
        """How many events the requester may cause now."""
        debt = self._whole_at.get(requester, now) - now
        return self._limits.burst - max(0, math.ceil(debt / self._limits.seconds))

    def spend(self, requester: str, now: float) -> None:
        """Counts an event of the requester, which it may cause now."""
        self._whole_at[requester] = max(now, self._whole_at.get(requester, now)) + self._limits.seconds
        if len(self._whole_at) > self._sweep_at:
            self._whole_at = {name: whole_at for name, whole_at in self._whole_at.items() if whole_at > now}
            self._sweep_at = 2 * len(self._whole_at) + _SWEEP


def from_document(document: Document) -> Limits:
    """Reads `budget` of the configuration document; the usual one, where it is not there."""
    if not document.has("budget"):
        return Limits()
    given, usual = document.child("budget"), Limits()
    limits = Limits(
        burst=given.integer("burst", least=1, most=10_000, default=usual.burst),
        seconds=given.integer("seconds", least=1, most=3600, default=int(usual.seconds)),
    )
    given.refuse_other_keys()
    return limits
