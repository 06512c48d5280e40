"""Row 30 in the small: kill -9 at any point of the loop, in a world that goes on, with time turned by hand.

What is lost with the process is exactly `Work`; the next one begins with a list. So a kill is a new `Work` here, and
after every step the invariant must hold: whatever may still get a certificate is known, or about to be shown.
"""

from __future__ import annotations

import random

import pytest

from csr_exporter.answer import Answer, Verdict
from csr_exporter.budget import Limits
from csr_exporter.csr import Stage
from csr_exporter.work import Parcel, Work
from tests.exporter.support import reference

CSRS = 25
KILLS = 10
LIMITS = Limits(burst=1000, seconds=1.0)


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
        self.work = Work(limits=LIMITS, chance=self.chance.random)
        self.in_flight: list[Parcel] = []
        for number, stage in self.stages.items():
            self.work.see(reference(number), stage, now=self.now)
        self.read = len(self.history)

    def kill(self) -> None:
        """It dies; of what was in flight some has reached the function."""
        self.kills += 1
        for parcel in self.in_flight:
            if self.chance.random() < 0.5:
                self.process(parcel)
        self.start()

    def change(self, number: int, stage: Stage | None) -> None:
        """Something happens to a CSR."""
        self.stages[number] = stage
        self.history.append((number, stage))

    def process(self, parcel: Parcel) -> None:
        """The function does its work, for a CSR that is still there to be signed."""
        number = int(parcel.reference.uid[:8])
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
            self.work.see(reference(number), stage, now=self.now)

    def send(self) -> None:
        """What is due is sent."""
        parcel = self.work.take(self.now)
        if parcel is not None:
            self.in_flight.append(parcel)

    def answer(self) -> None:
        """The function answers, having worked or not, and its answer arrives or not."""
        if not self.in_flight:
            return
        parcel = self.in_flight.pop(self.chance.randrange(len(self.in_flight)))
        verdict = self.chance.choice([Verdict.ACKNOWLEDGED, Verdict.ACKNOWLEDGED, Verdict.SLOW, Verdict.LATER])
        if self.chance.random() < 0.7:
            self.process(parcel)
        self.work.settle(parcel, Answer(verdict=verdict), now=self.now)

    def step(self) -> None:
        """One of the above, or time passes."""
        self.chance.choice([self.meddle, self.watch, self.watch, self.send, self.answer, self.sleep])()
        self.check()

    def sleep(self) -> None:
        """Until something is due, or for a while."""
        due = self.work.next_due()
        self.now = max(self.now, due if due is not None and self.chance.random() < 0.5 else self.now + 1)

    def check(self) -> None:
        """The invariant."""
        unread = {number for number, _ in self.history[self.read :]}
        for number, stage in self.stages.items():
            assert stage is None or number in unread or reference(number).uid in self.work


@pytest.mark.parametrize("seed", range(100))
def test_row_30_a_kill_at_any_point_loses_nothing(seed: int) -> None:
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
