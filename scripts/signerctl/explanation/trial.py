"""Runs the function's own pipeline on a CSR, with ports that read and never write or sign.

So the order of the steps, and every rule, stay in one place: `csr_signer.pipeline`. The trial ends before the call with
which the function would change something.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer.audit import Audit
from csr_signer.ca.algorithm import EVERY_ALGORITHM, kind_of
from csr_signer.ca.issuer import Issuer, KmsPublicKey
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.errors import IntegrityError, SignerError, UnavailableError
from csr_signer.events.outcome import Deferred, Ignored, Outcome, Refused
from csr_signer.events.reference import RequestReference
from csr_signer.objects.csr import APPROVED, CertificateSigningRequest
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.policy.signer import Signer
from signerctl import objects
from signerctl.api_server import ApiServer, Json
from signerctl.interface.program import CommandError
from signerctl.objects import CSRS

STEPS: Final = (
    "receive",
    "read",
    "triage",
    "parse",
    "attest",
    "decide",
    "build, lint",
    "approve",
    "record, sign, verify",
    "write",
    "record",
)
"""The steps of docs/architecture.md, which the pipeline takes in this order."""
KEY_STEP: Final = 7
"""The step that reads the public key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Where the pipeline stops.

    Attributes:
        step: The number of the step that decides, from 1; 8 or 9 if nothing stops the request before the function
            would approve or sign; 0 if the step is one that the CSR passed before.
        outcome: The pipeline's outcome; None if it would go on, or if a call failed.
        fault: The fault of a call; None if there is none.
        message: The last audit record's text: the violations of a refusal, the missing fact of a deferral.
        severity: The last audit record's severity.
        assumed: Why the trial took the key of the CA certificate for the key in KMS; empty if it read that.
    """

    step: int
    outcome: Outcome | None = None
    fault: SignerError | None = None
    message: str = ""
    severity: str = ""
    assumed: str = ""


class _Ended(BaseException):
    """The pipeline would now change something, or the API server did not answer the operator."""

    def __init__(self, step: int, error: CommandError | None = None) -> None:
        super().__init__()
        self.step = step
        self.error = error


@dataclass(kw_only=True)
class ReadOnlyCluster:
    """The pipeline's port to the API server, with the operator's credentials. Writes do nothing or end the trial.

    Attributes:
        api: The API server.
        afresh: Whether to read a CSR as it was created: without conditions and certificate.
    """

    api: ApiServer
    afresh: bool = False

    async def get_csr(self, name: str) -> CertificateSigningRequest | None:
        """Reads a CSR."""
        document = self._read(CSRS, name)
        if document is None:
            return None
        csr = CertificateSigningRequest.from_api(document, name=name)
        if not self.afresh:
            return csr
        return replace(csr, conditions=frozenset(), approval="", certificate=b"", stored_conditions=())

    async def get_pod(self, identity: PodIdentity) -> Pod | None:
        """Reads the requester's pod."""
        name, namespace = identity.pod_name, identity.namespace
        document = self._read(f"/api/v1/namespaces/{namespace}/pods", name)
        return None if document is None else Pod.from_api(document, name=name, namespace=namespace)

    async def get_node(self, name: str) -> Node | None:
        """Reads a pod's node."""
        document = self._read("/api/v1/nodes", name)
        return None if document is None else Node.from_api(document, name=name)

    async def approve(self, csr: CertificateSigningRequest, message: str) -> CertificateSigningRequest | None:  # noqa: ARG002 - the port's
        """Ends the trial."""
        raise _Ended(8)

    async def deny(
        self,
        csr: CertificateSigningRequest,
        reason: str,  # noqa: ARG002 - the port's
        message: str,  # noqa: ARG002 - the port's
    ) -> CertificateSigningRequest | None:
        """Denies nothing."""
        return csr

    async def fail(
        self,
        csr: CertificateSigningRequest,
        reason: str,  # noqa: ARG002 - the port's
        message: str,  # noqa: ARG002 - the port's
    ) -> CertificateSigningRequest | None:
        """Fails nothing."""
        return csr

    async def write_certificate(self, csr: CertificateSigningRequest, pem: bytes) -> CertificateSigningRequest | None:  # noqa: ARG002 - the port's
        """Ends the trial; no certificate gets here, because the key signs nothing."""
        raise _Ended(10)

    async def create_event(self, event: object) -> None:
        """Creates no Event."""

    def _read(self, collection: str, name: str) -> bytes | None:
        try:
            return self.api.read(objects.named(collection, name))
        except CommandError as error:
            raise _Ended(0, error) from error


