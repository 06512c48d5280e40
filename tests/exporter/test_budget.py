"""What one requester may cause, and how many CSRs of one are held."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from csr_exporter.budget import Budget, Limits


def test_a_burst_and_then_one_at_a_time() -> None:
    """Six at once; then one per half minute; after three minutes of rest the whole burst again."""
    budget = Budget(Limits())
    assert (budget.left("a", 0.0), budget.available_at("a")) == (6, -math.inf)
    for number in range(6):
        assert budget.available_at("a") <= 0.0
        budget.spend("a", 0.0)
        assert budget.left("a", 0.0) == 5 - number
    assert [budget.left("a", now) for now in (29.9, 30.0, 60.0, 180.0, 1e9)] == [0, 1, 2, 6, 6]
    assert budget.available_at("a") == 30.0
    assert budget.left("b", 0.0) == 6


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 8), st.integers(1, 60))
def test_no_window_has_more_than_the_budget(waits: list[float], burst: int, seconds: int) -> None:
    """Whenever a requester comes: in any span of time it gets at most the burst and what the time adds to it."""
    budget, now, spent = Budget(Limits(burst=burst, seconds=seconds)), 0.0, list[float]()
    for wait in waits:
        now += wait
        if budget.available_at("a") <= now:
            assert budget.left("a", now) > 0 or math.isclose(budget.available_at("a"), now)
            budget.spend("a", now)
            spent.append(now)
    for first, begin in enumerate(spent):
        for last, end in enumerate(spent[first:], first):
            assert last - first + 1 <= burst + (end - begin) / seconds + 1e-6


def test_requesters_of_the_past_are_forgotten() -> None:
    """Whoever has its whole budget again takes no memory."""
    budget = Budget(Limits())
    for number in range(100_000):
        budget.spend(str(number), float(number))
    assert len(budget._whole_at) < 1000  # noqa: SLF001 - nothing else shows it


def test_what_is_held_of_one_requester() -> None:
    """As much as may be sent until the second list after this one, whatever the limits."""
    assert [Limits().most_held, Limits(burst=1, seconds=3600).most_held, Limits(burst=9, seconds=1).most_held] == [
        46,
        2,
        1209,
    ]
