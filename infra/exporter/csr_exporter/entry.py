"""What is kept of one CSR while it may still get a certificate. Thousands of these are held, so they are small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csr_exporter.csr import Reference, Stage


@dataclass(slots=True)
class Entry:
    """A CSR and how far its events have come; `Work` alone changes it.

    Attributes:
        reference: which CSR.
        stage: of which the next event is.
        added_at: when it was first seen.
        due: when its next event is; None while it waits for its requester's turn, or is in flight.
        failures: in a row, of the event that is to be sent.
        resends: deliberate repetitions in this stage.
        tried: whether anything was ever sent.
        in_flight: whether an event is under way.
        hung: whether the last event was not answered for long.
        failed_at: when its event failed as if the function was at fault; it is suspect once others are answered.
        costs_a_token: whether the next event is its requester's doing, and not due to a fault of the function.
        acknowledged: the stage of which the last event was acknowledged, if nothing was sent since.
        absences: lists in a row that did not show it.
        code: HTTP status of the last answer.
    """

    reference: Reference
    stage: Stage
    added_at: float
    due: float | None = None
    failures: int = 0
    resends: int = 0
    tried: bool = False
    in_flight: bool = False
    hung: bool = False
    failed_at: float | None = None
    costs_a_token: bool = False
    acknowledged: Stage | None = None
    absences: int = 0
    code: int | None = None

    def described(self, now: float) -> dict[str, object]:
        """The entry as an operator sees it: without its name, and with what is due in seconds from now."""
        return {
            "uid": self.reference.uid,
            "stage": self.stage.value,
            "attempts": self.failures,
            "resends": self.resends,
            "in_flight": self.in_flight,
            "due_in": None if self.due is None else round(self.due - now, 1),
            "code": self.code,
        }