@dataclass(slots=True, kw_only=True)
class ReadOnlyKey:
    """The pipeline's port to a key: reads the public key, and signs nothing.

    Attributes:
        read: Reads it with the operator's credentials.
        issuer: The CA whose key it should be.
        assumed: Why `public_key` returned the key of the CA certificate; empty if it read the key version.
    """

    read: Callable[[], KmsPublicKey]
    issuer: Issuer
    assumed: str = ""

    async def public_key(self) -> KmsPublicKey:
        """Returns the public key; the one of the CA certificate if this machine or the operator's user cannot read it.

        The function may reach KMS all the same, so the trial goes on.
        """
        try:
            return await asyncio.to_thread(self.read)
        except IntegrityError:
            raise
        except UnavailableError as error:
            self.assumed = f"this machine gets no answer from Cloud KMS: {error}"
        except SignerError as error:
            if not error.access_denied:
                raise
            self.assumed = f"your credentials may not read it: {error}"
        return _expected_key(self.issuer)

    async def sign(self, *_: object) -> Any:  # noqa: ANN401 - the port's; it never returns
        """Ends the trial."""
        raise _Ended(9)


def _expected_key(issuer: Issuer) -> KmsPublicKey:
    """Returns KMS's answer for the key of the CA certificate, as `issuer.confirm` accepts it."""
    kind, is_raw = kind_of(issuer.public_key), issuer.signature_hash is not None
    algorithm = next(each for each in EVERY_ALGORITHM if (each.key, each.raw) == (kind, is_raw))
    pem = issuer.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KmsPublicKey(pem=pem, algorithm=algorithm.name, protection_level=issuer.protection_level)


@dataclass(kw_only=True)
class _Records:
    """Keeps the audit records of a trial in memory."""

    lines: list[Mapping[str, Any]] = field(default_factory=list)

    def __call__(self, line: bytes) -> None:
        self.lines.append(json.loads(line))

    @property
    def last(self) -> Mapping[str, Any]:
        return self.lines[-1] if self.lines else {}


def run(
    csr: Json,
    *,
    api: ApiServer,
    cluster: str,
    signers: Mapping[str, tuple[Signer, Callable[[], KmsPublicKey]]],
    now: datetime,
    afresh: bool = False,
) -> Trial:
    """Processes a CSR as the function would, up to the first change.

    Args:
        csr: The CSR.
        api: The API server.
        cluster: The cluster's key.
        signers: By signerName: the cluster's signers, and what reads their public keys.
        now: UTC.
        afresh: Whether to judge the CSR as it was created, for one that is Denied or Failed.

    Raises:
        CommandError: The API server does not answer the operator.
    """
    records = _Records()
    from csr_signer.pipeline import Pipeline  # noqa: PLC0415 - it imports Google's packages, see KmsOptions

    keys = {(cluster, name): ReadOnlyKey(read=read, issuer=signer.issuer) for name, (signer, read) in signers.items()}
    pipeline = Pipeline(
        clusters={cluster: ReadOnlyCluster(api=api, afresh=afresh)},
        signers={(cluster, name): signer for name, (signer, _) in signers.items()},
        keys=keys,
        audit=Audit(write=records),
        limiter=ConcurrencyLimiter(clusters=1, concurrency=1),
        threads=ThreadPoolExecutor(1),
        clock=lambda: 0.0,  # an attestation of a trial does not age
    )
    metadata = csr["metadata"]
    reference = RequestReference(
        cluster=cluster, name=metadata["name"], uid=metadata["uid"], event_id="explain", trace_id=""
    )
    try:
        outcome = asyncio.run(pipeline.process(reference, now))
    except _Ended as ended:
        if ended.error is not None:
            raise ended.error from None
        return Trial(step=ended.step, assumed="; ".join(key.assumed for key in keys.values() if key.assumed))
    except SignerError as error:
        return Trial(step=_step_of_fault(csr), fault=error)
    last = records.last
    message = str(last.get("violations") or last.get("reason") or last.get("message", ""))
    return Trial(step=_step_of(outcome), outcome=outcome, message=message, severity=str(last.get("severity", "")))


def _step_of_fault(csr: Json) -> int:
    """Returns the step of a fault of the key: the function reads it again for a CSR that it has approved."""
    return 0 if any(each["type"] == APPROVED for each in objects.conditions(csr)) else KEY_STEP


def _step_of(outcome: Outcome) -> int:
    if isinstance(outcome, Refused | Deferred):
        return 6
    if isinstance(outcome, Ignored):
        return {"gone": 2, "issued": 11}.get(outcome.reason, 3)
    return 11
