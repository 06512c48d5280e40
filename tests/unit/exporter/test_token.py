"""The ID token as many threads use it; its life passes on a clock that is turned by hand."""

import threading
import time

import pytest

from csr_exporter.identity import CachedToken, IdentityError, IdToken
from csr_exporter.metrics import Metrics
from tests.unit.exporter.support import VirtualClock

HOUR = 3600.0


class Source:
    """Gives out token 1, 2, 3, ... or fails."""

    def __init__(self, lifetime: float = HOUR) -> None:
        self.lifetime = lifetime
        self.calls = 0
        self.failure = ""

    def __call__(self) -> IdToken:
        """The next token."""
        self.calls += 1
        if self.failure:
            raise IdentityError(self.failure)
        return IdToken(value=f"token-{self.calls}", lifetime=self.lifetime, principal=f"account-{self.calls}")


def test_one_token_serves_until_its_end() -> None:
    """It is fetched once, and again when it has expired."""
    source, clock = Source(), VirtualClock()
    token = CachedToken(source, clock, metrics=Metrics())
    assert not token.obtained
    assert [token.token() for _ in range(3)] == ["token-1"] * 3
    assert token.obtained
    clock.time += HOUR - 1
    assert token.token() == "token-1"
    clock.time += 1
    assert token.token() == "token-2"


@pytest.mark.parametrize(("lifetime", "renewed_after"), [(HOUR, HOUR - 600), (900.0, 450.0)])
def test_it_is_renewed_early(lifetime: float, renewed_after: float) -> None:
    """Ten minutes before its end, or at half of a short life: clocks that disagree by five minutes do no harm."""
    source, clock = Source(lifetime), VirtualClock()
    token = CachedToken(source, clock, metrics=Metrics())
    token.renew_early()
    clock.time += renewed_after - 1
    token.renew_early()
    assert token.token() == "token-1"
    clock.time += 1
    token.renew_early()
    assert token.token() == "token-2"


def test_a_failed_early_renewal_leaves_the_old_token() -> None:
    """It serves until its end; then the failure is what the users get."""
    source, clock = Source(), VirtualClock()
    token = CachedToken(source, clock, metrics=Metrics())
    token.renew_early()
    source.failure = "STS is away"
    clock.time += HOUR - 500
    with pytest.raises(IdentityError, match="STS is away"):
        token.renew_early()
    assert token.token() == "token-1"
    clock.time += 500
    with pytest.raises(IdentityError, match="STS is away"):
        token.token()


def test_a_failure_that_takes_long_is_not_repeated_by_those_who_waited() -> None:
    """Its back-off counts from its end: else each delivery that wants the token would wait as long, one by one."""
    source, clock = Source(), VirtualClock()
    source.failure = "STS hangs"

    def slow() -> IdToken:
        clock.time += 20.0
        return source()

    token = CachedToken(slow, clock, metrics=Metrics())
    for _ in range(8):
        with pytest.raises(IdentityError, match="STS hangs"):
            token.token()
    assert source.calls == 1


def test_failures_are_not_hammered_and_end() -> None:
    """Within a back-off everybody gets the same error without a new request; afterwards it works again."""
    source, clock = Source(), VirtualClock()
    token = CachedToken(source, clock, metrics=Metrics())
    source.failure = "not ready"
    for _ in range(100):
        with pytest.raises(IdentityError, match="not ready"):
            token.token()
    assert source.calls == 1
    source.failure = ""
    clock.time += 61
    assert token.token() == "token-2"


def test_a_refused_token_is_replaced_once() -> None:
    """Whoever was refused with the old token gets the new one; only the first of them fetches it."""
    source = Source()
    token = CachedToken(source, VirtualClock(), metrics=Metrics())
    refused = token.token()
    assert [token.replacement(refused) for _ in range(8)] == ["token-2"] * 8
    assert source.calls == 2


def test_threads_share_one_fetch() -> None:
    """Eight deliveries that need a token at once ask for one."""
    source = Source()
    token = CachedToken(source, VirtualClock(), metrics=Metrics())
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(token.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, source.calls) == (["token-1"] * 8, 1)


def test_what_is_known_of_the_token() -> None:
    """Its principal and its end, of the one that is held; failures to renew it are counted."""
    source, clock, metrics = Source(), VirtualClock(), Metrics()
    token = CachedToken(source, clock, metrics=metrics)
    assert token.principal == ""
    token.renew_early()
    assert token.principal == "account-1"
    assert metrics.value("token_expiry_timestamp_seconds", kind="id") == pytest.approx(time.time() + HOUR, abs=60)
    source.failure = "STS is away"
    clock.time += HOUR
    with pytest.raises(IdentityError):
        token.token()
    assert metrics.counts == {"token_refresh_errors_total:id": 1}


def test_twenty_seconds_without_an_identity() -> None:
    """Asked for every second or so, it is asked of Google a handful of times, and there when Google is."""
    source, clock = Source(), VirtualClock()
    token = CachedToken(source, clock, metrics=Metrics())
    source.failure = "not ready"
    while clock.time < 1020:
        with pytest.raises(IdentityError):
            token.renew_early()
        clock.time += 1
    assert 3 <= source.calls <= 20
    source.failure = ""
    clock.time += 61  # the longest back-off
    token.renew_early()
    assert token.obtained
