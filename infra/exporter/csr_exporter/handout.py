"""Which event is sent now, and what its answer changes: `Work` and `Pace` together. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from csr_exporter.circuit import State
from csr_exporter.pace import MOST
from csr_exporter.retry import HANG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from csr_exporter.answer import Answer
    from csr_exporter.csr import Stage
    from csr_exporter.pace import Pace
    from csr_exporter.work import Parcel, Work


# Of what may be under way, suspects that hung before get one in so many, so that they leave room for the others.
_HUNG = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is to be done and how it goes, at one moment.

    Attributes:
        pending: CSRs by stage.
        oldest_undelivered: when the oldest CSR was created of which nothing is acknowledged; "" where there is none.
        in_flight: events under way.
        limit: events that may be.
        circuit: 0 closed, 1 half open, 2 open.
    """

    pending: Mapping[Stage, int]
    oldest_undelivered: str
    in_flight: int
    limit: int
    circuit: int


class Handout:
    """Gives out what is due while the pace allows it.

    Attributes:
        in_flight: when the events under way were given out, by the CSR's uid.
    """

    def __init__(self, work: Work, pace: Pace) -> None:
        self._work = work
        self._pace = pace
        self._suspects: set[str] = set()
        self.in_flight: dict[str, float] = {}

    def take(self, now: float) -> Parcel | None:
        """The event that is to be sent now, or None."""
        if self._admitted_at(now) != now:
            return None
        parcel = self._work.take(now, hung=self._admits_hung())
        if parcel is not None:
            self._pace.sent(now)
            self.in_flight[parcel.reference.uid] = now
            if parcel.suspect:
                self._suspects.add(parcel.reference.uid)
        return parcel

    def pause(self, now: float) -> float | None:
        """Seconds until `take` may give something; None where that takes an answer or an observation."""
        due = self._work.next_due(hung=self._admits_hung())
        admitted_at = self._admitted_at(now)
        return None if due is None or admitted_at is None else max(due, admitted_at) - now

    def settle(self, parcel: Parcel, answer: Answer, *, now: float) -> None:
        """The event was answered: `Pace` tells whether the function is at fault, and if not, a retry costs a token."""
        uid, requester = parcel.reference.uid, parcel.reference.requester
        sent_at = self.in_flight.pop(uid)
        self._suspects.discard(uid)
        is_functions = self._pace.answered(
            answer, requester=requester, suspect=parcel.suspect, sent_at=sent_at, now=now
        )
        self._work.settle(parcel, answer, now=now, took=now - sent_at, costs_a_token=not is_functions)

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

    def _admitted_at(self, now: float) -> float | None:
        """As `Pace` says. Where all events are under way for long, one more may be: it may be the fault of a few."""
        number = len(self.in_flight)
        admitted_at = self._pace.admits_at(number, now)
        if admitted_at is not None or number >= MOST:
            return admitted_at
        stuck_at = next(reversed(self.in_flight.values())) + HANG
        return stuck_at if stuck_at > now else self._pace.admits_at(0, now)

    def _admits_hung(self) -> bool:
        return len(self._suspects) < max(1, self._pace.limit // _HUNG)
