"""The function: processes around the real pipeline, whose ports are models, and which can be killed at each call."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from csr_signer.audit import fault
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.configuration.schema import Authentication, ClusterConfiguration
from csr_signer.errors import ShutdownError, SignerError, unexpected
from csr_signer.events import cloud_event
from csr_signer.events.reference import RequestReference
from csr_signer.pipeline import Pipeline
from csr_signer.shutdown import GRACE_SECONDS
from tests.simulation.history import Killed
from tests.simulation.loop import InlineExecutor
from tests.simulation.ports import SimulatedAudit, SimulatedCluster, SimulatedKey
from tests.simulation.trouble import NONE, OUTLASTS, TROUBLES, Trouble
from tests.unit.function import builders
from tests.unit.function.asgi import request as asgi_request

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
SOURCE: Final = "//container.googleapis.com/projects/p/locations/l/clusters/c"
CLUSTERS: Final = {builders.CLUSTER: ClusterConfiguration(source=SOURCE, authentication=Authentication(kubeconfig="k"))}


class Function:
    """One process of the function.

    Attributes:
        name: which one.
        is_dead: whether it was killed; then no call of its ports has an effect.
    """

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name, self.is_dead = world, name, False
        self.chance = random.Random(f"{world.plan.seed} {name}")  # noqa: S311 - no secret
        drift = world.plan.drift
        self._rate = 1 + self.chance.uniform(-drift, drift)
        self._offset = self.chance.uniform(-100 * drift, 100 * drift)
        self._tasks: dict[asyncio.Task[Response], None] = {}  # in order
        self._stops = False
        self._audit = SimulatedAudit(self)
        signers = world.signers()
        cluster = SimulatedCluster(self)
        self._pipeline = Pipeline(
            clusters={builders.CLUSTER: cluster},
            signers=signers,
            keys={name: SimulatedKey(self) for name in signers},
            audit=self._audit,
            limiter=ConcurrencyLimiter(clusters=1, concurrency=world.plan.concurrency),
            threads=InlineExecutor(),
            clock=lambda: self._offset + self._rate * world.loop.time(),
        )

    def now(self) -> datetime:
        """Returns the time of the process's clock."""
        return builders.CREATED + timedelta(seconds=self._offset + self._rate * self.world.loop.time())

    async def serve(self, body: bytes, content_type: str) -> Response:
        """Answers an event; if the process is killed meanwhile, Cloud Run answers 503."""
        request = asgi_request(body, content_type=content_type)
        task = self.world.loop.create_task(self._respond(request))
        self._tasks[task] = None
        await asyncio.wait((task,))
        del self._tasks[task]
        return Response(status_code=503) if task.cancelled() else task.result()

    async def _respond(self, request: Request) -> Response:
        """Does what `service.Service.respond` and `shutdown.Shutdown` do."""
        reference: RequestReference | None = None
        try:
            self._expect_running()
            reference = await cloud_event.receive(request, CLUSTERS)
            return cloud_event.answer(await self._pipeline.process(reference, self.now()))
        except asyncio.CancelledError:
            if self.is_dead:
                raise
            return await self._fault(ShutdownError("the shutdown interrupted the request"), reference)
        except SignerError as error:
            return await self._fault(error, reference)
        except Exception as error:  # noqa: BLE001 - as the service
            return await self._fault(unexpected(error), reference)

    def _expect_running(self) -> None:
        if self._stops:
            raise ShutdownError("the function is shutting down")

    async def _fault(self, error: SignerError, reference: RequestReference | None) -> Response:
        record = fault(error, csr_uid="", event_id="")
        if reference is not None:
            record = fault(error, csr_uid=reference.uid, event_id=reference.event_id, cluster=reference.cluster)
        try:
            await self._audit.record(record)
        except SignerError as failure:
            return cloud_event.answer_fault(failure)
        return cloud_event.answer_fault(error)

    def kill(self) -> None:
        """Ends the process without warning: no task of it does anything more."""
        if self.is_dead:
            return
        self.is_dead = True
        self.world.history.kills.append(Killed(at=self.world.loop.time(), process=self.name))
        self.world.tell(self.name, "is killed")
        self._cancel()
        self.world.replace_function(self)

    def stop(self) -> None:
        """Ends the process with SIGTERM; with SIGKILL if its requests do not end within two seconds after its grace."""
        if self._stops:
            return
        self._stops = True
        self.world.tell(self.name, "is stopped")
        self.world.replace_function(self)
        self.world.loop.call_later(GRACE_SECONDS, self._cancel)
        self.world.loop.call_later(GRACE_SECONDS + 2, self._end)

    def _end(self) -> None:
        if self._tasks:
            self.kill()
        self.is_dead = True

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def call(
        self,
        site: str,
        act: Callable[[], T],
        *,
        trouble: Trouble | None = None,
        deletes: Callable[[], object] | None = None,
    ) -> T:
        """Calls a server: `act` happens there, whether or not the caller still waits.

        Args:
            site: of the plan's faults.
            act: what the server does; it may raise SignerError.
            trouble: what goes wrong, in place of the plan's fault.
            deletes: what the CSR's requester does just before, if the fault is `gone`.
        """
        wrong = "" if self.is_dead else self.world.troubles.at("function")
        if wrong == "killed before":
            self.kill()
        elif wrong in ("stopped", "stopped late"):
            self.stop()
        if self.is_dead:
            raise asyncio.CancelledError
        what = self.world.troubles.at(site)
        if what:
            self.world.tell(self.name, f"calls {site}: {what}")
        if what == "gone" and deletes is not None:
            deletes()
        if trouble is None:
            usual = NONE if what in {"", "gone"} else TROUBLES[site][what]
            trouble = OUTLASTS if wrong == "stopped late" else usual
        result = await self._answer(act, trouble)
        if wrong == "killed after":
            self.kill()
            raise asyncio.CancelledError
        return result

    def _answer(self, act: Callable[[], T], trouble: Trouble) -> asyncio.Future[T]:
        """Returns the answer to come."""
        loop, answer, results = self.world.loop, self.world.loop.create_future(), list[T | SignerError]()

        def arrive() -> None:
            try:
                results.append(act())
            except SignerError as error:
                results.append(error)

        def settle() -> None:
            if answer.done():  # the caller has gone
                return
            result = results[0] if trouble.error is None else trouble.error()
            if isinstance(result, SignerError):
                answer.set_exception(result)
            else:
                answer.set_result(result[::-1] if trouble.spoils and isinstance(result, bytes) else result)

        going, coming = self.chance.uniform(0.001, 0.03), self.chance.uniform(0.001, 0.03)
        if trouble.acts_after is not None:
            loop.call_later(going + trouble.acts_after, arrive)
        loop.call_later(going + coming + trouble.answers_after, settle)
        return answer
