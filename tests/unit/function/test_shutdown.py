"""After SIGTERM, the process refuses new requests, and requests in flight get a grace period."""

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
    """A request that runs until the test ends it.

    Attributes:
        admitted: set when the shutdown has admitted the request.
        ended: the test sets it, and the request ends.
    """

    def __init__(self) -> None:
        self.admitted = asyncio.Event()
        self.ended = asyncio.Event()

    async def work(self, within: Shutdown) -> str:
        """Enters the shutdown's context, and waits for the test."""
        with within.admit():
            self.admitted.set()
            await self.ended.wait()
        return "done"


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the shutdown cancel requests in flight at once."""
    monkeypatch.setattr(shutdown, "GRACE_SECONDS", 0.0)


@pytest.fixture
def terminated() -> Iterator[list[int]]:
    """The signals that the server's own handler for SIGTERM has got."""
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    yield signals
    signal.signal(signal.SIGTERM, before)


def test_a_request_after_sigterm_is_refused() -> None:
    """The answer asks the exporter to resend the event after a second; another process serves it."""

    async def story() -> None:
        ending = Shutdown()
        ending.begin()
        with pytest.raises(ShutdownError, match="is shutting down") as refused, ending.admit():
            pass
        assert (refused.value.status, refused.value.retry_after) == (503, 1)

    asyncio.run(story())


def test_a_request_in_flight_may_end() -> None:
    """The shutdown does not affect a request that ends within the grace period."""

    async def story() -> None:
        ending, request = Shutdown(), Request()
        task = asyncio.create_task(request.work(ending))
        await request.admitted.wait()
        ending.begin()
        request.ended.set()
        assert await task == "done"

    asyncio.run(story())


def test_a_request_that_does_not_end_in_time_is_interrupted(no_grace: None) -> None:
    """The request gets a transient fault. The shutdown does not cancel a task whose request has ended."""

    async def story() -> None:
        ending, request, earlier = Shutdown(), Request(), Request()
        earlier.ended.set()
        assert await earlier.work(ending) == "done"  # this task runs on after its request
        task = asyncio.create_task(request.work(ending))
        await request.admitted.wait()
        ending.begin()
        with pytest.raises(ShutdownError, match="interrupted the request"):
            await task
        this = asyncio.current_task()
        assert this is not None
        assert not this.cancelling()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_sigterm_begins_the_shutdown_and_reaches_the_server(no_grace: None, terminated: list[int]) -> None:
    """The server's own handler closes its sockets, so both handlers must get the signal."""

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

    asyncio.run(asyncio.wait_for(story(), 30))
    assert terminated == [signal.SIGTERM]


def test_a_server_in_another_thread_keeps_its_signal_handler(terminated: list[int]) -> None:
    """Python runs signal handlers only in the main thread, and installs them only there."""
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
