"""Fair among signerNames, then among requesters, each within its rate limit."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_exporter.queue.fair_queue import FairQueue, Lane, RateLimit


def _lane(requester: str, signer_name: str = "x", *, is_retry: bool = False) -> Lane:
    return Lane(is_retry, signer_name, requester)


def _fair_queue(burst: int = 2, seconds: float = 10.0) -> FairQueue:
    return FairQueue(RateLimit(burst=burst, seconds=seconds))


def _add(fair_queue: FairQueue, lane: Lane, *uids: str, now: float = 0.0) -> list[bool]:
    assert all(fair_queue.admit(lane.requester, now, is_scarce=False) for _ in uids)
    return [fair_queue.add(lane, uid, now=now) for uid in uids]


def _drain(fair_queue: FairQueue, now: float = 0.0) -> list[str]:
    taken = []
    while (uid := fair_queue.take(now)) is not None:
        taken.append(uid)
    return taken


def test_requesters_are_served_round_robin() -> None:
    """However many CSRs one has queued first; for each requester the oldest goes first."""
    fair_queue = _fair_queue(burst=9)
    for requester, uids in {"a": "1234", "b": "56", "c": "78"}.items():
        assert not any(_add(fair_queue, _lane(requester), *uids))
    assert _drain(fair_queue) == list("15726834")


@pytest.mark.parametrize("is_retry", [False, True])
def test_a_signer_names_many_requesters_delay_another_signer_name_by_one_place(*, is_retry: bool) -> None:
    """Thousands of CSRs of one signerName, each of its own requester, are due before two of another signerName."""
    fair_queue = _fair_queue()
    for number in range(3000):
        _add(fair_queue, _lane(f"pod {number}", is_retry=is_retry), str(number))
    fair_queue.take(0.0)
    for requester in "ab":
        _add(fair_queue, _lane(requester, "y", is_retry=is_retry), requester)
    assert [fair_queue.take(0.0) for _ in range(5)] == ["1", "a", "2", "b", "3"]


def test_an_only_csr_goes_first_and_a_failing_requester_last() -> None:
    """Whoever came first, also of other signerNames, and though the failing one has replaced its CSR."""
    fair_queue = _fair_queue(burst=3)
    _add(fair_queue, _lane("r"), "r1")
    assert fair_queue.take(0.0) == "r1"
    fair_queue.answered("r", is_failure=True, now=0.0)
    fair_queue.release(_lane("r"), "r1")
    _add(fair_queue, _lane("r"), "r2")
    _add(fair_queue, _lane("a"), "a1", "a2")
    _add(fair_queue, _lane("b", "y"), "b1")
    _add(fair_queue, _lane("c", is_retry=True), "deferred")
    assert _drain(fair_queue) == ["b1", "deferred", "a1", "a2", "r2"]
    _add(fair_queue, _lane("a"), "a3")
    fair_queue.answered("r", is_failure=False, now=0.0)
    fair_queue.release(_lane("r"), "r2")
    _add(fair_queue, _lane("r"), "r3")
    assert _drain(fair_queue) == ["r3", "a3"]


def test_a_requester_that_recovers_goes_first_again() -> None:
    """Its lane got its place while it failed and held two CSRs; the other one was acknowledged and has ended."""
    fair_queue = _fair_queue(burst=3)
    _add(fair_queue, _lane("r"), "r1", "r2")
    assert fair_queue.take(0.0) == "r1"
    fair_queue.answered("r", is_failure=True, now=0.0)
    _add(fair_queue, _lane("a"), "a1", "a2")
    assert fair_queue.take(0.0) == "a1"
    fair_queue.answered("r", is_failure=False, now=0.0)
    fair_queue.release(_lane("r"), "r1")
    _add(fair_queue, _lane("b"), "b1")
    assert _drain(fair_queue) == ["b1", "a2", "r2"]


def test_a_retry_becomes_free_while_it_is_parked() -> None:
    """The requester's other CSR ends: what is left is its only one, and waits for no token."""
    fair_queue, lane = _fair_queue(burst=1, seconds=30), _lane("a", is_retry=True)
    _add(fair_queue, lane, "1", "2")
    assert (_drain(fair_queue), fair_queue.next_due()) == (["1"], 30.0)
    fair_queue.release(lane, "1")
    assert (_drain(fair_queue), fair_queue.next_due()) == (["2"], None)


def test_a_lane_whose_requester_fails_or_files_more_loses_its_place() -> None:
    """One CSR of each of many signerNames, filed and deleted in advance, would give it a first place in each."""
    fair_queue = _fair_queue(burst=9)
    for signer_name in "xyz":
        _add(fair_queue, _lane("r", signer_name), signer_name)
        fair_queue.release(_lane("r", signer_name), signer_name)
    for signer_name in "xyz":
        _add(fair_queue, _lane("r", signer_name), signer_name)
    _add(fair_queue, _lane("fails"), "f")
    _add(fair_queue, _lane("a"), "a")
    fair_queue.answered("fails", is_failure=True, now=0.0)
    assert _drain(fair_queue) == ["a", *"xyz", "f"]


