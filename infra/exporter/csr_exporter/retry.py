"""When a CSR is due again after an answer. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csr_exporter.answer import ITEM, SUSPICIOUS, Verdict
from csr_exporter.backoff import full_jitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from csr_exporter.answer import Answer

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

    What the function asks for of everything is `Pace`'s to see to.
    """
    if answer.verdict is Verdict.POISON:
        return POISON_RETRY
    # What the function asks for is what it gets, unless that leads nowhere for long.
    grown = failures if answer.retry_after is None else max(0, failures - TRUSTED_RETRY_AFTERS)
    own = full_jitter(grown, least=SHORTEST_RETRY, most=LONGEST_RETRY, chance=chance)
    return max(own, answer.retry_after or 0.0)
