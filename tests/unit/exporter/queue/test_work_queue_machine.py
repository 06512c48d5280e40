"""Whatever happens in whatever order: no CSR that may still get a certificate is lost, none is sent twice at once."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from csr_exporter.csr import Stage
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.delivery.scheduler import Scheduler
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.item import Change, WorkItem
from csr_exporter.queue.replicas import Replicas
from csr_exporter.queue.retry_policy import LONGEST_FULFILMENT, POISON_RETRY, Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue
from tests.unit.exporter.support import SIGNER, reference

NUMBERS = st.integers(0, 9)
ANSWERS = st.builds(
    Answer,
    verdict=st.sampled_from(Verdict),
    status=st.sampled_from([None, 200, 425, 429, 503]),
    retry_after=st.sampled_from([None, 0.0, 2.0, 300.0]),
)


class Machine(RuleBasedStateMachine):
    """Ten CSRs of three pods, one of two replicas, and a budget that is soon spent."""

    def __init__(self) -> None:
        super().__init__()
        rate_limit = RateLimit(burst=2, seconds=600)
        self.queue = WorkQueue(rate_limit=rate_limit, replicas=Replicas(count=2, ordinal=0), most=8, chance=lambda: 0.5)
        self.scheduler = Scheduler(self.queue, Limiter())
        self.now = 0.0
        self.alive: set[int] = set()
        self.under_way: list[WorkItem] = []

    @rule(number=NUMBERS, stage=st.sampled_from([Stage.PENDING, Stage.APPROVED, None]))
    def see(self, number: int, stage: Stage | None) -> None:
        """The watch or a list shows a CSR."""
        change = self.queue.see(reference(number, pod=number % 3), stage, now=self.now)
        if change in {Change.ADDED, Change.THROTTLED}:
            self.alive.add(number)
        elif change is Change.ENDED:
            self.alive.remove(number)

    @rule(numbers=st.sets(NUMBERS), certain=st.booleans(), ago=st.sampled_from([0.0, 50.0]))
    def list_shows(self, numbers: set[int], certain: bool, ago: float) -> None:  # noqa: FBT001 - hypothesis calls it
        """A list is complete, and shows only these."""
        uids = {reference(number).uid for number in numbers}
        self.queue.end_absent(SIGNER, uids, since=self.now - ago, certain=certain)
        self.alive = {number for number in self.alive if reference(number).uid in self.queue}

    @rule(seconds=st.sampled_from([0.0, 0.7, 10.0, 70.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.now += seconds

    @rule()
    def take(self) -> None:
        """Everything that may be sent now is."""
        while (item := self.scheduler.take(self.now)) is not None:
            number = int(item.reference.uid[:8])
            assert number in self.alive
            assert item.reference.uid not in {each.reference.uid for each in self.under_way}
            self.under_way.append(item)
        pause = self.scheduler.pause(self.now)
        assert pause is None or pause > 0.0, "the loop would turn without end"

    @precondition(lambda self: self.under_way)
    @rule(place=st.integers(0, 9), answer=ANSWERS)
    def answered(self, place: int, answer: Answer) -> None:
        """One of the events under way is answered."""
        item = self.under_way.pop(place % len(self.under_way))
        self.scheduler.settle(item, answer, now=self.now)

    @invariant()
    def holds_what_is_alive(self) -> None:
        """Neither more nor less."""
        assert len(self.queue) == len(self.alive) <= 8
        assert sum(self.queue.pending().values()) == len(self.alive)

    def teardown(self) -> None:
        """In the end all that is alive is sent: no entry has fallen between the queues."""
        acknowledged = Answer(verdict=Verdict.ACKNOWLEDGED, status=200)
        while self.under_way:
            self.scheduler.settle(self.under_way.pop(), acknowledged, now=self.now)
        sent: set[int] = set()
        for _ in range(40):
            self.now += max(POISON_RETRY, LONGEST_FULFILMENT)
            while (item := self.scheduler.take(self.now)) is not None:
                sent.add(int(item.reference.uid[:8]))
                self.scheduler.settle(item, acknowledged, now=self.now)
        assert sent == self.alive


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