def test_a_requester_without_a_token_is_parked() -> None:
    """`add` says so; the other requesters are served; the next CSR is due when a token is available."""
    fair_queue = _fair_queue()
    assert _add(fair_queue, _lane("a"), *"1234") == [False, False, True, True]
    assert (_drain(fair_queue), fair_queue.next_due()) == (["1", "2"], 10.0)
    assert _add(fair_queue, _lane("b"), "5") == [False]
    assert fair_queue.next_due() == -math.inf
    assert [_drain(fair_queue, now) for now in (0.0, 9.9, 10.0, 20.0)] == [["5"], [], ["3"], ["4"]]
    assert fair_queue.next_due() is None


def test_what_ended_is_not_taken_and_costs_nothing() -> None:
    """A CSR that ends before it is taken costs no token; its lane ends at its next turn."""
    fair_queue, lane = _fair_queue(), _lane("a")
    for number in range(1000):
        _add(fair_queue, lane, str(number))
        fair_queue.release(lane, str(number))
    _add(fair_queue, lane, "x")
    assert (_drain(fair_queue), fair_queue.next_due()) == (["x"], None)
    assert _add(fair_queue, lane, *"yz") == [False, True]


@pytest.mark.parametrize("again", [False, True])
def test_a_lane_may_end_while_it_is_parked(*, again: bool) -> None:
    """What comes while it is still parked has its place, and no second one."""
    fair_queue, lane = _fair_queue(), _lane("a")
    _add(fair_queue, lane, *"123")
    assert _drain(fair_queue) == ["1", "2"]
    fair_queue.release(lane, "3")
    assert fair_queue.next_due() == 10.0
    _add(fair_queue, lane, *("45" if again else ""))
    assert [_drain(fair_queue, now) for now in (9.9, 10.0, 20.0)] == [[], ["4"] * again, ["5"] * again]
    assert fair_queue.next_due() is None
    _add(fair_queue, lane, "6", now=20.0)
    assert _drain(fair_queue, 30.0) == ["6"]


def test_a_retry_of_an_only_csr_costs_no_token() -> None:
    """Nor does it wait for one. Of a requester with two CSRs each retry does."""
    fair_queue, lane = _fair_queue(), _lane("a", is_retry=True)
    for _ in range(5):
        _add(fair_queue, lane, "1")
        assert _drain(fair_queue) == ["1"]
        fair_queue.release(lane, "1")
    _add(fair_queue, lane, *"12")
    assert _drain(fair_queue) == ["1", "2"]
    assert [fair_queue.add(lane, uid, now=0.0) for uid in "12"] == [True, True]
    assert [_drain(fair_queue, now) for now in (0.0, 10.0, 20.0)] == [[], ["1"], ["2"]]


def test_a_burst_and_then_one_at_a_time() -> None:
    """Six at once; then one per half minute; after three minutes of rest the whole burst again."""
    fair_queue, lane = FairQueue(RateLimit()), _lane("a")
    assert _add(fair_queue, lane, *"12345678") == [False] * 6 + [True] * 2
    assert [len(_drain(fair_queue, now)) for now in (0.0, 29.9, 30.0, 60.0)] == [6, 0, 1, 1]
    assert fair_queue.available_at(lane) == 90.0
    assert _add(fair_queue, lane, *"12345678", now=240.0) == [False] * 6 + [True] * 2


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 8), st.integers(1, 60))
def test_no_window_has_more_than_the_rate_limit(waits: list[float], burst: int, seconds: int) -> None:
    """Whenever a requester comes: in any span of time it gets at most the burst and what the time adds to it."""
    fair_queue, now, sent = _fair_queue(burst, seconds), 0.0, list[float]()
    for number, wait in enumerate(waits):
        now += wait
        if fair_queue.admit("a", now, is_scarce=False):
            fair_queue.add(_lane("a"), str(number), now=now)
        for uid in _drain(fair_queue, now):
            fair_queue.release(_lane("a"), uid)
            sent.append(now)
    for (first, begin), (last, end) in itertools.combinations_with_replacement(enumerate(sent), 2):
        assert last - first + 1 <= burst + (end - begin) / seconds + 1e-6


def test_requesters_of_the_past_are_forgotten() -> None:
    """Whoever has its whole budget again takes no memory; who holds a CSR, or lacks a token, is remembered."""
    fair_queue = _fair_queue(burst=1, seconds=100)
    _add(fair_queue, _lane("holds"), "1")
    assert _drain(fair_queue) == ["1"]
    for number in range(30_000):
        lane = _lane(str(number))
        _add(fair_queue, lane, "1", now=number / 100)
        if number < 5000 or number == 25_000:
            assert _drain(fair_queue, number / 100) == ["1"]
        fair_queue.release(lane, "1")
    assert len(fair_queue._requesters) < 1000  # noqa: SLF001 - nothing else shows it
    assert _add(fair_queue, _lane("25000"), "2", now=300.0) == [True]
    assert not fair_queue.admit("holds", 300.0, is_scarce=True)


@pytest.mark.parametrize("is_scarce", [False, True])
@pytest.mark.parametrize(("burst", "seconds", "most"), [(6, 30, 46), (1, 3600, 2), (9, 1, 1209)])
def test_what_is_held_of_one_requester(burst: int, seconds: float, most: int, *, is_scarce: bool) -> None:
    """As much as may be sent until the second list after this one, whatever the limits. What ends makes room again."""
    fair_queue, share = _fair_queue(burst, seconds), burst if is_scarce else most
    for _ in range(2):
        changes = [fair_queue.admit("a", 0.0, is_scarce=is_scarce) for _ in range(share + 1)]
        assert changes == [True] * share + [False]
        for _ in range(share):
            fair_queue.release(_lane("a"), "1")
