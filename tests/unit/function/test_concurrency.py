"""What one cluster may hold of a process, and one CSR of it."""

from contextlib import ExitStack

import pytest

from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.errors import ConcurrencyLimitError, ConfigurationError, UnavailableError
from csr_signer.service import CONCURRENCY, concurrency


@pytest.mark.parametrize(
    ("clusters", "concurrent", "share"),
    [(2, 16, 8), (3, 16, 5), (16, 16, 1), (17, 16, 1), (2, 1, 1)],
    ids=["halves", "rounded down", "one each", "more clusters than places", "one place"],
)
def test_a_cluster_holds_at_most_its_share(clusters: int, concurrent: int, share: int) -> None:
    """Over its share it is turned away with the reason; another cluster has its own share all the same."""
    limiter = ConcurrencyLimiter(clusters=clusters, concurrency=concurrent)
    with ExitStack() as held:
        for number in range(share):
            assert held.enter_context(limiter.admit("hostile", f"uid-{number}"))
        with pytest.raises(ConcurrencyLimitError, match=rf"must have at most {share} requests in flight"):
            held.enter_context(limiter.admit("hostile", "one-more"))
        assert held.enter_context(limiter.admit("honest", "uid-0"))


def test_one_cluster_alone_may_use_four_times_the_concurrency() -> None:
    """Cloud Run sends fewer, but requests of callers that disconnected go on; a flood of them must have an end."""
    limiter = ConcurrencyLimiter(clusters=1, concurrency=2)
    with ExitStack() as held:
        assert all(held.enter_context(limiter.admit("only", f"uid-{number}")) for number in range(8))
        with pytest.raises(ConcurrencyLimitError, match="must have at most 8 requests in flight"):
            held.enter_context(limiter.admit("only", "one-more"))


def test_a_duplicate_is_turned_away_and_takes_no_place() -> None:
    """It is not admitted however often it comes, and the request that is in flight keeps its place."""
    limiter = ConcurrencyLimiter(clusters=2, concurrency=4)
    with limiter.admit("a", "uid"):
        for _ in range(5):
            with limiter.admit("a", "uid") as admitted:
                assert not admitted
        with limiter.admit("a", "another") as admitted:
            assert admitted
        with limiter.admit("b", "uid") as admitted:
            assert admitted


def test_a_place_is_given_back_after_a_fault() -> None:
    """Faults use up neither the share nor the CSR's turn."""
    limiter = ConcurrencyLimiter(clusters=2, concurrency=2)

    def fail() -> None:
        with limiter.admit("a", "uid") as admitted:
            assert admitted
            raise UnavailableError("the API server hangs")

    for _ in range(3):
        with pytest.raises(UnavailableError):
            fail()


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("16", 16), ("1000", 1000), (None, 16)])
def test_the_concurrency_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str | None, number: int
) -> None:
    """Terraform sets the environment variable; without it, the number is Terraform's for one cluster."""
    monkeypatch.delenv(CONCURRENCY, raising=False)
    if text is not None:
        monkeypatch.setenv(CONCURRENCY, text)
    assert concurrency() == number


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", " 8", "many", "1001", "10000", "٣"])
def test_a_wrong_concurrency_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The message names the variable and its value. A wrong number would make the limiter refuse requests."""
    monkeypatch.setenv(CONCURRENCY, text)
    with pytest.raises(ConfigurationError, match=f"environment variable {CONCURRENCY}: Invalid value"):
        concurrency()
