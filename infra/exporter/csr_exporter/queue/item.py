"""What the work queue holds, and what it hands to a worker."""

import enum
from dataclasses import dataclass, field

from csr_exporter.csr import Reference, Stage
from csr_exporter.queue.retry_policy import Answer, Verdict


class Change(enum.Enum):
    """What an observation changed in the queue."""

    NONE = "none"
    ADDED = "added"
    THROTTLED = "throttled"
    """Added; it waits for its requester's next token."""
    ENDED = "ended"
    OVER_LIMIT = "over_limit"
    """Left out: the requester has too many CSRs in the queue."""
    FULL = "full"
    """Left out: the queue is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One event that a worker sends now.

    Attributes:
        attempt: counts from 1.
        resend: deliberate repetitions after acknowledgements.
        takeover: another replica should have sent it.
        sent_at: when.
    """

    reference: Reference
    stage: Stage
    attempt: int
    resend: int
    takeover: bool = False
    sent_at: float = field(default=0.0, compare=False)


@dataclass(slots=True)
class TrackedCsr:
    """A CSR in the queue. The queue holds thousands of these, so they are small.

    Attributes:
        reference: as the API server first showed it at its stage.
        stage: the stage of its next event.
        added_at: when the queue first saw it.
        due: when its next event is due; None while it waits in the fair queue, or is in flight: it has exactly one of
            these three places.
        last: the last event; None: the exporter never sent one.
        answer: the answer to the last event; None while that is in flight.
        absences: resyncs in a row that did not list it.
    """

    reference: Reference
    stage: Stage
    added_at: float
    due: float | None = None
    last: WorkItem | None = None
    answer: Answer | None = None
    absences: int = 0

    @property
    def is_acknowledged(self) -> bool:
        """Whether the function has acknowledged the last event."""
        return self.answer is not None and self.answer.verdict is Verdict.ACKNOWLEDGED

    def next(self, now: float, *, takeover: bool) -> WorkItem:
        """Returns the event that is sent now: a new one, a deliberate repetition, or another attempt."""
        attempt, resend = 1, 0
        if self.last is not None and self.last.stage is self.stage:
            attempt, resend = self.last.attempt + 1, self.last.resend
            if self.is_acknowledged:
                attempt, resend = 1, self.last.resend + 1
        return WorkItem(
            reference=self.reference, stage=self.stage, attempt=attempt, resend=resend, takeover=takeover, sent_at=now
        )
