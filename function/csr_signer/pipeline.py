"""The way of one CSR, top to bottom: the only module that knows the order of the steps.

 1 receive   cloud_event   HTTP request -> RequestReference
 2 read      cluster       the CSR as it is now, or gone
 3 triage    csr           ours and actionable, or Ignored
 4 parse     pkcs10        spec.request -> CertificationRequest, or violations
 5 attest    attestation   the live pod behind the requester (and its node, where host addresses are certified)
 6 decide    policy        Permit, Refusal or Deferral
 7 build, lint             Permit -> TBSCertificate
 8 approve   cluster       unless approved already; evidence in the message
 9 sign      audit, kms, certificate   intent recorded -> signature -> IssuedCertificate
10 write     cluster       the certificate into status
11 record    audit         the outcome
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from csr_signer.audit import Audit, AuditRecord, attestation_facts, certificate_facts, csr_facts
from csr_signer.ca import issuer
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.ca.issuer import KmsPublicKey
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.errors import ConfigurationError, ConflictError, ItemError, SignerError
from csr_signer.events.cloud_event import RequestReference
from csr_signer.events.outcome import Deferred, Ignored, Issued, Outcome, Refused
from csr_signer.issuance import certificate, lint
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms.key import Signature
from csr_signer.objects.csr import APPROVED, CertificateSigningRequest, triage
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.policy import attestation
from csr_signer.policy.attestation import Attestation
from csr_signer.policy.decision import Decision, Deferral, Permit, Refusal, Signer, decide
from csr_signer.request import pkcs10
from csr_signer.violation import describe

FRESH_SECONDS = 5.0
"""How old an attestation may be when the key is used: KMS and the API server may be slow, and the pod gone by then."""

EVIDENCE = re.compile(r"tbs-sha256=([0-9a-f]{64})")


class Cluster(Protocol):
    """The API server of one cluster; `client.KubernetesCluster` is the real one and says what each call means."""

    def get_csr(self, name: str) -> CertificateSigningRequest | None: ...  # noqa: D102
    def get_pod(self, identity: PodIdentity) -> Pod | None: ...  # noqa: D102
    def get_node(self, name: str) -> Node | None: ...  # noqa: D102
    def approve(self, csr: CertificateSigningRequest, message: str) -> CertificateSigningRequest | None: ...  # noqa: D102
    def deny(  # noqa: D102
        self, csr: CertificateSigningRequest, reason: str, message: str
    ) -> CertificateSigningRequest | None: ...
    def fail(  # noqa: D102
        self, csr: CertificateSigningRequest, reason: str, message: str
    ) -> CertificateSigningRequest | None: ...
    def write_certificate(  # noqa: D102
        self, csr: CertificateSigningRequest, pem: bytes
    ) -> CertificateSigningRequest | None: ...
    def report_on_pod(  # noqa: D102
        self, identity: PodIdentity, *, csr_uid: str, reason: str, message: str, now: datetime
    ) -> None: ...


class Key(Protocol):
    """One key version; `kms.key.CloudKmsKey` is the real one and says what each call checks."""

    def public_key(self) -> KmsPublicKey: ...  # noqa: D102
    def sign(  # noqa: D102
        self, tbs: TBSCertificate, algorithm: SignatureAlgorithm, public_key: KmsPublicKey
    ) -> Signature: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCluster:
    """A cluster with the signers that are configured for it, each with its key, by signerName."""

    cluster: Cluster
    signers: Mapping[str, tuple[Signer, Key]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Brings a reference to its outcome.

    Attributes:
        clusters: by their key in the configuration.
        audit: where intents and outcomes are recorded.
        limiter: shared by all threads of the process.
        clock: seconds of a monotonic clock.
    """

    clusters: Mapping[str, ServedCluster]
    audit: Audit
    limiter: ConcurrencyLimiter
    clock: Callable[[], float] = time.monotonic

    def process(self, reference: RequestReference, now: datetime) -> Outcome:
        """The outcome; a conflict on write reads again once and then defers the item.

        Raises:
            SignerError: a fault; the CSR is as it was, or approved and not yet issued.
        """
        with self.limiter.admit(reference.cluster, reference.uid) as admitted:
            if not admitted:
                return self._note(reference, Deferred(reason="busy", retry_after=1))
            for _ in range(2):
                try:
                    return self._once(reference, now)
                except ConflictError:
                    continue
            return self._note(reference, Deferred(reason="conflict", retry_after=1))

    def _note(self, reference: RequestReference, outcome: Ignored | Deferred) -> Outcome:
        """Records an outcome of which no more is known than the reference."""
        facts = {"cluster": reference.cluster, "reason": outcome.reason, "event_id": reference.event_id}
        message = f"{outcome.name}: {outcome.reason}"
        record = AuditRecord(event=outcome.name, severity="INFO", message=message, csr_uid=reference.uid, facts=facts)
        self.audit.record(record, trace_id=reference.trace_id)
        return outcome

    def _once(self, reference: RequestReference, now: datetime) -> Outcome:
        served = self.clusters[reference.cluster]

        # 2 read
        csr = served.cluster.get_csr(reference.name)
        if csr is None:
            return self._note(reference, Ignored(reason="gone"))

        # 3 triage
        if csr.signer_name not in served.signers:
            return self._note(reference, Ignored(reason="other-signer"))
        signer, key = served.signers[csr.signer_name]
        case = _Case(
            csr=csr,
            signer=signer,
            key=key,
            cluster=served.cluster,
            audit=self.audit,
            reference=reference,
            now=now,
            clock=self.clock,
            started=self.clock(),
        )
        reason = triage(csr, uid=reference.uid, signer_name=signer.signer_name, approve=signer.approve)
        if reason == "gone":  # what has the name now is another object, of which nothing is recorded
            return self._note(reference, Ignored(reason=reason))
        if reason is not None:
            return case.ignore(reason)

        # 4 parse
        request = pkcs10.parse(csr.request)

        # 5 attest
        attested = _attest(csr, signer, served.cluster)

        # 6 decide
        decision = decide(csr=csr, request=request, attestation=attested, signer=signer, now=now)
        return case.act(decision, attested, alone=len(served.signers) == 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One CSR that is ours, with everything that acting on it needs.

    Attributes:
        clock: seconds of a monotonic clock.
        started: on that clock, before the pod was read.
    """

    csr: CertificateSigningRequest
    signer: Signer
    key: Key
    cluster: Cluster
    audit: Audit
    reference: RequestReference
    now: datetime
    clock: Callable[[], float]
    started: float

    def act(self, decision: Decision, attested: Attestation, *, alone: bool) -> Outcome:
        """What was decided.

        Args:
            decision: it.
            attested: what it was made of.
            alone: whether the cluster has no other signer.

        Raises:
            ConfigurationError: this signer's key, CA or right is at fault, and it is the only one.
            ItemError: the same where there are others, for which nobody has to wait.
        """
        try:
            match decision:
                case Permit():
                    return self.issue(decision, attested)
                case Refusal():
                    return self.refuse(decision, attested)
                case Deferral():
                    return self.defer(decision, attested)
        except ConfigurationError as error:
            if alone:
                raise
            raise ItemError(str(error)) from error

    def issue(self, permit: Permit, attested: Attestation) -> Outcome:
        """Steps 7 to 11."""
        csr: CertificateSigningRequest | None = self.csr
        ca = self.signer.issuer

        # 7 build, lint: an Approved CSR without certificate is never collected, so nothing is approved that does not
        # lint
        public_key = self.key.public_key()
        algorithm = issuer.confirm(ca, public_key)
        tbs = lint.lint(certificate.build(permit, ca, algorithm), permit, ca, algorithm)
        facts = attestation_facts(attested) | certificate_facts(permit, tbs, ca.key_version) | self._superseded(tbs)
        text = f"{permit.common_name} for {permit.component}"

        # 8 approve: where this function approves, the evidence is in etcd and in the cluster's own audit log before the
        # key is used
        self._expect_fresh()
        if APPROVED not in self.csr.conditions:
            csr = self.cluster.approve(self.csr, f"config={self.signer.configuration_digest} tbs-sha256={tbs.sha256}")
        if csr is None:
            return self.ignore("gone")

        # 9 record, sign, verify
        self._expect_fresh()
        self._record("intent", "NOTICE", f"about to sign {text}", facts)
        with self._accounting_for(facts):
            signature = self.key.sign(tbs, algorithm, public_key)
            facts |= {"kms_attempts": signature.attempts, "kms_milliseconds": signature.milliseconds}
            issued = certificate.assemble(tbs, signature.value, ca, algorithm)
            facts["certificate_sha256"] = issued.sha256

            # 10 write back
            written = self.cluster.write_certificate(csr, issued.pem)

        # 11 record
        if written is None:
            self._record("abandoned", "INFO", "the CSR is gone: its certificate was thrown away", facts)
            return Ignored(reason="gone")
        self._record("issued", "NOTICE", f"issued {text}", facts)
        return Issued(tbs_sha256=tbs.sha256)

    def _expect_fresh(self) -> None:
        """Attests and decides again where KMS or the API server took so long that the pod may be gone.

        Raises:
            ConflictError: `process` reads everything again.
        """
        age = self.clock() - self.started
        if age > FRESH_SECONDS:
            raise ConflictError(f"attestation: Invalid value: {age:.1f} s old: must be at most {FRESH_SECONDS:g} s old")

    @contextmanager
    def _accounting_for(self, facts: Mapping[str, object]) -> Iterator[None]:
        """Records what became of an intent also where it came to nothing: its hash, and how often KMS was asked."""
        try:
            yield
        except Exception as error:
            severity, attempts = "ERROR", 0
            if isinstance(error, SignerError):
                severity, attempts = error.severity, error.attempts
            facts = {"kms_attempts": attempts, **facts, "fault": type(error).__name__}
            self._record("abandoned", severity, "an intent came to nothing", facts)
            raise

    def refuse(self, refusal: Refusal, attested: Attestation) -> Outcome:
        """Denied, or Failed where it is Approved already: Approved cannot be taken back and excludes Denied.

        The pod is told first: once the condition is written nobody comes back here, also where its answer is lost.
        """
        message = describe(refusal.violations)
        if attested.pod is not None and attested.identity is not None:
            self._report(attested.identity, refusal.reason, message)
        write = self.cluster.fail if refusal.too_late or APPROVED in self.csr.conditions else self.cluster.deny
        if write(self.csr, refusal.reason, message) is None:
            return self.ignore("gone")
        codes = tuple(dict.fromkeys(violation.code for violation in refusal.violations))
        facts = {"reason": refusal.reason, "codes": codes, "violations": message, **attestation_facts(attested)}
        self._record("refused", "WARNING", f"refused: {', '.join(codes)}", facts)
        return Refused(reason=refusal.reason, codes=codes)

    def defer(self, deferral: Deferral, attested: Attestation) -> Outcome:
        """The CSR stays as it is; the exporter sends this item again."""
        self._record("deferred", "INFO", f"deferred: {deferral.missing}", attestation_facts(attested))
        return Deferred(reason=deferral.missing, retry_after=deferral.retry_after)

    def ignore(self, reason: str) -> Ignored:
        """Nothing to do; a certificate that this issuer did not sign is worth an alarm."""
        severity, message = "INFO", f"nothing to do: {reason}"
        facts = {"reason": reason}
        if reason == "issued":
            present = self.signer.issuer.issued(self.csr.certificate)
            if present is None or not certificate.is_for(present, pkcs10.parse(self.csr.request)):
                severity, message = "ERROR", "the CSR holds a certificate that this issuer did not sign for its key"
            else:
                facts["tbs_sha256"] = certificate.tbs_sha256(present)
        self._record("ignored", severity, message, facts)
        return Ignored(reason=reason)

    def _superseded(self, tbs: TBSCertificate) -> dict[str, object]:
        """The hash that an earlier configuration approved, where this one builds another: evidence, never an input."""
        earlier = EVIDENCE.search(self.csr.approval)
        if earlier is None or earlier[1] == tbs.sha256:
            return {}
        return {"superseded_intent": earlier[1]}

    def _report(self, identity: PodIdentity, reason: str, message: str) -> None:
        try:
            self.cluster.report_on_pod(identity, csr_uid=self.csr.uid, reason=reason, message=message, now=self.now)
        except SignerError as error:  # the refusal stands; only its note is missing
            self._record("fault", "WARNING", f"no Event on the pod: {error}", {"fault": type(error).__name__})

    def _record(self, event: str, severity: str, message: str, facts: Mapping[str, object]) -> None:
        record = AuditRecord(
            event=event,
            severity=severity,
            message=message,
            csr_uid=self.csr.uid,
            facts={
                **csr_facts(self.csr, self.signer),
                "decided_at": self.now.isoformat(),
                **facts,
                "event_id": self.reference.event_id,
            },
            created=self.csr.created,
        )
        self.audit.record(record, trace_id=self.reference.trace_id)


def _attest(csr: CertificateSigningRequest, signer: Signer, cluster: Cluster) -> Attestation:
    identity = attestation.identify(csr.requester, credential_id=signer.credential_id)
    if not isinstance(identity, PodIdentity):
        return Attestation(identity=None, pod=None, violations=identity)
    rows = signer.profile.rows_of(identity.namespace, identity.service_account)
    if not rows:
        # `decide` refuses it for that. Its pod is not read: the function may read pods of the profile's namespaces
        # only, and a forbidden read is an operator's fault, for which everybody would have to wait.
        return Attestation(identity=identity, pod=None, violations=())
    pod, node = cluster.get_pod(identity), None
    if pod is not None and pod.host_network and any(row.addresses == "pod" for row in rows):
        # A pod that is not scheduled has no node; without a name the call would list all nodes, which is forbidden.
        node = (cluster.get_node(pod.node_name) if pod.node_name else None) or Node()
    return attestation.attest(identity, pod, node)
