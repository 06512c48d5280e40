"""One world: the real pipeline and the real exporter core around modelled ports, in virtual time.

All that is random comes from the plan, or from streams of the plan's seed, one for each party. So a seed gives one
history, and leaving out an element of the plan changes nothing that comes before it.
"""

import asyncio
import json
import random
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from csr_signer.errors import ItemError
from csr_signer.policy.signer import Signer
from tests.simulation import requesters
from tests.simulation.api_server import ApiServer
from tests.simulation.drawing import draw
from tests.simulation.exporter import Exporter
from tests.simulation.function import Function
from tests.simulation.history import Due, Filed, History
from tests.simulation.loop import VirtualLoop
from tests.simulation.plan import REPLICAS, Acts, Files, Happens, Plan
from tests.simulation.requesters import Csr
from tests.simulation.trouble import Troubles
from tests.unit.function import builders

SETTLES: Final = 7200.0
"""Seconds that the world goes on without faults."""
HANGS: Final = 600.0
"""Seconds that a CSR whose calls hang goes on existing without faults."""
VISIBLE_AFTER: Final = 4.0
"""Seconds until a node shows its first address, and then the second one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a plan led to.

    Attributes:
        history: what the checker reads.
        timeline: time, who, what; for people.
        met: how often each kind of fault happened.
        names: the timeline's name of each uid.
    """

    history: History
    timeline: list[tuple[float, str, str]]
    met: Counter[str]
    names: Mapping[str, str]


def run(seed: int) -> History:
    """Returns the history of a seed."""
    return simulate(draw(seed)).history


def simulate(plan: Plan) -> Run:
    """Runs a world until all has had time to settle."""
    loop = VirtualLoop()
    try:
        world = World(plan, loop)
        loop.run_until_complete(world.live())
        return Run(history=world.history, timeline=world.timeline, met=world.troubles.met, names=world.names)
    finally:
        loop.close()


