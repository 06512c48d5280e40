"""The delivery mode: exporters' cores and a function that is a table of answers, on a clock that jumps to what is next.

Thousands of CSRs take a second. A scenario says what happens when; `drawn` draws one from a seed, and `shortcomings`
says which guarantee of docs/architecture.md it broke.
"""

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from csr_exporter.csr import Reference, Stage, event_id
from csr_exporter.delivery.limiter import Limiter
from csr_exporter.delivery.scheduler import Scheduler
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue
from tests.unit.exporter.support import reference

ISSUED = Answer(verdict=Verdict.ACKNOWLEDGED, status=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event that an exporter sent.

    Attributes:
        at, ends_at: when it was sent, and when it is answered.
        number: the CSR's.
        id: the event's.
        process: of the exporter, counted from 0.
    """

    at: float
    ends_at: float
    number: int
    id: str
    item: WorkItem
    answer: Answer
    replica: int
    process: int


class Delivery:
    """Any number of replicas; `function` says what answers an event, and after how many seconds.

    A CSR whose event is acknowledged shows its certificate at once, unless `issues` is False.

    Attributes:
        now: the time.
        queues: each replica's work queue.
        sent: all events, oldest first.
        issued: when each CSR got its certificate.
        paused: seconds by which the replicas prolonged their pauses, by reason.
        frozen: replicas that neither see, send nor hear anything.
        answered: what happens besides when an event is answered.
    """

    def __init__(
        self,
        *queues: Callable[[], WorkQueue],
        function: Callable[[WorkItem, float], tuple[float, Answer]] = lambda _item, _now: (0.08, ISSUED),
        issues: bool = True,
    ) -> None:
        self.now = 0.0
        self.sent: list[Sent] = []
        self.issued: dict[int, float] = {}
        self.paused: defaultdict[str, float] = defaultdict(float)
        self.frozen: set[int] = set()
        self.answered: Callable[[Sent], None] = lambda _sent: None
        self._new = queues or (partial(WorkQueue, chance=lambda: 0.5),)
        self._missed: dict[int, list[Callable[[], None]]] = {}
        self._function = function
        self._issues = issues
        self._shown: dict[str, tuple[Reference, Stage]] = {}  # the CSRs that may still get a certificate
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.queues: list[WorkQueue] = []
        self.limiters: list[Limiter] = []
        self.schedulers: list[Scheduler] = []
        self._processes: list[int] = []
        for replica in range(len(self._new)):
            self._start(replica)

    @property
    def ids(self) -> Counter[str]:
        """How often each event was sent."""
        return Counter(each.id for each in self.sent)

    @property
    def numbers(self) -> Counter[int]:
        """How many events each CSR caused."""
        return Counter(each.number for each in self.sent)

    def timeline(self) -> list[tuple[float, str, str]]:
        """Returns time, who and what of each event and certificate, for people."""
        lines = list[tuple[float, str, str]]()
        for each in self.sent:
            answer = f"{each.answer.status or each.answer.verdict.value} after {each.ends_at - each.at:.2f} s"
            what = f"sends csr{each.number}, attempt {each.item.attempt}: the answer is {answer}"
            lines.append((each.at, f"exporter {each.process}", what))
        lines.extend((at, "function", f"issues csr{number}") for number, at in self.issued.items())
        return sorted(lines)

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Does something when that time has come."""
        heapq.heappush(self._agenda, (time, next(self._order), action))

    def create(self, number: int, *, stage: Stage = Stage.APPROVED, pod: int | None = None) -> None:
        """A CSR appears now."""
        self.show(reference(number, pod=pod), stage)

    def end(self, number: int, *, pod: int | None = None) -> None:
        """A CSR is deleted now."""
        self.show(reference(number, pod=pod), None)

    def show(self, it: Reference, stage: Stage | None) -> None:
        """Every replica sees a CSR so; a frozen one when it goes on."""
        self._shown.pop(it.uid, None)
        if stage is not None:
            self._shown[it.uid] = it, stage
        for replica in range(len(self.queues)):
            self._unless_frozen(replica, partial(self._see, replica, it, stage))

    def thaw(self, replica: int) -> None:
        """A frozen replica goes on, with all that it has not heard."""
        self.frozen.discard(replica)
        for action in self._missed.pop(replica, []):
            action()

    def kill(self, replica: int) -> None:
        """A replica is killed, and starts again with a list. It loses its whole state, and never hears the answers."""
        self.frozen.discard(replica)
        self._missed.pop(replica, None)
        self._start(replica)
        for it, stage in self._shown.values():
            self._see(replica, it, stage)

    def refill(self, replica: int) -> None:
        """A replica looks whether its full queue has capacity again, and lists again if it has."""
        if replica not in self.frozen and self.queues[replica].capacity_returned():
            for it, stage in self._shown.values():
                self._see(replica, it, stage)

    def run(self, until: float) -> None:
        """Lets the time pass."""
        while True:
            for replica in range(len(self.queues)):
                self._send(replica)
            following = min([*self._pauses(), *(each[0] for each in self._agenda[:1])], default=until)
            if following >= until:
                self.now = until
                return
            self.now = max(self.now, following)
            while self._agenda and self._agenda[0][0] <= self.now:
                heapq.heappop(self._agenda)[2]()

    def _start(self, replica: int) -> None:
        place, queue, limiter = slice(replica, replica + 1), self._new[replica](), Limiter()
        self.queues[place], self.limiters[place], self.schedulers[place] = (
            [queue],
            [limiter],
            [Scheduler(queue, limiter)],
        )
        self._processes[place] = [max(self._processes, default=-1) + 1]

    def _pauses(self) -> list[float]:
        pauses = [each.pause(self.now) for number, each in enumerate(self.schedulers) if number not in self.frozen]
        # At least a millisecond: a pause that leads nowhere must not stop the clock.
        return [self.now + max(0.001, pause) for pause in pauses if pause is not None]

    def _send(self, replica: int) -> None:
        while replica not in self.frozen and (item := self.schedulers[replica].take(self.now)) is not None:
            number = int(item.reference.uid[:8])
            seconds, answer = self._function(item, self.now)
            sent = Sent(
                at=self.now,
                ends_at=self.now + seconds,
                number=number,
                id=event_id(item.reference.uid, item.stage, item.resend),
                item=item,
                answer=answer,
                replica=replica,
                process=self._processes[replica],
            )
            self.sent.append(sent)
            self.at(sent.ends_at, partial(self._answered, sent))

    def _answered(self, sent: Sent) -> None:
        if sent.process == self._processes[sent.replica]:
            self._unless_frozen(sent.replica, partial(self._settle, sent))
        if self._issues and sent.answer.verdict is Verdict.ACKNOWLEDGED:
            self.issued.setdefault(sent.number, self.now)
            self.show(sent.item.reference, None)
        self.answered(sent)

    def _settle(self, sent: Sent) -> None:
        paused = self.schedulers[sent.replica].settle(sent.item, sent.answer, now=self.now)
        self.paused[sent.answer.verdict.value] += paused

    def _see(self, replica: int, it: Reference, stage: Stage | None) -> None:
        self.queues[replica].see(it, stage, now=self.now)

    def _unless_frozen(self, replica: int, action: Callable[[], None]) -> None:
        if replica in self.frozen:
            self._missed.setdefault(replica, []).append(action)
        else:
            action()
