"""What the function's answer to an event means, whom it concerns, and when the exporter resends the event. Pure."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

# An acknowledged CSR must show a certificate, Denied or Failed within this time, which doubles with every resend.
FULFILMENT = 60.0
LONGEST_FULFILMENT = 3600.0
# After an acknowledgement of stage pending, the function itself normally approves: its certificate is on the way.
SETTLING = 5.0
SHORTEST_RETRY = 0.5
LONGEST_RETRY = 60.0
POISON_RETRY = 3600.0
# After a fault of the function as a whole: it may be well again at any time, and the limiter bounds the load.
LONGEST_FAULT_RETRY = 10.0
# The exporter obeys the Retry-After of this many failures in a row; then its own back-off grows above it.
TRUSTED_RETRY_AFTERS = 16
_ISSUED = "issued"


class Verdict(enum.Enum):
    """Whom an answer concerns, and what happens next."""

    ACKNOWLEDGED = "acknowledged"
    """The function has dealt with the CSR: a certificate, Denied or Failed must show up."""
    LATER = "later"
    """This CSR only: retry after its own back-off, or after the function's Retry-After."""
    SLOW = "slow"
    """The function does not keep up, or does not answer."""
    OVERLOADED = "overloaded"
    """429: send nothing until the function's Retry-After has passed; then retry."""
    UNAVAILABLE = "unavailable"
    """503: the function cannot work, at least not for this CSR."""
    CONFIGURATION = "configuration"
    """503, and the function says why: its configuration, key, CA or right is wrong. As UNAVAILABLE, but time does not
    help: an operator must act."""
    SIGNER_CONFIGURATION = "signer_configuration"
    """500, and the function says why: the key, CA or right of this CSR's signer is wrong. As LATER, but an operator
    must act."""
    POISON = "poison"
    """The function never accepts this event: retry once an hour, in case an operator fixes the cause."""
    CREDENTIAL = "credential"
    """The function's front door does not accept our ID token."""
    ENDPOINT = "endpoint"
    """Another server answers at the function's URL."""
    RETIRED = "retired"
    """410: the receiver wants no more events (CloudEvents HTTP webhook, section 2.2): retry once an hour."""


ABOUT_THE_CSR = frozenset({Verdict.ACKNOWLEDGED, Verdict.LATER, Verdict.SIGNER_CONFIGURATION, Verdict.POISON})
"""Answers about one CSR."""
FAULTS = frozenset(
    {
        Verdict.SLOW,
        Verdict.UNAVAILABLE,
        Verdict.CONFIGURATION,
        Verdict.CREDENTIAL,
        Verdict.ENDPOINT,
        Verdict.RETIRED,
    }
)
"""Faults of the function as a whole, or of one CSR: it is the function's if several requesters suffer them."""
_OF_THE_FUNCTION = FAULTS | {Verdict.OVERLOADED}
_ONCE_AN_HOUR = frozenset({Verdict.POISON, Verdict.RETIRED})

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
# The faults that only an operator can end; the function names them in its answer. All others go by their status.
_BY_FAULT = {
    (503, "ConfigurationError"): Verdict.CONFIGURATION,
    (500, "SignerConfigurationError"): Verdict.SIGNER_CONFIGURATION,
}
# For the other statuses: the exporter follows no redirect; 4xx is about the event; 5xx is transient.
_BY_CLASS = {2: Verdict.ACKNOWLEDGED, 3: Verdict.ENDPOINT, 4: Verdict.POISON, 5: Verdict.LATER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How sending an event ended.

    Attributes:
        verdict: what it means.
        status: HTTP status; None where no whole answer came.
        retry_after: seconds that the function asks for.
        reason: text for the log, without credentials.
    """

    verdict: Verdict
    status: int | None = None
    retry_after: float | None = None
    reason: str = ""

    @property
    def is_about_the_csr(self) -> bool:
        """Whether the function has dealt with this CSR. If so, the function works."""
        return self.status is not None and self.verdict in ABOUT_THE_CSR

    @property
    def is_issued(self) -> bool:
        """Whether the function issued the certificate: its configuration is right for this signer."""
        return self.verdict is Verdict.ACKNOWLEDGED and self.reason == _ISSUED


def verdict_of(status: int, fault: str = "") -> Verdict:
    """Returns the meaning of an HTTP status, with the fault that the function named in its answer."""
    return _BY_FAULT.get((status, fault)) or _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, Verdict.ENDPOINT)


def fulfilment(resends: int) -> float:
    """Returns the seconds within which an acknowledged CSR must end, after this many resends."""
    return min(LONGEST_FULFILMENT, FULFILMENT * 2.0 ** min(resends, 16))


def pause(answer: Answer, failures: int, chance: Callable[[], float]) -> float:
    """Returns the seconds until the next try after this many failures in a row."""
    if answer.verdict in _ONCE_AN_HOUR:
        return POISON_RETRY
    longest = LONGEST_FAULT_RETRY if answer.verdict in _OF_THE_FUNCTION else LONGEST_RETRY
    grown = failures if answer.retry_after is None else max(0, failures - TRUSTED_RETRY_AFTERS)
    ceiling = min(longest, SHORTEST_RETRY * 2.0 ** min(grown, 32))
    full_jitter = SHORTEST_RETRY + (ceiling - SHORTEST_RETRY) * chance()
    return max(full_jitter, answer.retry_after or 0.0)
