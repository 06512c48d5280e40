"""What SIGTERM starts in the process: later requests are refused, earlier ones have a time of grace."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from csr_signer import shutdown
from csr_signer.errors import ShutdownError
from csr_signer.shutdown import Shutdown


class Request:
    """A request that is admitted, and then works until it is told to end.

    Attributes:
        admitted: set once it works.
        ended: lets it end.
    """

    def __init__(self) -> None:
        self.admitted = asyncio.Event()
        self.ended = asyncio.Event()

    async def work(self, within: Shutdown) -> str:
        """Works."""
        with within.admit():
            self.admitted.set()
            await self.ended.wait()
        return "done"


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not ended when the shutdown begins is cancelled at once."""
    monkeypatch.setattr(shutdown, "GRACE_SECONDS", 0.0)


@pytest.fixture
def terminated() -> Iterator[list[int]]:
    """The signals that a server's own handler of SIGTERM has got."""
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    yield signals
    signal.signal(signal.SIGTERM, before)


def test_a_request_that_comes_later_is_refused() -> None:
    """The exporter is told to send it again, and soon: another process serves it."""

    async def story() -> None:
        ending = Shutdown()
        ending.begin()
        with pytest.raises(ShutdownError, match="is shutting down") as refused, ending.admit():
            pass
        assert (refused.value.status, refused.value.retry_after) == (503, 1)

    asyncio.run(story())


def test_a_request_in_flight_may_end() -> None:
    """Within its time of grace it goes on as if nothing had happened."""

    async def story() -> None:
        ending, request = Shutdown(), Request()
        task = asyncio.create_task(request.work(ending))
        await request.admitted.wait()
        ending.begin()
        request.ended.set()
        assert await task == "done"

    asyncio.run(story())


def test_a_request_that_does_not_end_in_time_is_interrupted(no_grace: None) -> None:
    """It hears of it as a fault that passes; one that is not in flight any more hears nothing."""

    async def story() -> None:
        ending, request, earlier = Shutdown(), Request(), Request()
        earlier.ended.set()
        assert await earlier.work(ending) == "done"  # in this task, which goes on
        task = asyncio.create_task(request.work(ending))
        await request.admitted.wait()
        ending.begin()
        with pytest.raises(ShutdownError, match="interrupted the request"):
            await task

    asyncio.run(story())


def test_sigterm_begins_it_and_reaches_the_server_too(no_grace: None, terminated: list[int]) -> None:
    """The server has a handler of its own, which closes its sockets: both hear the signal."""

    async def story() -> None:
        ending, request = Shutdown(), Request()
        ending.listen()
        task = asyncio.create_task(request.work(ending))
        await request.admitted.wait()
        assert not ending.began
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(ShutdownError):
            await task
        assert ending.began

    asyncio.run(story())
    assert terminated == [signal.SIGTERM]


def test_a_server_in_another_thread_has_no_sigterm_to_hear(terminated: list[int]) -> None:
    """Python delivers signals to the main thread alone, and allows handlers only there."""
    handler = signal.getsignal(signal.SIGTERM)
    failures: list[BaseException] = []

    async def story() -> None:
        Shutdown().listen()

    def serve() -> None:
        try:
            asyncio.run(story())
        except BaseException as error:  # noqa: BLE001 - the main thread asserts
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert failures == []
    assert signal.getsignal(signal.SIGTERM) is handler
