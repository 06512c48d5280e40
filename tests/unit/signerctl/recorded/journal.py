"""Records as the function writes them, made by its own code, of CSRs that differ in a few facts."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from csr_signer.audit import Audit, AuditTrail, attestation_facts, certificate_facts, csr_facts
from csr_signer.issuance.certificate import build
from csr_signer.issuance.lint import lint
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.policy.attestation import Attestation
from csr_signer.policy.decision import Permit, Refusal, decide
from csr_signer.policy.inputs import decision_inputs
from csr_signer.policy.signer import Signer
from csr_signer.request.pkcs10 import parse
from csr_signer.violation import describe
from tests.unit.function.builders import (
    KEY_VERSION,
    authority,
    make_attestation,
    make_csr,
    make_pod,
    make_signer,
)


@dataclass(kw_only=True)
class Journal:
    """The lines of a function.

    Attributes:
        signer: The signer.
        lines: The lines, without line ends.
    """

    signer: Signer = field(default_factory=make_signer)
    lines: list[str] = field(default_factory=list)

    def issue(self, pod: str, *, ago: timedelta = timedelta(0), lifetime: timedelta | None = None) -> str:
        """Records an issued certificate of calico-node's pod; returns the CSR's uid."""
        name = f"node-certs:{pod}"
        seconds = None if lifetime is None else int(lifetime.total_seconds())
        csr, attestation, now = self._file(name, pod, ago, seconds)
        permit = self._decided(csr, attestation, now)
        assert isinstance(permit, Permit), permit
        issuer, algorithm = self.signer.issuer, authority().algorithm
        tbs = lint(build(permit, issuer, algorithm), permit, issuer, algorithm)
        facts = attestation_facts(attestation) | certificate_facts(permit, tbs, KEY_VERSION)
        inputs = {"decision_inputs": decision_inputs(csr, attestation, issuer)}
        self._record(csr, now, "intent", facts | inputs)
        self._record(csr, now, "issued", facts | {"kms_attempts": 1})
        return csr.uid

    def refuse(self, pod: str, *, name: str = "stolen", ago: timedelta = timedelta(0)) -> str:
        """Records a refusal of calico-node's pod, because of the CSR's name; returns the CSR's uid."""
        csr, attestation, now = self._file(name, pod, ago, None)
        refusal = self._decided(csr, attestation, now)
        assert isinstance(refusal, Refusal), refusal
        codes = [violation.code for violation in refusal.violations]
        facts = {"reason": refusal.reason, "codes": codes, "violations": describe(refusal.violations)}
        inputs = {"decision_inputs": decision_inputs(csr, attestation, self.signer.issuer)}
        self._record(csr, now, "refused", facts | attestation_facts(attestation) | inputs)
        return csr.uid

    def write(self, path: Path) -> Path:
        """Writes the lines into a file, between other lines of the process."""
        text = "\n".join(["[2026-03-14 09:27:00 +0000] [7] [INFO] Starting gunicorn", *self.lines, ""])
        path.write_text(text, encoding="utf-8")
        return path

    def _file(
        self, name: str, pod: str, ago: timedelta, seconds: int | None
    ) -> tuple[CertificateSigningRequest, Attestation, datetime]:
        now = datetime.now(UTC).replace(microsecond=0) - ago
        uid = f"00000000-0000-4000-8000-{len(self.lines):012d}"
        csr = replace(make_csr(name=name, pod=pod), uid=uid, created=now, expiration_seconds=seconds)
        return csr, make_attestation(csr, make_pod(name=pod)), now

    def _decided(self, csr: CertificateSigningRequest, attestation: Attestation, now: datetime) -> Any:
        request = parse(csr.request)
        return decide(csr=csr, request=request, attestation=attestation, signer=self.signer, now=now)

    def _record(self, csr: CertificateSigningRequest, now: datetime, event: str, facts: dict[str, object]) -> None:
        written: list[bytes] = []
        audit = Audit(write=written.append, clock=lambda: now)
        known = csr_facts(csr, self.signer) | {"decided_at": now.isoformat()}
        trail = AuditTrail(
            audit=audit, csr_uid=csr.uid, event_id=f"{csr.uid}/pending", trace_id="", facts=known, created=csr.created
        )
        asyncio.run(trail.record(event, "NOTICE", event, facts))
        self.lines += [line.decode().strip() for line in written]
