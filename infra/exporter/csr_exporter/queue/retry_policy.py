"""When a CSR is due again after an answer. Pure."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from csr_exporter.backoff import full_jitter


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

    503 may also be due to one CSR: `Limiter` tells that by who else gets it.
    """
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, Verdict.ENDPOINT)


# An acknowledged CSR must show a certificate, Denied or Failed within this time, which doubles with every resend.
FULFILMENT = 60.0
LONGEST_FULFILMENT = 3600.0
# After an acknowledgement of stage pending, an approval is normally the function's own: its certificate is on the way.
SETTLING = 5.0
SHORTEST_RETRY = 0.5
LONGEST_RETRY = 60.0
POISON_RETRY = 3600.0
# For so many failures in a row a Retry-After is taken as it is; then the own back-off grows above it.
TRUSTED_RETRY_AFTERS = 16
# A failure that took so many seconds has kept others from being sent.
HANG = 10.0
BLAMELESS = frozenset({Verdict.CREDENTIAL, Verdict.ENDPOINT, Verdict.RETIRED})
"""What no CSR is blamed for, unless others fare better."""


def fulfilment(resends: int) -> float:
    """Seconds that an acknowledged CSR gets to show what became of it, after so many resends."""
    return min(LONGEST_FULFILMENT, FULFILMENT * 2.0 ** min(resends, 16))


def is_hang(answer: Answer, took: float) -> bool:
    """Whether nothing came of an event for long: it may be this very CSR that makes the function hang."""
    return answer.verdict in {Verdict.SLOW, Verdict.UNAVAILABLE} and took >= HANG


def is_about_the_csr(answer: Answer) -> bool:
    """Returns whether the function has dealt with the CSR, whatever the result: then the function works."""
    return answer.status is not None and answer.verdict in ITEM


def failed_at(answer: Answer, earlier: float | None, now: float) -> float | None:
    """Returns the time from which an answer to another CSR makes this CSR suspect; None: no answer does.

    A CSR fails anew with each 503 or time-out, so that an outage is noticed although the function worked before. For
    403, 404 and the like the first failure counts, because one such answer is enough to open the circuit.
    """
    if answer.verdict in BLAMELESS and earlier is not None:
        return earlier
    if answer.verdict in SUSPICIOUS:
        return now
    return None if is_about_the_csr(answer) else earlier


def pause(answer: Answer, failures: int, chance: Callable[[], float]) -> float:
    """Seconds until the next try after a failure, the last of so many in a row.

    What the function asks for of everything is `Limiter`'s to see to.
    """
    if answer.verdict is Verdict.POISON:
        return POISON_RETRY
    # What the function asks for is what it gets, unless that leads nowhere for long.
    grown = failures if answer.retry_after is None else max(0, failures - TRUSTED_RETRY_AFTERS)
    own = full_jitter(grown, least=SHORTEST_RETRY, most=LONGEST_RETRY, chance=chance)
    return max(own, answer.retry_after or 0.0)
