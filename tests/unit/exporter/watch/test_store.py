"""What the watch missed: the watch against the resyncs, with the work queue as the memory of what the watch showed."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from csr_exporter import csr
from csr_exporter.csr import Reference, Seen, Stage
from csr_exporter.metrics import Metrics
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.work_queue import WorkQueue
from csr_exporter.watch.store import GRACE, Store
from tests.unit.exporter.support import SIGNER, VirtualClock, captured_log, core, csr_document, reference

LATE = GRACE + 1.0
ALL = frozenset(Stage)


class World:
    """A store, and what the API server shows it."""

    def __init__(self, store: Store, clock: VirtualClock, lines: Callable[[], list[dict[str, object]]]) -> None:
        self.store = store
        self._lines = lines
        self._read = 0
        self._clock = clock
        clock.time = 0.0

    def resync(self, *numbers: int, conditions: tuple[str, ...] = (), now: float = 0.0, complete: bool = True) -> None:
        """A resync lists these CSRs."""
        self.resync_begins()
        self.resync_page(*numbers, conditions=conditions, now=now)
        self.resync_ends(complete=complete)

    def resync_begins(self) -> None:
        """A resync begins."""
        self.store.resync_begins()

    def resync_page(
        self, *numbers: int, conditions: tuple[str, ...] = (), unread: tuple[int, ...] = (), now: float = 0.0
    ) -> None:
        """A page of a resync shows these CSRs."""
        self._clock.time = now
        self.store.resynced(_seen(*numbers, conditions=conditions), unread=[reference(n).uid for n in unread])

    def resync_ends(self, *, complete: bool = True) -> None:
        """A resync ends; absences are another test's matter."""
        everything = {reference(number).uid for number in range(100)}
        self.store.resync_ends({SIGNER: everything} if complete else {}, since=0.0)

    def listed(self, *numbers: int, unread: tuple[int, ...] = ()) -> None:
        """The reflector lists these CSRs, and nothing else."""
        seen = [dataclasses.replace(each, is_new=True) for each in _seen(*numbers)]
        self.store.watched(seen, unread=[reference(number).uid for number in unread])
        self.store.relisted(SIGNER, {reference(number).uid for number in (*numbers, *unread)}, since=0.0)

    def added(self, *numbers: int) -> None:
        """The watch shows these CSRs for the first time."""
        self.store.watched([dataclasses.replace(seen, is_new=True) for seen in _seen(*numbers)])

    def modified(self, number: int, *conditions: str) -> None:
        """The watch shows a change of a CSR."""
        self.store.watched(_seen(number, conditions=conditions))

    def missed(self, up_to_date: float = float("-inf")) -> list[int]:
        """What the watch missed, if it had shown everything at that time."""
        self.store.count_missed({SIGNER: up_to_date})
        lines = self._lines()[self._read :]
        self._read += len(lines)
        assert {line["message"] for line in lines} <= {"the watch missed a CSR that the resync found"}
        return [int(str(line["uid"])[:8]) for line in lines]


def _seen(*numbers: int, conditions: tuple[str, ...] = ()) -> list[Seen]:
    return [csr.from_api(csr_document(number, *conditions)) for number in numbers]


@contextmanager
def _world(stages: frozenset[Stage], queue: WorkQueue | None = None) -> Iterator[World]:
    with captured_log() as (log, lines):
        clock = VirtualClock()
        store, _ = core(log, Metrics(), clock, queue=queue, stages=stages)
        yield World(store, clock, lines)


@pytest.fixture
def world() -> Iterator[World]:
    """The exporter sends both stages."""
    with _world(ALL) as it:
        yield it


@pytest.fixture(params=[ALL, frozenset({Stage.APPROVED})], ids=["both stages", "approved only"])
def either(request: pytest.FixtureRequest) -> Iterator[World]:
    """The exporter sends both stages, or approved CSRs only."""
    with _world(request.param) as it:
        yield it


def test_a_csr_that_an_up_to_date_watch_has_not_shown_is_missed(world: World) -> None:
    """Not before the grace period ends, however often a resync lists it, and once."""
    world.resync(1, now=0.0)
    world.resync(1, now=50.0)
    assert world.missed(GRACE - 0.1) == []
    assert world.missed(GRACE) == [1]
    world.resync(1, now=100.0)
    assert world.missed(1000.0) == []


def test_a_watch_that_is_not_up_to_date_has_missed_nothing(world: World) -> None:
    """While the reflector waits to try again, or its connection is half open, time alone proves nothing."""
    for hour in range(10):
        world.resync(1, 2, now=3600.0 * hour)
    assert world.missed(0.0) == []


