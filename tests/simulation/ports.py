"""The ports of the pipeline: models of the API server's client, of the key, and of standard output."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer.audit import Audit, AuditRecord
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.ca.issuer import KmsPublicKey
from csr_signer.errors import AuditError, IntegrityError, SignerError, UnavailableError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms.key import FIRST_PAUSE, WRONG_ANSWERS, Attempts, Signature
from csr_signer.objects.csr import APPROVED, DENIED, FAILED, CertificateSigningRequest
from csr_signer.objects.event import Event
from csr_signer.objects.pod import Node, Pod, PodIdentity
from tests.simulation.history import Recorded, Signing
from tests.simulation.trouble import HANG
from tests.unit.function import builders

if TYPE_CHECKING:
    from tests.simulation.function import Function


class SimulatedAudit(Audit):
    """Writes records into the history."""

    def __init__(self, process: "Function") -> None:
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

    def __init__(self, process: "Function") -> None:
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

        document = await self._call("api.write", csr.name, act, partial(self._server.delete, csr.name, csr.uid))
        return None if document is None else CertificateSigningRequest.from_api(document, name=csr.name)

    async def _call(
        self, site: str, name: str, act: Callable[[], bytes | None], deletes: Callable[[], object] | None = None
    ) -> bytes | None:
        filed = self._server.filed.get(name)
        hangs = filed is not None and filed.kind == "hangs"
        return await self._process.call(site, act, trouble=HANG if hangs else None, deletes=deletes)


class SimulatedKey:
    """The port to the key, with the attempts of `kms.key.CloudKmsKey`."""

    def __init__(self, process: "Function") -> None:
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