class World:
    """All parties of one plan.

    Attributes:
        plan, loop, troubles, api_server: see there.
        history, timeline, names: see `Run`.
    """

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        self.plan, self.loop, self.history = plan, loop, History(authority=builders.authority().pem)
        self.timeline: list[tuple[float, str, str]] = []
        self.troubles = Troubles(plan, loop)
        self.api_server = ApiServer(loop, self.history)
        self._csrs = {each.csr: requesters.make(plan, each) for each in plan.elements if isinstance(each, Files)}
        self.names = {csr.document["metadata"]["uid"]: f"csr{number}" for number, csr in self._csrs.items()}
        self._chance = random.Random(f"{plan.seed} world")  # noqa: S311 - no secret
        self._configuration = 0
        self._functions: list[Function] = []
        self._exporters: list[Exporter] = []
        self._gone: set[int] = set()  # pods
        self._arrived: dict[int, float] = {}  # pods
        self._numbers: Counter[int] = Counter()
        self._kept: set[asyncio.Task[Any]] = set()
        self._end: asyncio.Future[None] = loop.create_future()

    async def live(self) -> None:
        """Lets everything happen."""
        self._functions = [Function(self, f"function-{each}.0") for each in range(self.plan.instances)]
        for ordinal in range(REPLICAS):
            self.start_exporter(ordinal, 0)
        for element in self.plan.elements:
            if isinstance(element, Files):
                self.loop.call_at(element.at, self._file, self._csrs[element.csr])
            elif isinstance(element, Acts):
                self.loop.call_at(element.at, self._act, element)
            elif isinstance(element, Happens):
                self.loop.call_at(element.at, self._happen, element.what)
        last = max((each.at for each in self.plan.elements if isinstance(each, Files | Acts)), default=0.0)
        self.loop.call_at(max(self.plan.trouble, last) + SETTLES, self._end.set_result, None)
        await self._end
        self.history.ended_at = self.loop.time()
        for task in (tasks := asyncio.all_tasks() - {asyncio.current_task()}):
            task.cancel()
        for function in self._functions:
            function.is_dead = True
        await asyncio.gather(*tasks, return_exceptions=True)

    def signers(self) -> dict[tuple[str, str], Signer]:
        """Returns the signers of the present configuration."""
        plan, configuration = self.plan, self._configuration
        profile = builders.certifying_addresses() if plan.addresses else builders.calico()
        return {
            (builders.CLUSTER, name): builders.make_signer(
                signer_name=name,
                approve=plan.approves,
                profile=profile,
                lifetime=profile.lifetime.maximum / (1 + configuration),
                configuration_digest=str(configuration) * 64,
            )
            for name in requesters.SIGNERS[: plan.signers]
        }

    def route(self, chance: random.Random) -> Function:
        """Returns the process that gets the next event."""
        return chance.choice(self._functions)

    def replace_function(self, old: Function) -> None:
        """Starts another process in place of one that ends."""
        if old in self._functions:
            place = self._functions.index(old)
            self._numbers[place] += 1
            self._functions[place] = Function(self, f"function-{place}.{self._numbers[place]}")

    def start_exporter(self, ordinal: int, number: int) -> None:
        """Starts a process of the exporter."""
        self._exporters.append(Exporter(self, ordinal, number))

    def pod(self, namespace: str, name: str) -> bytes | None:
        """Returns a pod as it is now.

        Raises:
            ItemError: the function has no right to read the pods of that namespace.
        """
        if namespace != requesters.NAMESPACE:
            raise ItemError("API server: 403")
        number = int(name[-5:])
        is_there = number in self._arrived and number not in self._gone
        return requesters.pod_document(number) if is_there else None

    def node(self, name: str) -> bytes | None:
        """Returns a node as it is now: it shows one address more every few seconds."""
        number = int(name.removeprefix("node-"))
        return requesters.node_document(number, int((self.loop.time() - self._arrived[number]) // VISIBLE_AFTER))

    def short(self, uid: str) -> str:
        """Returns a CSR's number in the plan, for the timeline."""
        return self.names.get(uid, uid)

    def tell(self, who: str, what: str) -> None:
        """Adds a line to the timeline."""
        self.timeline.append((self.loop.time(), who, what))

    def fail_with(self, task: asyncio.Task[Any]) -> None:
        """Ends the world if a task of it ended with an error: then the model is wrong."""
        if not task.cancelled() and (error := task.exception()) is not None and not self._end.done():
            self._end.set_exception(error)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keeps a task that belongs to no process until it ends."""
        self._kept.add(task)
        task.add_done_callback(self.fail_with)
        task.add_done_callback(self._kept.discard)

    def _file(self, csr: Csr) -> None:
        plan, document = self.plan, csr.document
        due = plan.due(csr.filed)
        filed = Filed(
            uid=document["metadata"]["uid"],
            name=csr.name,
            at=self.loop.time(),
            due=due,
            names=csr.names if due is Due.CERTIFICATE else frozenset(),
            within=plan.within(csr.filed, due),
            pod_gone_at=plan.pod_goes_at(csr.filed.pod),
        )
        self._arrived.setdefault(csr.filed.pod, self.loop.time())
        is_new = self.api_server.create(csr, filed)
        if csr.filed.kind == "hangs":  # each attempt costs time, and teaches nothing new
            uid, at = document["metadata"]["uid"], max(plan.trouble, self.loop.time()) + HANGS
            self.loop.call_at(at, self.api_server.delete, csr.name, uid)
        end = "" if is_new else ", but the name is taken"
        self.tell(f"pod{csr.filed.pod}", f"files csr{csr.filed.csr} ({csr.filed.kind}){end}")

    def _act(self, act: Acts) -> None:
        csr = self._csrs.get(act.csr)
        if csr is None:
            return
        self.tell("somebody", f"{act.does}: csr{act.csr}")
        uid = csr.document["metadata"]["uid"]
        if act.does == "removes its pod":
            self._gone.add(csr.filed.pod)
        elif act.does == "deletes":
            self.api_server.delete(csr.name, uid)
        elif act.does == "issues":
            self._issue(csr.name)
        elif (document := self.api_server.get(csr.name)) is not None:
            self._edit(json.loads(document), uid, act.does)

    def _edit(self, document: Mapping[str, Any], uid: str, does: str) -> None:
        """Changes conditions as an approver may, with times that it chooses."""
        metadata, conditions = document["metadata"], document["status"].get("conditions", [])
        types = {each["type"] for each in conditions}
        if metadata["uid"] != uid or (does == "denies" and types & {"Approved", "Denied"}):
            return
        year = self._chance.choice((1, 2026, 9999))
        times = dict.fromkeys(("lastUpdateTime", "lastTransitionTime"), f"{year:04}-01-01T00:00:00Z")
        new = {"approves": "Approved", "denies": "Denied", "edits": "Reviewed"}[does]
        changed = [each | times for each in conditions]
        if new not in types and not (new == "Approved" and "Denied" in types):
            changed.append({"type": new, "status": "True", "reason": "Other", "message": "", **times})
        self.api_server.patch(
            metadata["name"], uid, metadata["resourceVersion"], {"conditions": changed}, by="approver"
        )

    def _issue(self, name: str) -> None:
        """Writes a certificate of another CA, as another signer of the name may."""
        document = json.loads(self.api_server.get(name) or b"{}")
        if document and "certificate" not in document["status"]:
            metadata, status = document["metadata"], {"certificate": b64encode(builders.authority().pem).decode()}
            self.api_server.patch(name, metadata["uid"], metadata["resourceVersion"], status, by="other")

    def _happen(self, what: str) -> None:
        self.tell("cluster", what)
        if what == "compaction":
            self.api_server.compacted = self.api_server.version
            return
        self._configuration = 1
        self._functions[0].stop()
        for delay, function in enumerate(self._functions[1:], 1):
            self.loop.call_later(30.0 * delay, self._reconfigure, function)

    def _reconfigure(self, function: Function) -> None:
        if function in self._functions:
            function.stop()
