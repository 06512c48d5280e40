"""Threads that are kept."""

import threading

from csr_exporter.delivery.worker_pool import WorkerPool
from tests.unit.exporter.support import wait_until


def test_jobs_run_at_once_and_threads_are_kept() -> None:
    """As many threads as jobs at a time, though there are many more jobs one after another; all end."""
    together, done, threads = threading.Barrier(4), list[int](), set[str]()

    def do(job: int) -> None:
        threads.add(str(threading.get_ident()))
        together.wait(10)
        done.append(job)

    pool = WorkerPool(do)
    before = threading.active_count()
    for round_ in range(25):
        for number in range(4):
            pool.start(4 * round_ + number)
        wait_until(lambda: pool.idle == 4)
    assert sorted(done) == list(range(100))
    assert len(threads) == 4
    pool.end()
    wait_until(lambda: threading.active_count() == before)


def test_a_thread_that_is_busy_ends_later() -> None:
    """The end waits for nobody: a job that is under way is finished first, by its own thread."""
    go_on, done = threading.Event(), list[int]()

    def do(job: int) -> None:
        go_on.wait(10)
        done.append(job)

    pool = WorkerPool(do)
    pool.start(1)
    pool.end()
    assert done == []
    go_on.set()
    wait_until(lambda: done == [1])
