"""The function: processes around the real pipeline, whose ports are models, and which can be killed at each call."""

import asyncio
import base64
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.requests import Request
from starlette.responses import Response

from csr_signer.audit import Audit, AuditRecord, fault
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.ca.issuer import KmsPublicKey
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.configuration.schema import Authentication, ClusterConfiguration
from csr_signer.errors import AuditError, IntegrityError, ShutdownError, SignerError, UnavailableError, unexpected
from csr_signer.events import cloud_event
from csr_signer.events.reference import RequestReference
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms.key import FIRST_PAUSE, WRONG_ANSWERS, Attempts, Signature
from csr_signer.objects.csr import APPROVED, DENIED, FAILED, CertificateSigningRequest
from csr_signer.objects.event import Event
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.pipeline import Pipeline
from csr_signer.shutdown import GRACE_SECONDS
from tests.simulation.history import Killed, Recorded, Signing
from tests.simulation.loop import InlineExecutor
from tests.simulation.trouble import HANG, NONE, OUTLASTS, TROUBLES, Trouble
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
        """Ends the process with SIGTERM, and SIGKILL two seconds after its grace."""
        if self._stops:
            return
        self._stops = True
        self.world.tell(self.name, "is stopped")
        self.world.replace_function(self)
        self.world.loop.call_later(GRACE_SECONDS, self._cancel)
        self.world.loop.call_later(GRACE_SECONDS + 2, self.kill)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def call(self, site: str, act: Callable[[], T], *, trouble: Trouble | None = None) -> T:
        """Calls a server: `act` happens there, whether or not the caller still waits.

        Args:
            site: of the plan's faults.
            act: what the server does; it may raise SignerError.
            trouble: what goes wrong, in place of the plan's fault.
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
        if trouble is None:
            trouble = OUTLASTS if wrong == "stopped late" else TROUBLES[site].get(what, NONE)
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


class SimulatedAudit(Audit):
    """Writes records into the history."""

    def __init__(self, process: Function) -> None:
        self._process = process
        self._lines = process.world.history.records
        super().__init__(write=self._keep, clock=process.now)

    async def record(self, record: AuditRecord, *, trace_id: str = "") -> None:
        """Writes one record without a thread. A cancelled caller still waits for the write."""
        del trace_id
        process = self._process
        write = process.world.loop.create_task(self._record(record))
        write.add_done_callback(lambda done: done.cancelled() or done.exception())  # the caller may be killed
        try:
            await asyncio.shield(write)
        except asyncio.CancelledError:
            if process.is_dead:
                write.cancel()
                raise
            await asyncio.wait((write,))
            write.result()
            raise

    async def _record(self, record: AuditRecord) -> None:
        try:
            await self._process.call("audit", lambda: self.record_now(record))
        except AuditError:
            self._lines = self._process.world.history.unwritten
            self.record_now(record)
            self._lines = self._process.world.history.records
            raise

    def _keep(self, line: bytes) -> None:
        process, fields = self._process, json.loads(line)
        if process.is_dead:
            return
        world = process.world
        self._lines.append(Recorded(at=world.loop.time(), process=process.name, line=fields))
        world.tell(process.name, f"records {fields['event']} of {world.short(fields['csr_uid'])}: {fields['message']}")


class SimulatedCluster:
    """The port to the API server."""

    def __init__(self, process: Function) -> None:
        self._process, self._server = process, process.world.api_server

    async def get_csr(self, name: str) -> CertificateSigningRequest | None:
        """Reads a CSR."""
        document = await self._call("api.read", name, lambda: self._server.get(name))
        return None if document is None else CertificateSigningRequest.from_api(document, name=name)

    async def get_pod(self, identity: PodIdentity) -> Pod | None:
        """Reads a pod."""
        name, namespace = identity.pod_name, identity.namespace
        document = await self._call("api.read", "", lambda: self._process.world.pod(namespace, name))
        return None if document is None else Pod.from_api(document, name=name, namespace=namespace)

    async def get_node(self, name: str) -> Node | None:
        """Reads a node."""
        document = await self._call("api.read", "", lambda: self._process.world.node(name))
        return None if document is None else Node.from_api(document, name=name)

    async def approve(self, csr: CertificateSigningRequest, message: str) -> CertificateSigningRequest | None:
        """Adds Approved."""
        return await self._patch(csr, _with(csr, APPROVED, "PodVerified", message))

    async def deny(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Adds Denied."""
        return await self._patch(csr, _with(csr, DENIED, reason, message))

    async def fail(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Adds Failed."""
        return await self._patch(csr, _with(csr, FAILED, reason, message))

    async def write_certificate(self, csr: CertificateSigningRequest, pem: bytes) -> CertificateSigningRequest | None:
        """Writes the certificate."""
        return await self._patch(csr, {"certificate": base64.b64encode(pem).decode("ascii")})

    async def create_event(self, event: Event) -> None:
        """Creates an Event, which nobody reads."""
        del event
        await self._process.call("api.event", lambda: None)

    async def _patch(self, csr: CertificateSigningRequest, status: dict[str, Any]) -> CertificateSigningRequest | None:
        def act() -> bytes | None:
            return self._server.patch(csr.name, csr.uid, csr.resource_version, status, by="function")

        document = await self._call("api.write", csr.name, act)
        return None if document is None else CertificateSigningRequest.from_api(document, name=csr.name)

    async def _call(self, site: str, name: str, act: Callable[[], bytes | None]) -> bytes | None:
        filed = self._server.filed.get(name)
        hangs = filed is not None and filed.kind == "hangs"
        return await self._process.call(site, act, trouble=HANG if hangs else None)


class SimulatedKey:
    """The port to the key, with the attempts of `kms.key.CloudKmsKey`."""

    def __init__(self, process: Function) -> None:
        self._process = process
        self._known: KmsPublicKey | None = None

    async def public_key(self) -> KmsPublicKey:
        """Returns the public key, which a process asks for once."""
        if self._known is None:
            self._known = await self._process.call("kms.public_key", public_key)
        return self._known

    async def sign(
        self, tbs: TBSCertificate, algorithm: SignatureAlgorithm, public_key: KmsPublicKey, attempts: Attempts
    ) -> Signature:
        """Signs; after a wrong answer tries once more, and without an answer three times in all."""
        del algorithm, public_key
        world = self._process.world
        signing = partial(Signing, reason=f"{tbs.purpose};tbs-sha256={tbs.sha256}", digest=bytes.fromhex(tbs.sha256))

        def act() -> bytes:
            world.tell("kms", f"signs for {world.short(tbs.purpose.removeprefix('csr-uid='))}")
            world.history.signings.append(signing(at=world.loop.time()))
            return builders.authority().sign(tbs.der)

        failures: Counter[type[SignerError]] = Counter()
        while True:
            attempts.count += 1
            try:
                return Signature(value=await self._process.call("kms.sign", act), milliseconds=20)
            except UnavailableError as error:
                failures[type(error)] += 1
                if failures[type(error)] >= (WRONG_ANSWERS if isinstance(error, IntegrityError) else 3):
                    raise
                await asyncio.sleep(FIRST_PAUSE)


@cache
def public_key() -> KmsPublicKey:
    """Returns KMS's answer about the key."""
    pem = builders.authority().certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KmsPublicKey(pem=pem, algorithm="EC_SIGN_P256_SHA256", protection_level="HSM")


def _with(csr: CertificateSigningRequest, kind: str, reason: str, message: str) -> dict[str, Any]:
    condition = {"type": kind, "status": "True", "reason": reason, "message": message}
    return {"conditions": [*csr.stored_conditions, condition]}
