"""Between those who observe and those who send: the work behind a lock, and the loop that hands it out.

The readers only put in what they saw; they never wait for the function. One thread per delivery, as many as `Pace`
allows.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from csr_exporter.answer import Answer, Verdict
from csr_exporter.audit import Audit
from csr_exporter.csr import Seen, is_sendable
from csr_exporter.pace import Pace
from csr_exporter.work import Change, Parcel, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from csr_exporter.clock import Clock
    from csr_exporter.csr import Stage
    from csr_exporter.log import Log


class Dispatcher:
    """Owns `Work`, `Pace` and `Audit`; safe to use from several threads.

    `stages` says for each signerName which stages are sent; `send` delivers one event.
    """

    def __init__(
        self,
        *,
        stages: Mapping[str, frozenset[Stage]],
        send: Callable[[Parcel], Answer],
        clock: Clock,
        log: Log,
        work: Work | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._stages = stages
        self._send = send
        self._clock = clock
        self._log = log
        self._work = Work() if work is None else work
        self._pace = Pace() if pace is None else pace
        self._audit = Audit()
        self._sending: dict[str, float] = {}
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
        self._log.count("ended_total", ended)

    def audit_begins(self) -> None:
        """A list beside the watch is started."""
        with self._changed:
            self._audit.list_begins()

    def audited(self, batch: Iterable[Seen]) -> None:
        """The list beside the watch showed these CSRs: it adds what is missing and ends nothing."""
        with self._changed:
            now = self._clock.now()
            for seen in batch:
                uid, stage = seen.reference.uid, self._wanted(seen)
                if stage is None or self._audit.is_outdated(uid):
                    continue
                if self._see(seen, stage) is Change.ADDED:
                    self._audit.listed_only(uid, now=now)
            self._changed.notify_all()

    def audit_ends(self, present: Mapping[str, set[str]], *, since: float) -> None:
        """The list beside the watch is over; `present` has the signerNames for which it was complete."""
        with self._changed:
            self._audit.list_ends()
            ended = sum(
                self._work.end_absent(signer_name, uids, since=since, certain=False)
                for signer_name, uids in present.items()
            )
        self._log.count("ended_total", ended)

    def report_missed(self) -> None:
        """Counts and logs what the watch never showed: that must not happen."""
        with self._changed:
            missed = list(self._audit.missed(self._clock.now()))
        for uid in missed:
            self._log.count("resync_missed_total")
            self._log.error("the watch missed a CSR that a list showed", uid=uid)

    # What is sent.

    def run(self) -> None:
        """Hands out what is due until `drain` is called."""
        while (parcel := self._next()) is not None:
            threading.Thread(target=self._deliver, args=(parcel,), daemon=True, name="delivery").start()

    def drain(self, seconds: float) -> tuple[int, int]:
        """Hands out nothing more and waits for what is in flight.

        Returns how many CSRs are left to the next start, and how many deliveries are still in flight.
        """
        with self._changed:
            self._draining = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._sending, seconds)
            return len(self._work), len(self._sending)

    @property
    def waiting(self) -> int:
        """CSRs that may still get a certificate."""
        with self._changed:
            return len(self._work)

    @property
    def oldest_sending(self) -> float:
        """Seconds since the oldest delivery in flight was started; 0 where there is none."""
        with self._changed:
            return self._clock.now() - min(self._sending.values()) if self._sending else 0.0

    def _next(self) -> Parcel | None:
        with self._changed:
            while not self._draining:
                now = self._clock.now()
                parcel = self._take(now)
                if parcel is not None:
                    self._sending[parcel.reference.uid] = now
                    return parcel
                self._changed.wait(self._pause(now))
            return None

    def _take(self, now: float) -> Parcel | None:
        if len(self._sending) >= self._pace.limit or now < self._pace.opens_at:
            return None
        return self._work.take(now)

    def _pause(self, now: float) -> float | None:
        """Seconds until something may be taken; None where only somebody else can change that."""
        due = self._work.next_due()
        if due is None or len(self._sending) >= self._pace.limit:
            return None
        return max(due, self._pace.opens_at) - now

    def _deliver(self, parcel: Parcel) -> None:
        try:
            answer = self._send(parcel)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one CSR must not stop the others
            answer = Answer(verdict=Verdict.LATER, reason=f"internal: {type(error).__name__}: {error}")
        with self._changed:
            now = self._clock.now()
            self._pace.answered(answer, sent_at=self._sending.pop(parcel.reference.uid), now=now)
            self._work.settle(parcel, answer, now=now)
            self._changed.notify_all()
        self._record(parcel, answer)

    def _record(self, parcel: Parcel, answer: Answer) -> None:
        self._log.count(f"send_{answer.verdict.value}_total")
        if parcel.resend and parcel.attempt == 1:
            self._log.count("unfulfilled_acks_total")
        write = {Verdict.ACKNOWLEDGED: self._log.info, Verdict.POISON: self._log.error}.get(
            answer.verdict, self._log.warning
        )
        # A CSR that keeps failing is logged at attempts 1, 2, 4, 8, ...
        if answer.verdict is Verdict.ACKNOWLEDGED or parcel.attempt & (parcel.attempt - 1) == 0:
            write(
                answer.verdict.value,
                uid=parcel.reference.uid,
                stage=parcel.stage.value,
                attempt=parcel.attempt,
                resend=parcel.resend or None,
                code=answer.status,
                retry_after=answer.retry_after,
                reason=answer.reason or None,
            )

    def _wanted(self, seen: Seen) -> Stage | None:
        if seen.stage in self._stages.get(seen.reference.signer_name, frozenset()):
            return seen.stage
        return None

    def _see(self, seen: Seen, stage: Stage | None) -> Change:
        if stage is not None and not is_sendable(seen.reference.name):
            self._log.count("names_refused_total")
            return Change.NONE
        change = self._work.see(seen.reference, stage, now=self._clock.now())
        if change is not Change.NONE:
            self._log.count(f"{change.value}_total")
        return change
