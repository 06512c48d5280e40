"""Which event is sent now, and what its answer changes: `Work` and `Pace` together. Pure: time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csr_exporter.circuit import State
from csr_exporter.work import Status

if TYPE_CHECKING:
    from csr_exporter.answer import Answer
    from csr_exporter.pace import Pace
    from csr_exporter.work import Parcel, Work


# Of what may be under way, events that hung before get one in so many, so that they leave room for the others.
_HUNG = 4


class Handout:
    """Gives out what is due while the pace allows it.

    Attributes:
        in_flight: when the events under way were given out, by the CSR's uid.
    """

    def __init__(self, work: Work, pace: Pace) -> None:
        self._work = work
        self._pace = pace
        self._hung: set[str] = set()
        self.in_flight: dict[str, float] = {}

    def take(self, now: float) -> Parcel | None:
        """The event that is to be sent now, or None."""
        if self._pace.admits_at(len(self.in_flight), now) != now:
            return None
        parcel = self._work.take(now, hung=self._admits_hung())
        if parcel is not None:
            self._pace.sent(now)
            self.in_flight[parcel.reference.uid] = now
            if parcel.hung:
                self._hung.add(parcel.reference.uid)
        return parcel

    def pause(self, now: float) -> float | None:
        """Seconds until `take` may give something; None where that takes an answer or an observation."""
        due = self._work.next_due(hung=self._admits_hung())
        admitted_at = self._pace.admits_at(len(self.in_flight), now)
        return None if due is None or admitted_at is None else max(due, admitted_at) - now

    def settle(self, parcel: Parcel, answer: Answer, *, now: float) -> None:
        """The event was answered."""
        uid, requester = parcel.reference.uid, parcel.reference.requester
        sent_at = self.in_flight.pop(uid)
        self._hung.discard(uid)
        self._pace.answered(answer, requester=requester, hung=parcel.hung, sent_at=sent_at, now=now)
        self._work.settle(parcel, answer, now=now, took=now - sent_at)

    def is_closed(self, now: float) -> bool:
        """Whether the function is taken to be there."""
        return self._pace.state(now) is State.CLOSED

    def gated(self, now: float) -> dict[str, float]:
        """Seconds in which nothing was sent since this was asked before, by reason."""
        return self._pace.gated(now)

    def status(self, now: float) -> Status:
        """What is to be done and how it goes."""
        return Status(
            pending=self._work.pending(),
            oldest_undelivered=self._work.oldest_undelivered(),
            in_flight=len(self.in_flight),
            limit=self._pace.limit,
            circuit=int(self._pace.state(now)),
        )

    def _admits_hung(self) -> bool:
        return len(self._hung) < max(1, self._pace.limit // _HUNG)
