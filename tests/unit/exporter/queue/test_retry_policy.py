"""What an answer means, and when the exporter resends the event."""

import pytest

from csr_exporter.queue.retry_policy import (
    FAULTS,
    LONGEST_FAULT_RETRY,
    LONGEST_FULFILMENT,
    LONGEST_RETRY,
    POISON_RETRY,
    SHORTEST_RETRY,
    TRUSTED_RETRY_AFTERS,
    Answer,
    Verdict,
    fulfilment,
    pause,
    verdict_of,
)


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        (Verdict.ACKNOWLEDGED, (200, 204)),
        (Verdict.LATER, (409, 425, 500, 599)),
        (Verdict.SLOW, (408, 502, 504)),
        (Verdict.OVERLOADED, (429,)),
        (Verdict.UNAVAILABLE, (503,)),
        (Verdict.POISON, (400, 413, 415, 422)),
        (Verdict.CREDENTIAL, (401, 403)),
        (Verdict.ENDPOINT, (101, 301, 302, 307, 404, 405, 999)),
        (Verdict.RETIRED, (410,)),
    ],
)
def test_every_status_has_a_meaning(statuses: tuple[int, ...], verdict: Verdict) -> None:
    """Each HTTP status concerns the event, the item, the credential, the endpoint or the load, as the design says."""
    assert {verdict_of(status) for status in statuses} == {verdict}


@pytest.mark.parametrize(
    ("status", "fault", "verdict"),
    [
        (503, "ConfigurationError", Verdict.CONFIGURATION),
        (500, "SignerConfigurationError", Verdict.SIGNER_CONFIGURATION),
        (500, "ConfigurationError", Verdict.LATER),
        (503, "SignerConfigurationError", Verdict.UNAVAILABLE),
        (503, "UnavailableError", Verdict.UNAVAILABLE),
        (429, "ConfigurationError", Verdict.OVERLOADED),
        (500, "ItemError", Verdict.LATER),
        (503, "configuration", Verdict.UNAVAILABLE),
    ],
)
def test_a_wrong_configuration_is_told_apart_by_an_allow_list(status: int, fault: str, verdict: Verdict) -> None:
    """Only the two faults that an operator must end, and only with their own status."""
    assert verdict_of(status, fault) is verdict


LATER = (Verdict.LATER, Verdict.SIGNER_CONFIGURATION)
OF_THE_FUNCTION = tuple(sorted((FAULTS | {Verdict.OVERLOADED}) - {Verdict.RETIRED}, key=lambda each: each.value))
HOURLY = (Verdict.POISON, Verdict.RETIRED)


@pytest.mark.parametrize(
    ("verdicts", "retry_after", "failures", "shortest", "longest"),
    [
        # Full jitter, above the shortest.
        ((*LATER, *OF_THE_FUNCTION), None, 1, SHORTEST_RETRY, 2 * SHORTEST_RETRY),
        ((*LATER, *OF_THE_FUNCTION), None, 4, SHORTEST_RETRY, 16 * SHORTEST_RETRY),
        (LATER, None, 1_000_000, SHORTEST_RETRY, LONGEST_RETRY),
        (OF_THE_FUNCTION, None, 1_000_000, SHORTEST_RETRY, LONGEST_FAULT_RETRY),
        # A deferral's many resends must not outlast the pod; without end they do grow.
        (LATER, 2.0, TRUSTED_RETRY_AFTERS, 2.0, 2.0),
        (LATER, 2.0, TRUSTED_RETRY_AFTERS + 4, 2.0, 16 * SHORTEST_RETRY),
        (LATER, 2.0, 1_000_000, 2.0, LONGEST_RETRY),
        ((*LATER, *OF_THE_FUNCTION), 300.0, 1_000_000, 300.0, 300.0),
        (HOURLY, 2.0, 1, POISON_RETRY, POISON_RETRY),
        (HOURLY, None, 1_000_000, POISON_RETRY, POISON_RETRY),
    ],
)
def test_the_back_off_stays_within_its_bounds(
    verdicts: tuple[Verdict, ...], retry_after: float | None, failures: int, shortest: float, longest: float
) -> None:
    """However the dice fall."""
    for verdict in verdicts:
        answer = Answer(verdict=verdict, retry_after=retry_after)
        assert [pause(answer, failures, lambda chance=chance: chance) for chance in (0.0, 1.0)] == [shortest, longest]  # type: ignore[misc]  # a default


def test_an_acknowledged_csr_has_longer_and_longer_to_end() -> None:
    """From a minute up to an hour."""
    assert [fulfilment(resends) for resends in range(7)] == [60, 120, 240, 480, 960, 1920, LONGEST_FULFILMENT]
    assert fulfilment(1_000_000) == LONGEST_FULFILMENT
