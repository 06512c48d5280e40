"""What the work queue holds, and what it hands to a worker."""

import enum
from dataclasses import dataclass, field

from csr_exporter.csr import Reference, Stage


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
        stage: the stage of its next event.
        added_at: when the queue first saw it.
        due: when its next event is due; None while it waits in the fair queue, or is in flight. It has exactly one of
            these three places.
        failures: failures in a row of its next event.
        resends: deliberate repetitions in this stage.
        tried: whether the exporter ever sent an event.
        failed_at: when its events began to fail as if the function was at fault; None: the last answer was about the
            CSR, or there was none.
        acknowledged: the stage that the function acknowledged, if the exporter sent nothing since.
        absences: resyncs in a row that did not list it.
        code: HTTP status of the last answer.
    """

    reference: Reference
    stage: Stage
    added_at: float
    due: float | None = None
    failures: int = 0
    resends: int = 0
    tried: bool = False
    failed_at: float | None = None
    acknowledged: Stage | None = None
    absences: int = 0
    code: int | None = None
