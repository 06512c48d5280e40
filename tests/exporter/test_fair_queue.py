"""Requesters take turns, and wait for their budgets apart from the others."""

import math

from csr_exporter.queue.fair_queue import FairQueue, RateLimit, TokenBuckets


def _turns(burst: int = 2, seconds: float = 10.0) -> FairQueue:
    return FairQueue(TokenBuckets(RateLimit(burst=burst, seconds=seconds)))


def _drain(turns: FairQueue, now: float) -> list[str]:
    taken = []
    while (uid := turns.take(now)) is not None:
        taken.append(uid)
    return taken


def test_each_requester_has_one_turn_after_another() -> None:
    """However many CSRs one has queued first; for each requester the oldest goes first."""
    turns = _turns(burst=9)
    for requester, uids in {"a": "1234", "b": "56", "c": "7"}.items():
        for uid in uids:
            assert not turns.add(requester, uid, now=0.0)
    assert _drain(turns, 0.0) == list("1572634")


def test_whoever_has_spent_its_budget_waits_apart() -> None:
    """Adding says so; the others go on; the next is due when the budget allows it, not earlier and not later."""
    turns = _turns()
    assert [turns.add("a", uid, now=0.0) for uid in "1234"] == [False, False, True, True]
    assert (_drain(turns, 0.0), turns.next_due()) == (["1", "2"], 10.0)
    assert not turns.add("b", "5", now=0.0)
    assert turns.next_due() == -math.inf
    assert [_drain(turns, now) for now in (0.0, 9.9, 10.0, 20.0)] == [["5"], [], ["3"], ["4"]]
    assert turns.next_due() is None


def test_what_ended_is_not_taken_and_costs_nothing() -> None:
    """A CSR that is gone before its turn spends no budget, in whatever place its requester stands."""
    turns = _turns()
    for number in range(1000):
        turns.add("a", str(number), now=0.0)
        turns.discard("a", str(number))
    turns.discard("nobody", "1")
    turns.add("a", "x", now=0.0)
    assert _drain(turns, 0.0) == ["x"]
    for uid in "yz":
        turns.add("a", uid, now=0.0)
    assert _drain(turns, 0.0) == ["y"]
    turns.discard("a", "z")
    assert (_drain(turns, 10.0), turns.next_due()) == ([], None)
    turns.add("a", "w", now=10.0)
    assert _drain(turns, 10.0) == ["w"]
