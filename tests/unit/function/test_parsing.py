"""Large answers of an API server: parsed in a thread, with a rest, and to the end."""

import threading
from collections.abc import Iterator

import pytest

from csr_signer.cluster.parsing import LARGEST_ON_LOOP, ClusterParser
from tests.patience import PATIENCE
from tests.unit.function.ports.blocking import Running, run

LARGE = bytes(LARGEST_ON_LOOP + 1)


def test_after_a_large_answer_its_cluster_rests_twice_as_long_as_it_parsed() -> None:
    """The cluster's place stays taken during the rest, so one hostile cluster uses at most a third of a CPU."""
    times: Iterator[float] = iter((10.0, 12.5))
    rests: list[float] = []

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    assert run(ClusterParser(clock=lambda: next(times), sleep=sleep).parse(LARGE, len)) == len(LARGE)
    assert rests == [5.0]


def test_after_a_costly_small_answer_its_cluster_rests_twice_as_long() -> None:
    """So one hostile cluster uses at most a third of the event loop's time; cheap answers never wait."""
    now, rests = [10.0], list[float]()

    async def sleep(seconds: float) -> None:
        rests.append(seconds)
        now[0] += seconds

    def read(body: bytes) -> int:
        now[0] += len(body) / 1000
        return len(body)

    async def several(parser: ClusterParser) -> list[int]:
        return [await parser.parse(b"x" * size, read) for size in (1, 1, 4, 1, 1)]

    assert run(several(ClusterParser(clock=lambda: now[0], sleep=sleep))) == [1, 1, 4, 1, 1]
    assert rests == [pytest.approx(0.008)]


def test_a_cancelled_caller_waits_until_its_thread_has_parsed() -> None:
    """Otherwise the next large answer of the cluster would be in memory beside this one."""
    begun, go = threading.Event(), threading.Event()

    def read(_: bytes) -> bool:
        begun.set()
        return go.wait(PATIENCE)

    parsing = Running(ClusterParser().parse(LARGE, read))
    assert begun.wait(PATIENCE)
    parsing.cancel()
    waited = not parsing.done
    go.set()
    assert waited
    assert parsing.was_cancelled()
