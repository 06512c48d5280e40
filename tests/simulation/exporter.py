"""The exporter: processes around the real store, queue and scheduler. The reflector and the resync are models."""

import asyncio
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache, partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from csr_exporter.clock import Backoff
from csr_exporter.connection import UnreachableError
from csr_exporter.csr import MalformedError, Stage
from csr_exporter.delivery import cloud_event
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.delivery.scheduler import Scheduler
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.work_queue import MOST_CSRS, WorkQueue
from csr_exporter.watch.reflector import LIST_SPACING
from csr_exporter.watch.response import ExpiredError, Page, RefusedError, UnpageableListError
from csr_exporter.watch.resync import PERIOD
from csr_exporter.watch.store import Store
from tests.simulation.api_server import END, Stored, Watch
from tests.simulation.function import SOURCE
from tests.simulation.network import Network

if TYPE_CHECKING:
    from tests.simulation.world import World

P = ParamSpec("P")
T = TypeVar("T")
PAGE: Final = 3
TICK: Final = 15.0
FREEZE: Final = 61.0
SHORTEST: Final = 0.001
"""Seconds. A shorter wait may end before the time that it waits for, because times are rounded."""


@cache
def _muted() -> tuple[Log, Metrics]:
    return Log(os.open(os.devnull, os.O_WRONLY)), Metrics()


