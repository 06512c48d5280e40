"""Between those who observe and those who send: the work behind a lock, and the loop that hands it out.

The readers only put in what they saw; they never wait for the function. Each delivery has a thread, and `Pace` says how
many there may be.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from csr_exporter.answer import Answer, Verdict
from csr_exporter.audit import Audit
from csr_exporter.crew import Crew
from csr_exporter.csr import Seen, is_sendable
from csr_exporter.handout import Handout
from csr_exporter.pace import Pace
from csr_exporter.tally import Tally
from csr_exporter.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from csr_exporter.clock import Clock
    from csr_exporter.csr import Stage
    from csr_exporter.handout import Status
    from csr_exporter.log import Log
    from csr_exporter.metrics import Metrics
    from csr_exporter.work import Parcel

# What an operator is shown of the work.
MOST_SHOWN = 100


class Dispatcher:
    """Owns `Work`, `Handout` and `Audit`; safe to use from several threads.

    `stages` says for each signerName which stages are sent; `send` delivers one event.
    """

    def __init__(
        self,
        *,
        stages: Mapping[str, frozenset[Stage]],
        send: Callable[[Parcel], Answer],
        clock: Clock,
        log: Log,
        metrics: Metrics,
        work: Work | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._stages = stages
        self._send = send
        self._clock = clock
        self._tally = Tally(log=log, metrics=metrics)
        self._work = Work() if work is None else work
        self._handout = Handout(self._work, Pace() if pace is None else pace)
        self._audit = Audit()
        self._changed = threading.Condition()
        self._draining = False

    # What the API server showed.

    def watched(self, batch: Iterable[Seen]) -> None:
        """The watch, or the list that it continues, showed these CSRs."""
        with self._changed:
            for seen in batch:
                stage = self._wanted(seen)
                self._audit.watched(seen.reference.uid, ended=stage is None)
                self._see(seen, stage)
            self._changed.notify_all()

    def listed(self, signer_name: str, present: set[str], *, since: float) -> None:
        """The list that the watch continues was complete: what it did not show is gone."""
        with self._changed:
            ended = self._work.end_absent(signer_name, present, since=since, certain=True)
        self._tally.ended(ended)

    def audit_begins(self) -> None:
        """A list beside the watch is started."""
        with self._changed:
            self._audit.list_begins()

    def audited(self, batch: Iterable[Seen]) -> None:
        """The list beside the watch showed these CSRs: it adds what is missing and ends nothing."""
        with self._changed:
            for seen in batch:
                stage = self._wanted(seen)
                if stage is not None and not self._audit.is_outdated(seen.reference.uid):
                    self._see(seen, stage)
            self._changed.notify_all()

    def audit_ends(self, present: Mapping[str, set[str]], *, since: float) -> None:
        """The list beside the watch is over; `present` has the signerNames for which it was complete."""
        with self._changed:
            self._audit.list_ends()
            ended = sum(
                self._work.end_absent(signer_name, uids, since=since, certain=False)
                for signer_name, uids in present.items()
            )
        self._tally.ended(ended)

    def room_came(self) -> bool:
        """Whether a list would find what was left out when there was no room, and now there is; that is said once."""
        with self._changed:
            return self._work.room_came()

    # What is sent.

    def run(self) -> None:
        """Hands out what is due until `drain` is called."""
        crew = Crew(self._deliver)
        while (parcel := self._next()) is not None:
            crew.start(parcel)
        crew.end()

    def drain(self, seconds: float) -> tuple[int, int]:
        """Hands out nothing more and waits for what is in flight.

        Returns how many CSRs are left to the next start, and how many deliveries are still in flight.
        """
        with self._changed:
            self._draining = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._handout.in_flight, seconds)
            return len(self._work), len(self._handout.in_flight)

    @property
    def waiting(self) -> int:
        """CSRs that may still get a certificate."""
        with self._changed:
            return len(self._work)

    @property
    def oldest_sending(self) -> float:
        """Seconds since the oldest delivery in flight was started; 0 where there is none."""
        with self._changed:
            now = self._clock.now()
            return now - min(self._handout.in_flight.values(), default=now)

    def status(self) -> Status:
        """What is to be done and how it goes."""
        with self._changed:
            now = self._clock.now()
            self._tally.gated(self._handout.gated(now))
            return self._handout.status(now)

    def entries(self, most: int = MOST_SHOWN) -> list[dict[str, object]]:
        """The CSRs that are held for longest, for an operator."""
        with self._changed:
            return self._work.described(most, self._clock.now())

    def _next(self) -> Parcel | None:
        with self._changed:
            while not self._draining:
                now = self._clock.now()
                parcel = self._handout.take(now)
                if parcel is not None:
                    return parcel
                self._changed.wait(self._handout.pause(now))
            return None

    def _deliver(self, parcel: Parcel) -> None:
        try:
            answer = self._send(parcel)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one CSR must not stop the others
            answer = Answer(verdict=Verdict.LATER, reason=f"internal: {type(error).__name__}: {error}")
        with self._changed:
            now = self._clock.now()
            self._handout.settle(parcel, answer, now=now)
            self._tally.gated(self._handout.gated(now))
            self._tally.circuit(answer, is_closed=self._handout.is_closed(now))
            self._changed.notify_all()
        self._tally.answered(parcel, answer)

    def _wanted(self, seen: Seen) -> Stage | None:
        if seen.stage in self._stages.get(seen.reference.signer_name, frozenset()):
            return seen.stage
        return None

    def _see(self, seen: Seen, stage: Stage | None) -> None:
        if stage is not None and not is_sendable(seen.reference.name):
            self._tally.refused_name()
            return
        change = self._work.see(seen.reference, stage, now=self._clock.now())
        self._tally.changed(change, seen)
