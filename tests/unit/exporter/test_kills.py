"""A kill -9 at any point of the loop, while CSRs come and go, on a virtual clock.

A process loses exactly its work queue; the next one begins with a list. So a kill is a new `WorkQueue`. After each step
the invariant must hold: each CSR that may still get a certificate is known, or about to be shown.
"""

import random

import pytest

from csr_exporter.csr import Stage
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue
from tests.unit.exporter.support import reference

CSRS = 25
KILLS = 10
LIMITS = RateLimit(burst=1000, seconds=1.0)


class World:
    """The API server's state and history, the function's doing, and one exporter that is killed now and then."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.now = 0.0
        self.stages: dict[int, Stage | None] = {}
        self.history: list[tuple[int, Stage | None]] = []
        self.kills = 0
        self.start()

    def start(self) -> None:
        """A process starts: it knows nothing, lists, and watches from there."""
        self.queue = WorkQueue(rate_limit=LIMITS, chance=self.chance.random)
        self.in_flight: list[WorkItem] = []
        for number, stage in self.stages.items():
            self.queue.see(reference(number), stage, now=self.now)
        self.read = len(self.history)

    def kill(self) -> None:
        """It dies; of what was in flight some has reached the function."""
        self.kills += 1
        for item in self.in_flight:
            if self.chance.random() < 0.5:
                self.process(item)
        self.start()

    def change(self, number: int, stage: Stage | None) -> None:
        """Something happens to a CSR."""
        self.stages[number] = stage
        self.history.append((number, stage))

    def process(self, item: WorkItem) -> None:
        """The function does its work, for a CSR that is still there to be signed."""
        number = int(item.reference.uid[:8])
        if self.stages[number] is not None:
            self.change(number, None)

    def meddle(self) -> None:
        """A CSR is filed, approved by somebody else, or deleted."""
        number = len(self.stages)
        known = [number for number, stage in self.stages.items() if stage is Stage.PENDING]
        if number < CSRS and self.chance.random() < 0.7:
            self.change(number, self.chance.choice(list(Stage)))
        elif known:
            self.change(self.chance.choice(known), self.chance.choice([Stage.APPROVED, None]))

    def watch(self) -> None:
        """The reader gets the next line."""
        if self.read < len(self.history):
            number, stage = self.history[self.read]
            self.read += 1
            self.queue.see(reference(number), stage, now=self.now)

    def send(self) -> None:
        """What is due is sent."""
        item = self.queue.take(self.now)
        if item is not None:
            self.in_flight.append(item)

    def answer(self) -> None:
        """The function answers, having worked or not, and its answer arrives or not."""
        if not self.in_flight:
            return
        item = self.in_flight.pop(self.chance.randrange(len(self.in_flight)))
        verdict = self.chance.choice([Verdict.ACKNOWLEDGED, Verdict.ACKNOWLEDGED, Verdict.SLOW, Verdict.LATER])
        if self.chance.random() < 0.7:
            self.process(item)
        self.queue.settle(item, Answer(verdict=verdict), now=self.now)

    def step(self) -> None:
        """One of the above, or time passes."""
        self.chance.choice([self.meddle, self.watch, self.watch, self.send, self.answer, self.sleep])()
        self.check()

    def sleep(self) -> None:
        """Until something is due, or for a while."""
        due = self.queue.next_due()
        self.now = max(self.now, due if due is not None and self.chance.random() < 0.5 else self.now + 1)

    def check(self) -> None:
        """The invariant."""
        unread = {number for number, _ in self.history[self.read :]}
        for number, stage in self.stages.items():
            assert stage is None or number in unread or reference(number).uid in self.queue


@pytest.mark.parametrize("seed", range(100))
def test_a_kill_at_any_point_loses_nothing(seed: int) -> None:
    """A hundred worlds, ten kills each: the invariant holds throughout, and in the end every CSR has ended."""
    world = World(seed)
    while world.kills < KILLS:
        for _ in range(world.chance.randrange(40)):
            world.step()
        world.kill()
        world.check()
    while any(world.stages.values()) or len(world.stages) < CSRS:
        world.step()
        assert world.now < 1_000_000
    assert len(world.stages) == CSRS
