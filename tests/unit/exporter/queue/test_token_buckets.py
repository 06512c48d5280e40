"""What one requester may cause, and how many CSRs of one are held."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from csr_exporter.queue.fair_queue import FairQueue, RateLimit


def test_a_burst_and_then_one_at_a_time() -> None:
    """Six at once; then one per half minute; after three minutes of rest the whole burst again."""
    buckets = FairQueue(RateLimit(), most=1)
    assert (buckets.tokens("a", 0.0), buckets.available_at("a")) == (6, -math.inf)
    for number in range(6):
        assert buckets.available_at("a") <= 0.0
        buckets.spend("a", 0.0)
        assert buckets.tokens("a", 0.0) == 5 - number
    assert [buckets.tokens("a", now) for now in (29.9, 30.0, 60.0, 180.0, 1e9)] == [0, 1, 2, 6, 6]
    assert buckets.available_at("a") == 30.0
    assert buckets.tokens("b", 0.0) == 6


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 8), st.integers(1, 60))
def test_no_window_has_more_than_the_rate_limit(waits: list[float], burst: int, seconds: int) -> None:
    """Whenever a requester comes: in any span of time it gets at most the burst and what the time adds to it."""
    buckets, now, spent = FairQueue(RateLimit(burst=burst, seconds=seconds), most=1), 0.0, list[float]()
    for wait in waits:
        now += wait
        if buckets.available_at("a") <= now:
            assert buckets.tokens("a", now) > 0 or math.isclose(buckets.available_at("a"), now)
            buckets.spend("a", now)
            spent.append(now)
    for first, begin in enumerate(spent):
        for last, end in enumerate(spent[first:], first):
            assert last - first + 1 <= burst + (end - begin) / seconds + 1e-6


def test_requesters_of_the_past_are_forgotten() -> None:
    """Whoever has its whole budget again takes no memory."""
    buckets = FairQueue(RateLimit(), most=1)
    for number in range(100_000):
        buckets.spend(str(number), float(number))
    assert len(buckets._requesters) < 1000  # noqa: SLF001 - nothing else shows it


def test_what_is_held_of_one_requester() -> None:
    """As much as may be sent until the second list after this one, whatever the limits."""
    assert [
        RateLimit().most_held,
        RateLimit(burst=1, seconds=3600).most_held,
        RateLimit(burst=9, seconds=1).most_held,
    ] == [
        46,
        2,
        1209,
    ]
