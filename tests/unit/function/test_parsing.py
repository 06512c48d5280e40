"""Large answers of an API server: parsed in a thread, with a rest, and to the end."""

import threading
from collections.abc import Iterator

from csr_signer.cluster.parsing import parse_large
from tests.patience import PATIENCE
from tests.unit.function.ports.blocking import Running, run


def test_after_a_large_answer_its_cluster_rests_as_long_as_it_parsed() -> None:
    """The cluster's place stays taken during the rest, so one hostile cluster uses at most half of a CPU."""
    times: Iterator[float] = iter((10.0, 12.5))
    rests: list[float] = []

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    assert run(parse_large(b"body", len, clock=lambda: next(times), sleep=sleep)) == 4
    assert rests == [2.5]


def test_a_cancelled_caller_waits_until_its_thread_has_parsed() -> None:
    """Otherwise the next large answer of the cluster would be in memory beside this one."""
    begun, go = threading.Event(), threading.Event()

    def read(_: bytes) -> bool:
        begun.set()
        return go.wait(PATIENCE)

    parsing = Running(parse_large(b"body", read))
    assert begun.wait(PATIENCE)
    parsing.cancel()
    waited = not parsing.done
    go.set()
    assert waited
    assert parsing.was_cancelled()
