"""Round robin among requesters, each within its rate limit."""

import math

from csr_exporter.queue.fair_queue import FairQueue, RateLimit
from csr_exporter.queue.item import Change


def _fair_queue(burst: int = 2, seconds: float = 10.0) -> FairQueue:
    return FairQueue(RateLimit(burst=burst, seconds=seconds), most=2000)


def _add(fair_queue: FairQueue, requester: str, uid: str, now: float) -> bool:
    assert fair_queue.admit(requester, now) is Change.ADDED
    return fair_queue.add(requester, uid, now=now)


def _drain(fair_queue: FairQueue, now: float) -> list[str]:
    taken = []
    while (uid := fair_queue.take(now)) is not None:
        taken.append(uid)
    return taken


def test_requesters_are_served_round_robin() -> None:
    """However many CSRs one has queued first; for each requester the oldest goes first."""
    fair_queue = _fair_queue(burst=9)
    for requester, uids in {"a": "1234", "b": "56", "c": "7"}.items():
        for uid in uids:
            assert not _add(fair_queue, requester, uid, 0.0)
    assert _drain(fair_queue, 0.0) == list("1572634")


def test_a_requester_without_a_token_is_parked() -> None:
    """`add` says so; the other requesters are served; the next CSR is due when a token is available."""
    fair_queue = _fair_queue()
    assert [_add(fair_queue, "a", uid, 0.0) for uid in "1234"] == [False, False, True, True]
    assert (_drain(fair_queue, 0.0), fair_queue.next_due()) == (["1", "2"], 10.0)
    assert not _add(fair_queue, "b", "5", 0.0)
    assert fair_queue.next_due() == -math.inf
    assert [_drain(fair_queue, now) for now in (0.0, 9.9, 10.0, 20.0)] == [["5"], [], ["3"], ["4"]]
    assert fair_queue.next_due() is None


def test_what_ended_is_not_taken_and_costs_nothing() -> None:
    """A CSR that ends before it is taken costs no token, whether its requester is ready or parked."""
    fair_queue = _fair_queue()
    for number in range(1000):
        _add(fair_queue, "a", str(number), 0.0)
        fair_queue.release("a", str(number))
    _add(fair_queue, "a", "x", 0.0)
    assert _drain(fair_queue, 0.0) == ["x"]
    for uid in "yz":
        _add(fair_queue, "a", uid, 0.0)
    assert _drain(fair_queue, 0.0) == ["y"]
    fair_queue.release("a", "z")
    assert (_drain(fair_queue, 10.0), fair_queue.next_due()) == ([], None)
    _add(fair_queue, "a", "w", 10.0)
    assert _drain(fair_queue, 10.0) == ["w"]
