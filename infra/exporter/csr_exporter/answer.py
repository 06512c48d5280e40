"""What the function's answer to an event means, and for whom: this CSR, or everything that is sent."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """Who is concerned by an answer, and what happens next."""

    ACKNOWLEDGED = "acknowledged"
    """Done for now; a certificate, Denied or Failed must show up."""
    LATER = "later"
    """This CSR only: again, after its own back-off or as long as the function asks for."""
    SLOW = "slow"
    """This CSR again, and fewer at a time: the function does not keep up, or is not there."""
    OVERLOADED = "overloaded"
    """429: nothing is sent until the function's Retry-After has passed; then this CSR again."""
    UNAVAILABLE = "unavailable"
    """503: this CSR again after the Retry-After. All others pause only if CSRs of different requesters get 503."""
    POISON = "poison"
    """The function will never accept this event; tried again once an hour, in case that it is mended."""
    CREDENTIAL = "credential"
    """We are not who the function expects: nothing is sent for a while, and no CSR is blamed."""
    ENDPOINT = "endpoint"
    """That is not the function: nothing is sent for a while, and no CSR is blamed."""
    RETIRED = "retired"
    """410: the receiver wants no more events (CloudEvents HTTP webhook §2.2); asked again once an hour."""


_BY_STATUS = {
    401: Verdict.CREDENTIAL,
    403: Verdict.CREDENTIAL,
    404: Verdict.ENDPOINT,
    405: Verdict.ENDPOINT,
    408: Verdict.SLOW,
    409: Verdict.LATER,
    410: Verdict.RETIRED,
    425: Verdict.LATER,
    429: Verdict.OVERLOADED,
    502: Verdict.SLOW,
    503: Verdict.UNAVAILABLE,
    504: Verdict.SLOW,
}
ITEM = frozenset({Verdict.ACKNOWLEDGED, Verdict.LATER, Verdict.POISON})
"""Answers about one CSR."""
SUSPICIOUS = frozenset(Verdict) - ITEM - {Verdict.OVERLOADED}
"""Faults of the function as a whole, unless it answers other CSRs meanwhile: then the CSR is suspect."""

# For the rest: 2xx is success, a redirect is not followed, 4xx is about the event, 5xx may pass.
_BY_CLASS = {2: Verdict.ACKNOWLEDGED, 3: Verdict.ENDPOINT, 4: Verdict.POISON, 5: Verdict.LATER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How sending an event ended.

    `status` is HTTP's, or None where no whole answer came; `retry_after` is in seconds; `reason` is safe to be logged.
    """

    verdict: Verdict
    status: int | None = None
    retry_after: float | None = None
    reason: str = ""


def verdict_of(status: int) -> Verdict:
    """Returns the meaning of an HTTP status: 425 and 500 concern one CSR, 429 and 503 the function as a whole.

    503 may also be due to one CSR: `Pace` tells that by who else gets it.
    """
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, Verdict.ENDPOINT)
