"""Processes one CSR, from top to bottom: only this module knows the order of the steps.

 1 receive   cloud_event   HTTP request -> RequestReference
 2 read      cluster       the CSR as it is now, or gone
 3 triage    triage        ours and actionable, or Ignored
 4 parse     pkcs10        spec.request -> CertificationRequest, or a violation
 5 attest    attestation   the live pod behind the requester (and its node, where host addresses are certified)
 6 decide    decision      Permit, Refusal or Deferral
 7 build, lint             Permit -> TBSCertificate
 8 approve   cluster       unless approved already; evidence in the message
 9 sign      audit, kms, certificate   intent recorded -> signature -> IssuedCertificate
10 write     cluster       the certificate into status
11 record    audit         the outcome

After a refusal, or if a CSR waits for long, `reporting` writes an Event.

Three ports do all I/O: `Cluster`, `Key` and `Audit`. The caller passes them in.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

from csr_signer.audit import Audit, AuditTrail, attestation_facts, certificate_facts, csr_facts
from csr_signer.ca import issuer
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.ca.issuer import KmsPublicKey
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.errors import (
    AuditError,
    ConfigurationError,
    ConflictError,
    SignerConfigurationError,
    SignerError,
)
from csr_signer.events.outcome import Deferred, Ignored, Issued, Outcome, Refused
from csr_signer.events.reference import RequestReference
from csr_signer.issuance import certificate, lint
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms.key import Attempts, Signature
from csr_signer.objects.csr import APPROVED, CertificateSigningRequest
from csr_signer.objects.event import Event
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.policy import attestation
from csr_signer.policy.attestation import Attestation
from csr_signer.policy.decision import Deferral, Permit, Refusal, decide
from csr_signer.policy.inputs import decision_inputs
from csr_signer.policy.signer import Signer
from csr_signer.policy.triage import IgnoreReason, triage
from csr_signer.reporting import REQUESTER, EventRecorder, Tried
from csr_signer.request import pkcs10
from csr_signer.request.pkcs10 import CertificationRequest
from csr_signer.violation import Violation, describe

FRESH_SECONDS: Final = 5.0
"""The maximum age of an attestation when the function uses the key, because the pod may be gone."""

_EVIDENCE: Final = re.compile(r"tbs-sha256=([0-9a-f]{64})")


class Cluster(Protocol):
    """The port to one cluster's API server; `client.KubernetesCluster` implements and documents it."""

    async def get_csr(self, name: str) -> CertificateSigningRequest | None: ...  # noqa: D102
    async def get_pod(self, identity: PodIdentity) -> Pod | None: ...  # noqa: D102
    async def get_node(self, name: str) -> Node | None: ...  # noqa: D102
    async def approve(self, csr: CertificateSigningRequest, message: str) -> CertificateSigningRequest | None: ...  # noqa: D102
    async def deny(  # noqa: D102
        self, csr: CertificateSigningRequest, reason: str, message: str
    ) -> CertificateSigningRequest | None: ...
    async def fail(  # noqa: D102
        self, csr: CertificateSigningRequest, reason: str, message: str
    ) -> CertificateSigningRequest | None: ...
    async def write_certificate(  # noqa: D102
        self, csr: CertificateSigningRequest, pem: bytes
    ) -> CertificateSigningRequest | None: ...
    async def create_event(self, event: Event) -> None: ...  # noqa: D102


