"""What happened to the work, as metrics and as lines of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csr_exporter import event
from csr_exporter.answer import Verdict
from csr_exporter.clock import age_of
from csr_exporter.work import Change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from csr_exporter.answer import Answer
    from csr_exporter.csr import Seen
    from csr_exporter.log import Log
    from csr_exporter.metrics import Metrics
    from csr_exporter.work import Parcel

_OVER_BUDGET = frozenset({Change.THROTTLED, Change.CROWDED})


class Tally:
    """Counts and logs; it decides nothing."""

    def __init__(self, *, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._is_closed = True

    def refused_name(self) -> None:
        """A CSR has a name that the function would not take."""
        self._metrics.names_refused.inc()

    def changed(self, change: Change, seen: Seen) -> None:
        """An observation did this to the work."""
        if change is Change.NONE:
            return
        self._metrics.work_changes.labels(change=change.value).inc()
        if change in _OVER_BUDGET:
            self._metrics.throttled.inc()
        age = age_of(seen.reference.creation_timestamp) if change is Change.ENDED and seen.issued else None
        if age is not None:
            self._metrics.issuance_seconds.observe(age)

    def ended(self, number: int) -> None:
        """So many CSRs are not in a list any more."""
        self._metrics.work_changes.labels(change=Change.ENDED.value).inc(number)

    def gated(self, seconds: Mapping[str, float]) -> None:
        """For so long nothing was sent, by reason."""
        for reason, length in seconds.items():
            self._metrics.gate_seconds.labels(reason=reason).inc(length)

    def circuit(self, answer: Answer, *, is_closed: bool) -> None:
        """After that answer the function is taken to be there, or not; a line is written where that has changed."""
        if is_closed == self._is_closed:
            return
        self._is_closed = is_closed
        if is_closed:
            self._log.info("the function answers again", code=answer.status)
        else:
            self._log.error("the function is not there", code=answer.status, reason=answer.reason or None)

    def answered(self, parcel: Parcel, answer: Answer) -> None:
        """An event was answered."""
        self._count(parcel, answer)
        write = {Verdict.ACKNOWLEDGED: self._log.info, Verdict.POISON: self._log.error}.get(
            answer.verdict, self._log.warning
        )
        # A CSR that keeps failing is logged at attempts 1, 2, 4, 8, ...
        if answer.verdict is Verdict.ACKNOWLEDGED or parcel.attempt & (parcel.attempt - 1) == 0:
            write(
                answer.verdict.value,
                uid=parcel.reference.uid,
                id=event.id_of(parcel.reference.uid, parcel.stage, parcel.resend),
                stage=parcel.stage.value,
                attempt=parcel.attempt,
                resend=parcel.resend or None,
                takeover=parcel.takeover or None,
                code=answer.status,
                retry_after=answer.retry_after,
                reason=answer.reason or None,
            )

    def _count(self, parcel: Parcel, answer: Answer) -> None:
        it = self._metrics
        it.send_attempts.labels(code_class="none" if answer.status is None else f"{answer.status // 100}xx").inc()
        if parcel.takeover:
            it.takeovers.inc()
        if parcel.resend and parcel.attempt == 1:
            it.unfulfilled_acks.inc()
        if answer.verdict is not Verdict.ACKNOWLEDGED:
            it.retries.labels(reason=answer.verdict.value).inc()
        if answer.verdict is Verdict.POISON:
            it.poison.inc()
        age = age_of(parcel.reference.creation_timestamp) if answer.verdict is Verdict.ACKNOWLEDGED else None
        if age is not None and not parcel.resend:
            it.delivery_seconds.observe(age)
