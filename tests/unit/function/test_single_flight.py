"""One fetch at a time for many requests."""

import asyncio
import gc
from typing import Any

import pytest

from csr_signer.errors import UnavailableError
from csr_signer.single_flight import SingleFlight


class Fetch:
    """A fetch that runs until the test ends it.

    Attributes:
        began: set when the fetch begins.
        ended: the test sets it, and the fetch ends.
        fails: whether the fetch then fails.
    """

    def __init__(self, *, fails: bool = False) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.fails = fails

    async def __call__(self) -> str:
        """Waits for the test."""
        self.began.set()
        await self.ended.wait()
        if self.fails:
            raise UnavailableError("slow")
        return "slow"


async def own() -> str:
    """A fetch that must not run, because another one runs."""
    raise AssertionError("a second fetch beside the first")


async def waiting(shared: SingleFlight[str]) -> "asyncio.Task[str]":
    """Starts a caller during a fetch; its own fetch would fail at once, so it waits for the running fetch."""
    task = asyncio.create_task(shared.get(own))
    await asyncio.sleep(0)
    assert not task.done()
    return task


@pytest.mark.parametrize("fails", [False, True], ids=["a result", "a failure"])
def test_requests_share_a_running_fetch(*, fails: bool) -> None:
    """Waits do not add up: the second request waits for the first request's fetch, and starts none."""

    async def story() -> None:
        shared: SingleFlight[str] = SingleFlight()
        fetch = Fetch(fails=fails)
        first = asyncio.create_task(shared.get(fetch))
        await fetch.began.wait()
        second = await waiting(shared)
        fetch.ended.set()
        ends = await asyncio.gather(first, second, return_exceptions=True)
        assert [str(end) for end in ends] == ["slow", "slow"]
        assert [isinstance(end, UnavailableError) for end in ends] == [fails, fails]

    asyncio.run(story())


def test_after_a_failure_the_next_may_try_again() -> None:
    """A failure is not kept."""

    async def fail() -> int:
        raise UnavailableError("once")

    async def seven() -> int:
        return 7

    async def story() -> None:
        shared: SingleFlight[int] = SingleFlight()
        with pytest.raises(UnavailableError):
            await shared.get(fail)
        assert await shared.get(seven) == 7

    asyncio.run(story())


@pytest.mark.parametrize("leaver", [0, 1], ids=["the first caller", "the second caller"])
def test_a_cancelled_caller_does_not_stop_the_fetch(leaver: int) -> None:
    """The fetch continues for the other callers; the cancelled caller stops waiting."""

    async def story() -> None:
        shared: SingleFlight[str] = SingleFlight()
        fetch = Fetch()
        first = asyncio.create_task(shared.get(fetch))
        await fetch.began.wait()
        callers = [first, await waiting(shared)]
        leaving = callers.pop(leaver)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        callers.append(await waiting(shared))  # a new caller still joins the fetch
        fetch.ended.set()
        assert await asyncio.gather(*callers) == ["slow", "slow"]

    asyncio.run(story())


@pytest.mark.parametrize("fails", [False, True], ids=["a result", "a failure"])
def test_a_fetch_without_callers_logs_nothing(*, fails: bool) -> None:
    """Otherwise asyncio would log an exception that no caller retrieved. The next caller starts a new fetch."""
    complaints: list[dict[str, Any]] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        shared: SingleFlight[str] = SingleFlight()
        fetch = Fetch(fails=fails)
        only = asyncio.create_task(shared.get(fetch))
        await fetch.began.wait()
        only.cancel()
        with pytest.raises(asyncio.CancelledError):
            await only
        del only
        (running,) = asyncio.all_tasks() - {asyncio.current_task()}
        fetch.ended.set()
        await asyncio.wait((running,))
        del running
        gc.collect()
        again = Fetch()
        again.ended.set()
        assert await shared.get(again) == "slow"

    asyncio.run(story())
    assert complaints == []