def test_a_watch_that_shows_the_creation_late_has_not_missed_it(world: World) -> None:
    """The resync was ahead of the watch."""
    world.resync(1)
    world.added(1)
    assert world.missed(LATE) == []


def test_a_watch_that_shows_only_a_change_has_missed_the_creation(world: World) -> None:
    """The function approves and issues what the resync added; that must not hide that the watch missed it."""
    world.resync(1, 2, 3)
    world.modified(1)
    world.modified(2, "Approved")
    world.modified(3, "Failed")
    world.modified(4)
    assert world.missed() == [1, 2, 3]


def test_a_watch_that_does_not_show_an_approval_has_missed_it(either: World) -> None:
    """It shows the end without the approval, or is up to date without it."""
    either.added(1, 2, 3, 4)
    either.resync(1, 2, 3, conditions=("Approved",))
    for conditions in ((), ("Approved",), ("Approved", "Failed")):
        either.modified(1, *conditions)
    either.modified(2, "Approved", "Failed")
    assert either.missed() == [2]
    assert either.missed(LATE) == [3]
    either.resync(1, 3, conditions=("Approved",), now=LATE)
    assert 3 not in either.missed(3 * LATE)


def test_a_watch_that_shows_creation_and_approval_late_has_not_missed_them(either: World) -> None:
    """It shows one after the other. If the approval does not come, the watch has missed it."""
    either.resync(1, 2, conditions=("Approved",))
    either.added(1, 2)
    either.modified(1, "Approved")
    assert either.missed(LATE) == [2]


def test_a_watch_that_begins_after_another_list_has_missed_nothing(world: World) -> None:
    """The reflector's list shows what there is; what it does not show is gone."""
    world.resync(1, 2)
    world.listed(1)
    world.modified(1)
    assert world.missed(LATE) == []


def test_a_resync_that_overlaps_the_reflectors_list_proves_nothing(world: World) -> None:
    """A CSR of its older pages may be gone already, so that no watch shows it. The next resync counts again."""
    world.resync_begins()
    world.listed()
    world.resync_page(1)
    world.resync_ends()
    assert world.missed(LATE) == []
    world.resync(2, now=LATE)
    assert world.missed(3 * LATE) == [2]


@pytest.mark.parametrize(
    "show",
    [
        lambda world: world.listed(1),
        lambda world: world.listed(unread=(1,)),
        lambda world: world.added(1),
        lambda world: world.modified(1),
    ],
    ids=["list", "too large in the list", "creation", "change"],
)
@pytest.mark.parametrize("complete", [True, False])
def test_what_the_watch_showed_is_never_missed(show: Callable[[World], None], world: World, *, complete: bool) -> None:
    """However many resyncs follow, complete or not."""
    show(world)
    for number in range(3):
        world.resync(1, now=float(number), complete=complete)
    assert world.missed(LATE) == []


def test_a_csr_that_could_not_be_read_for_a_while_is_not_missed(world: World) -> None:
    """It grew too large and shrank again, in the reflector's list or in the resyncs."""
    world.listed(unread=(1,))
    for _ in range(3):
        world.resync_begins()
        world.resync_page(unread=(1,))
        world.resync_ends()
    world.resync(1)
    assert world.missed(LATE) == []


FULL = [reference(number, pod=number) for number in range(10, 14)]
"""Fill a queue of four."""
SHARE = [reference(number, pod=1) for number in range(10, 10 + RateLimit().most_held)]
"""Are all that a queue holds of the pod that filed CSR 1."""


@pytest.mark.parametrize("held", [FULL, SHARE], ids=["full queue", "requester's share"])
@pytest.mark.parametrize("resyncs", [(), (False,), (True,)], ids=["at once", "after a broken resync", "after a resync"])
def test_what_exceeded_the_capacity_is_not_missed(held: list[Reference], resyncs: tuple[bool, ...]) -> None:
    """The watch showed it, and a later resync adds it. After a whole resync without it, it counts again."""
    queue = WorkQueue(most=4 if held is FULL else 1000)
    for it in held:
        queue.see(it, Stage.PENDING, now=0.0)
    with _world(ALL, queue) as world:
        world.added(1)
        assert reference(1).uid not in queue
        for complete in resyncs:
            world.resync(complete=complete)
        for it in held:
            queue.see(it, None, now=0.0)
        world.resync(1)
        assert reference(1).uid in queue
        assert world.missed(LATE) == ([1] if True in resyncs else [])


def test_a_csr_for_which_nothing_is_left_to_do_is_not_missed(world: World) -> None:
    """The exporter would have sent nothing."""
    world.resync(1, conditions=("Denied",))
    assert world.missed(LATE) == []