class Exporter:
    """One process of the exporter; it is a clock, too."""

    def __init__(self, world: "World", ordinal: int, number: int) -> None:
        self.name = f"exporter-{ordinal}.{number}"
        self._world, self._ordinal, self._number = world, ordinal, number
        self._chance = random.Random(f"{world.plan.seed} {self.name}")  # noqa: S311 - no secret
        drift = world.plan.drift
        self._rate, self._offset = 1 + self._chance.uniform(-drift, drift), self._chance.uniform(0.0, 1e5)
        self._network = Network(world, ordinal, self._chance)
        self._frozen_until = 0.0
        self._versions: dict[str, int] = {}
        self._changed = asyncio.Event()
        replicas = Replicas(count=world.plan.replicas, ordinal=ordinal)
        queue = WorkQueue(replicas=replicas, most=world.plan.most, chance=self._chance.random)
        self._scheduler = Scheduler(queue, Limiter())
        wanted = frozenset(Stage) if world.plan.approves else frozenset({Stage.APPROVED})
        self._signer_names = tuple(name for _, name in world.signers())
        log, metrics = _muted()
        self._store = Store(
            stages=dict.fromkeys(self._signer_names, wanted),
            queue=queue,
            changed=threading.Condition(),
            clock=self,
            log=log,
            metrics=metrics,
        )
        loops = [*(self._reflect(each) for each in self._signer_names), self._resync(), self._dispatch()]
        self._tasks: dict[asyncio.Task[None], None] = {}  # in order
        for each in loops:
            self._spawn(each)

    def now(self) -> float:
        """Returns the time of the process's clock."""
        return self._offset + self._rate * self._world.loop.time()

    def wait(self, seconds: float) -> bool:
        """Is not called: the core does not wait."""
        raise NotImplementedError

    def kill(self) -> None:
        """Ends the process without warning; another one follows."""
        self._world.tell(self.name, "is killed")
        for task in list(self._tasks):
            task.cancel()
        again = partial(self._world.start_exporter, self._ordinal, self._number + 1)
        self._world.loop.call_later(self._chance.uniform(0.5, 30.0), again)

    async def _core(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the core. The process may be killed before, or be frozen for a while."""
        wrong = self._world.troubles.at("exporter")
        if wrong == "killed":
            self.kill()
            raise asyncio.CancelledError
        if wrong == "frozen":
            self._world.tell(self.name, "is frozen")
            self._frozen_until = self._world.loop.time() + FREEZE
        if (pause := self._frozen_until - self._world.loop.time()) > 0:
            await asyncio.sleep(pause)
        result = call(*args, **kwargs)
        self._changed.set()
        return result

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(SHORTEST, seconds) / self._rate)

    async def _dispatch(self) -> None:
        """Does what `delivery.dispatcher.Dispatcher` does, with a task for each event."""
        while True:
            while (item := await self._core(lambda: self._scheduler.take(self.now()))) is not None:
                self._spawn(self._deliver(item))
            self._changed.clear()
            pause = self._scheduler.pause(self.now())
            alarm = None
            if pause is not None:
                alarm = self._world.loop.call_later(max(SHORTEST, pause) / self._rate, self._changed.set)
            await self._changed.wait()
            if alarm is not None:
                alarm.cancel()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._world.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._world.fail_with)
        task.add_done_callback(self._tasks.pop)

    async def _deliver(self, item: WorkItem) -> None:
        world = self._world
        encoded = cloud_event.encode(source=SOURCE, reference=item.reference, stage=item.stage, resend=item.resend)
        uid = world.short(item.reference.uid)
        world.tell(self.name, f"sends {item.stage.value} of {uid}, attempt {item.attempt}, resend {item.resend}")
        answer = await self._network.send(encoded.body)
        world.tell(self.name, f"gets {answer.verdict.value} {answer.status} {answer.reason} for {uid}")
        await self._core(lambda: self._scheduler.settle(item, answer, now=self.now()))

    async def _reflect(self, signer_name: str) -> None:
        """Does what `watch.reflector.Reflector` does: lists, watches from there, and lists again if it must."""
        backoff, listed_at = Backoff(chance=self._chance.random), float("-inf")
        while True:
            try:
                if signer_name not in self._versions:
                    listed_at = self.now()
                    self._versions[signer_name] = await self._list(signer_name)
                await self._watch(signer_name)
            except (ExpiredError, MalformedError):
                self._versions.pop(signer_name, None)
                wait = backoff.delay(self.now())
                await self._sleep(0.0 if self.now() - listed_at >= LIST_SPACING else wait)
            except (RefusedError, UnreachableError):
                await self._sleep(backoff.delay(self.now()))

    async def _list(self, signer_name: str) -> int:
        """Returns where the watch begins; 0 if the list cannot be read, so that the watch shows everything."""
        since, present, version = self.now(), set[str](), 0
        whole = True
        try:
            async for page in self._pages(signer_name):
                whole = whole and page.is_whole
                present.update(page.uids if whole else ())
                await self._core(self._store.watched, page.seen)
                version = int(page.version)
        except UnpageableListError:
            return 0
        if whole:
            await self._core(self._store.relisted, signer_name, present, since=since)
        return version

    async def _watch(self, signer_name: str) -> None:
        world, chance, versions = self._world, self._chance, self._versions
        watch = Watch(
            world.api_server,
            signer_name,
            versions[signer_name],
            lag=lambda: chance.uniform(0.0, world.plan.lag),
            wrong=lambda: world.troubles.at("watch"),
        )
        ends = float(chance.randint(300, 600))
        alarms = [world.loop.call_later(at, watch.bookmark) for at in (chance.uniform(1.0, 60.0), ends)]
        alarms.append(world.loop.call_later(ends, watch.end))
        try:
            while True:
                shown = [await watch.queue.get()]
                while not watch.queue.empty():
                    shown.append(watch.queue.get_nowait())
                batch = []
                for each in shown:
                    if isinstance(each, Stored):
                        batch.append(each.seen())
                        versions[signer_name] = each.version if versions[signer_name] else 0
                    elif isinstance(each, int):
                        versions[signer_name] = each
                    else:
                        break  # nothing follows the end
                if batch:
                    world.tell(self.name, f"sees {', '.join(world.short(each.reference.uid) for each in batch)}")
                    await self._core(self._store.watched, batch)
                if isinstance(shown[-1], Exception):
                    world.tell(self.name, f"loses its watch: {shown[-1]}")
                    raise shown[-1]
                if shown[-1] == END:
                    return
        finally:
            watch.close()
            for alarm in alarms:
                alarm.cancel()

    async def _resync(self) -> None:
        """Does what `watch.resync.Resync` does."""
        due = self._next_resync()
        while True:
            # Nothing happens at a tick, unless the queue was full.
            pause = TICK if self._world.plan.most < MOST_CSRS else PERIOD
            await self._sleep(min(pause, due - self.now()))
            if await self._core(self._store.capacity_returned) or self.now() >= due:
                await self._resync_once()
                due = self._next_resync()

    async def _resync_once(self) -> None:
        since, present = self.now(), dict[str, set[str]]()
        await self._core(self._store.resync_begins)
        for signer_name in self._signer_names:
            uids, whole = set[str](), True
            try:
                async for page in self._pages(signer_name):
                    await self._core(self._store.resynced, page.seen)
                    whole = whole and page.is_whole
                    ended = {seen.reference.uid for seen in page.seen if seen.stage is None}
                    uids.update(uid for uid in page.uids if uid not in ended)
            except (UnpageableListError, ExpiredError, RefusedError, UnreachableError):
                whole = False
            if whole:
                present[signer_name] = uids
        await self._core(self._store.resync_ends, present, since=since)

    def _next_resync(self) -> float:
        return self.now() + PERIOD * (0.8 + 0.4 * self._chance.random())

    async def _pages(self, signer_name: str) -> AsyncIterator[Page]:
        """Yields the pages of a list, all of one version."""
        server, chance = self._world.api_server, self._chance
        version, number, follows = 0, 0, True
        while follows:
            await asyncio.sleep(chance.uniform(0.005, 0.1))
            wrong = self._world.troubles.at("list")
            if wrong:
                self._world.tell(self.name, f"lists {signer_name}: {wrong}")
            if (error := _list_error(wrong)) is not None:
                raise error
            version = version or server.version
            stored, follows = server.page(signer_name, version, number, PAGE)
            number += 1
            await asyncio.sleep(chance.uniform(0.005, 0.1))
            seen, unread = tuple(each.seen() for each in stored), tuple[str | None, ...]()
            if wrong and seen:
                seen, unread = seen[:-1], (seen[-1].reference.uid if wrong == "unread" else None,)
            yield Page(version=str(version), size=1, seen=seen, unread=unread)


def _list_error(wrong: str) -> Exception | None:
    match wrong:
        case "refused":
            return RefusedError("list: 429", status=429)
        case "unreachable":
            return UnreachableError("list: the connection broke")
        case "expired":
            return ExpiredError("list: 410")
        case "unpageable":
            return UnpageableListError("list: the token leads back")
        case _:
            return None