class Key(Protocol):
    """The port to one key version; `kms.key.CloudKmsKey` implements and documents it."""

    async def public_key(self) -> KmsPublicKey: ...  # noqa: D102
    async def sign(  # noqa: D102
        self, tbs: TBSCertificate, algorithm: SignatureAlgorithm, public_key: KmsPublicKey, attempts: Attempts
    ) -> Signature: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Processes references.

    Attributes:
        clusters: the API servers by cluster key.
        signers: the signers by cluster key and signerName.
        keys: the signers' keys by cluster key and signerName.
        audit: records intents and outcomes.
        limiter: the limiter, which all requests of the process share.
        threads: runs long computations, so that they do not block the event loop.
        clock: seconds of a monotonic clock.
    """

    clusters: Mapping[str, Cluster]
    signers: Mapping[tuple[str, str], Signer]
    keys: Mapping[tuple[str, str], Key]
    audit: Audit
    limiter: ConcurrencyLimiter
    threads: Executor
    clock: Callable[[], float] = time.monotonic
    _confirmed: dict[tuple[str, str], tuple[KmsPublicKey, SignatureAlgorithm]] = field(
        default_factory=dict, init=False, repr=False
    )
    _tried: dict[str, Tried] = field(default_factory=lambda: defaultdict(Tried), init=False, repr=False)

    async def process(self, reference: RequestReference, now: datetime) -> Outcome:
        """Returns the outcome of a reference; after a write conflict, reads and judges the CSR once more.

        Raises:
            SignerError: a fault; the CSR is unchanged, or approved but not issued.
        """
        trail = AuditTrail(
            audit=self.audit,
            csr_uid=reference.uid,
            event_id=reference.event_id,
            trace_id=reference.trace_id,
            facts={"cluster": reference.cluster},
        )
        with self.limiter.admit(reference.cluster, reference.uid) as admitted:
            if not admitted:
                return await _defer(trail, "busy", 1)
            cluster, tried = self.clusters[reference.cluster], self._tried[reference.cluster]
            recorder = EventRecorder(cluster=cluster, trail=trail, tried=tried, now=now)
            try:
                async with recorder.faults():
                    with suppress(ConflictError):
                        return await self._steps(reference, recorder, now)
                    return await self._steps(reference, recorder, now)
            except ConflictError:
                return await _defer(trail, "conflict", 1)

    async def _steps(self, reference: RequestReference, recorder: EventRecorder, now: datetime) -> Outcome:  # noqa: PLR0911 - most steps can be the last one
        """Runs the eleven steps; each uses the result of the previous step."""
        # 1. Receive: `cloud_event.receive` made the reference, which only identifies the CSR.
        cluster, trail = self.clusters[reference.cluster], recorder.trail

        # 2. Read the CSR, because the event may be old, and only the API server's current state counts.
        csr = await cluster.get_csr(reference.name)
        if csr is None:
            return await _ignore(trail, IgnoreReason.GONE)

        # 3. Triage the CSR before parsing it: the function neither parses nor writes CSRs of other signers.
        signer = self.signers.get((reference.cluster, csr.signer_name))
        if signer is None:
            return await _ignore(trail, IgnoreReason.OTHER_SIGNER)
        reason = triage(csr, uid=reference.uid, signer_name=signer.signer_name, approve=signer.approve)
        if reason is IgnoreReason.GONE:  # another object has the name now, and the records must not describe it
            return await _ignore(trail, reason)
        trail = trail.about(csr_facts(csr, signer) | {"decided_at": now.isoformat()}, created=csr.created)
        if reason is not None:
            is_issued = reason is IgnoreReason.ISSUED
            return await (_ignore_issued(trail, csr, signer) if is_issued else _ignore(trail, reason))
        recorder.about(csr, trail)

        # 4. Parse the CertificationRequest; if that fails, step 6 reports the violation.
        request = pkcs10.parse(csr.request)

        # 5. Attest the pod behind the requester from the API server's records, never from the requester's text.
        attested_at = self.clock()
        attested = await attestation.attest_requester(csr.requester, signer, cluster)
        recorder.attested(attested)

        # 6. Decide with a pure function; a refusal names every violation at once.
        decision = await self._decide(csr, request, attested, signer, now)
        inputs = {"decision_inputs": decision_inputs(csr, attested, signer.issuer)}
        with self._confined_to_signer(reference.cluster):
            if isinstance(decision, Refusal):
                return await _refuse(trail, decision, csr, attested, inputs, cluster=cluster, recorder=recorder)
            if isinstance(decision, Deferral):
                await recorder.waits(REQUESTER, decision.missing, decision.retry_after)
                return await _defer(trail, decision.missing, decision.retry_after, attestation_facts(attested))

            # 7. Build the TBSCertificate and lint it before the approval: a CSR that is Approved and gets no
            # certificate is never collected.
            key = self.keys[reference.cluster, csr.signer_name]
            public_key = await key.public_key()
            algorithm = self._confirm(signer, public_key)
            tbs = lint.lint(certificate.build(decision, signer.issuer, algorithm), decision, signer.issuer, algorithm)
            text = f"{decision.common_name} for {decision.component}"
            facts = attestation_facts(attested) | certificate_facts(decision, tbs, signer.issuer.key_version)
            facts |= _superseded(csr, tbs)

            # 8. Approve, unless another approver has, so that etcd and the cluster's audit log have the evidence before
            # the function uses the key.
            self._expect_fresh(attested_at)
            approved: CertificateSigningRequest | None = csr
            if APPROVED not in csr.conditions:
                evidence = f"config={signer.configuration_digest} tbs-sha256={tbs.sha256}"
                approved = await cluster.approve(csr, evidence)
            if approved is None:
                return await _ignore(trail, IgnoreReason.GONE)

            # 9. Record the intent, sign, and verify the signature with the pinned CA key: no signature is without a
            # record, and no record without its end.
            self._expect_fresh(attested_at)
            attempts = Attempts()
            async with _intent(trail, text, facts, inputs, attempts):
                self._expect_fresh(attested_at)  # standard output may have been slow
                signature = await key.sign(tbs, algorithm, public_key, attempts)
                facts["kms_milliseconds"] = signature.milliseconds
                issued = certificate.assemble(tbs, signature.value, signer.issuer, algorithm)
                facts["certificate_sha256"] = issued.sha256

                # 10. Write the certificate into the status; the API server accepts only one.
                written = await cluster.write_certificate(approved, issued.pem)

            # 11. Record the outcome after the write, because a certificate counts as issued only in the status.
            facts["kms_attempts"] = attempts.count
            if written is None:
                await trail.record(
                    "abandoned", "INFO", "the CSR is gone; the function discarded its certificate", facts
                )
                return Ignored(reason=IgnoreReason.GONE)
            await trail.record("issued", "NOTICE", f"issued {text}", facts)
            return Issued(tbs_sha256=tbs.sha256)

    def _confirm(self, signer: Signer, public_key: KmsPublicKey) -> SignatureAlgorithm:
        """Returns the signature algorithm; calls `issuer.confirm` once for each public key that KMS returns."""
        name = signer.cluster, signer.signer_name
        known = self._confirmed.get(name)
        if known is None or known[0] is not public_key:
            known = self._confirmed[name] = public_key, issuer.confirm(signer.issuer, public_key)
        return known[1]

    async def _decide(
        self,
        csr: CertificateSigningRequest,
        request: CertificationRequest | Violation,
        attested: Attestation,
        signer: Signer,
        now: datetime,
    ) -> Permit | Refusal | Deferral:
        """Decides; uses a thread for an RSA key, because `public_key.weakness` takes up to 75 ms of CPU time."""
        decision = partial(decide, csr=csr, request=request, attestation=attested, signer=signer, now=now)
        key = None if isinstance(request, Violation) else request.public_key
        if key is None or not key.rsa:
            return decision()
        return await asyncio.get_running_loop().run_in_executor(self.threads, decision)

    def _expect_fresh(self, attested_at: float) -> None:
        """Refuses an old attestation, because the pod may be gone.

        Raises:
            ConflictError: the attestation is old; `process` then reads and judges the CSR again.
        """
        age = self.clock() - attested_at
        if age > FRESH_SECONDS:
            raise ConflictError(f"attestation: Invalid value: {age:.1f} s old: must be at most {FRESH_SECONDS:g} s old")

    @contextmanager
    def _confined_to_signer(self, cluster: str) -> Iterator[None]:
        """Limits a fault of one signer's key, CA or right to the item, if the cluster has other signers.

        The answer to a ConfigurationError is 503, which would delay the events of all signers.
        """
        try:
            yield
        except ConfigurationError as error:
            if sum(owner == cluster for owner, _ in self.signers) == 1:
                raise
            raise SignerConfigurationError(str(error)) from error


async def _refuse(
    trail: AuditTrail,
    refusal: Refusal,
    csr: CertificateSigningRequest,
    attested: Attestation,
    inputs: Mapping[str, object],
    *,
    cluster: Cluster,
    recorder: EventRecorder,
) -> Outcome:
    """Denies the CSR, or fails it if it is Approved, because Approved is permanent and excludes Denied.

    The Events come first: after the condition, the function never processes the CSR again, even if the answer to the
    write is lost.
    """
    message = describe(refusal.violations)
    await recorder.refused(refusal.reason, message)
    write = cluster.fail if refusal.too_late or APPROVED in csr.conditions else cluster.deny
    if await write(csr, refusal.reason, message) is None:
        return await _ignore(trail, IgnoreReason.GONE)
    codes = tuple(dict.fromkeys(violation.code for violation in refusal.violations))
    facts = {"reason": refusal.reason, "codes": codes, "violations": message, **attestation_facts(attested), **inputs}
    await trail.record("refused", "WARNING", f"refused: {', '.join(codes)}", facts)
    return Refused(reason=refusal.reason, codes=codes)


async def _defer(
    trail: AuditTrail, reason: str, retry_after: int, facts: Mapping[str, object] = MappingProxyType({})
) -> Deferred:
    """Leaves the CSR unchanged; the exporter resends the event."""
    await trail.record("deferred", "INFO", f"deferred: {reason}", {"reason": reason, **facts})
    return Deferred(reason=reason, retry_after=retry_after)


async def _ignore(trail: AuditTrail, reason: IgnoreReason) -> Ignored:
    await trail.record("ignored", "INFO", f"nothing to do: {reason}", {"reason": reason})
    return Ignored(reason=reason)


async def _ignore_issued(trail: AuditTrail, csr: CertificateSigningRequest, signer: Signer) -> Ignored:
    """Ignores a CSR with a certificate; an alert follows if this issuer did not sign it for the CSR's key."""
    reason = IgnoreReason.ISSUED
    present = signer.issuer.issued(csr.certificate)
    if present is None or not certificate.is_for(present, pkcs10.parse(csr.request)):
        message = "the CSR holds a certificate that this issuer did not sign for its key"
        await trail.record("ignored", "ERROR", message, {"reason": reason})
    else:
        facts = {"reason": reason, "tbs_sha256": certificate.tbs_sha256(present)}
        await trail.record("ignored", "INFO", f"nothing to do: {reason}", facts)
    return Ignored(reason=reason)


@asynccontextmanager
async def _intent(
    trail: AuditTrail,
    text: str,
    facts: Mapping[str, object],
    inputs: Mapping[str, object],
    attempts: Attempts,
) -> AsyncIterator[None]:
    """Records an intent; after a fault or a cancellation, also its outcome with the number of requests to KMS."""
    try:
        await trail.record("intent", "NOTICE", f"about to sign {text}", {**facts, **inputs})
        yield
    except AuditError:  # the record of the intent does not exist
        raise
    except BaseException as error:
        severity = error.severity if isinstance(error, SignerError) else "ERROR"
        facts = {"kms_attempts": attempts.count, **facts, "fault": type(error).__name__}
        await trail.record("abandoned", severity, "signing or writing failed after the intent", facts)
        raise


def _superseded(csr: CertificateSigningRequest, tbs: TBSCertificate) -> dict[str, object]:
    """Returns the hash that an earlier configuration approved, if this one differs; it is only evidence."""
    earlier = _EVIDENCE.search(csr.approval)
    if earlier is None or earlier[1] == tbs.sha256:
        return {}
    return {"superseded_intent": earlier[1]}
