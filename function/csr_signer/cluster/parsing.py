"""Parses the objects in an API server's answers, so that costly ones delay no other cluster's request."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

LARGEST_ON_LOOP: Final = 64 * 1024
"""Bytes of an answer that the event loop parses, in at most 10 ms. Probes and nearly all honest objects are smaller; a
requester can make an object of megabytes."""
PARSERS: Final = 2
"""Threads that parse large answers, at most one of each cluster at any time."""
_THREADS: Final = ThreadPoolExecutor(PARSERS, thread_name_prefix="parse")
COSTLY_SECONDS: Final = 0.001
"""An honest object takes a fraction of it; a crafted one of LARGEST_ON_LOOP takes several times as long."""
REST: Final = 2
"""After a costly answer, its cluster rests twice as long as the parsing took: a third of a CPU at most."""


class ClusterParser:
    """Parses one cluster's answers, small ones on the event loop and large ones in a thread.

    The cluster rests after a costly answer. Small answers wait only for the rests of small ones.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._rests_until = float("-inf")

    async def parse(self, body: bytes, read: Callable[[bytes], T]) -> T:
        """Returns what `read` makes of an answer; the caller holds the cluster's place for a large one meanwhile."""
        if len(body) > LARGEST_ON_LOOP:
            return await self._parse_large(body, read)
        while (rest := self._rests_until - self._clock()) > 0:
            await self._sleep(rest)
        started = self._clock()
        try:
            return read(body)
        finally:
            ended = self._clock()
            if ended - started > COSTLY_SECONDS:
                self._rests_until = ended + REST * (ended - started)

    async def _parse_large(self, body: bytes, read: Callable[[bytes], T]) -> T:
        """Parses in a thread, then rests.

        A cancelled caller still waits for the thread, because its end frees the cluster's place for the next answer.
        """
        spent = 0.0

        def timed() -> T:
            nonlocal spent
            started = self._clock()
            try:
                return read(body)
            finally:
                spent = self._clock() - started

        work = _THREADS.submit(timed)
        parsed = asyncio.wrap_future(work)
        parsed.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # no caller may ask
        try:
            await asyncio.wait((parsed,))
        except asyncio.CancelledError:
            work.cancel()  # only if no thread has started it
            await asyncio.wait((parsed,))
            raise
        await self._sleep(REST * spent)
        return parsed.result()
