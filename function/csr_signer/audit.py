"""Steps 9 and 11, record: one line before the key is used and one for every outcome, in Cloud Logging's JSON.

If an intent cannot be written, the exception reaches the pipeline, and the function does not use the key. Lines escape
and bound a requester's text. They never contain a token or a private key. An intent and a refusal hold the inputs of
the decision (`policy.inputs`), so that `signerctl replay` can make it again; the request in them is public.
"""

import asyncio
import hashlib
import json
import os
import select
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from csr_signer import der
from csr_signer.errors import AuditError, SignerError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.policy.attestation import Attestation
from csr_signer.policy.decision import Permit
from csr_signer.policy.signer import Signer
from csr_signer.violation import LONGEST_TEXT, bounded

LOG_NAME: Final = "csr-signer"
WRITE_SECONDS: Final = 5.0
_STANDARD_OUTPUT: Final = 1
_MOST_ADDRESSES: Final = 4  # an honest pod has one or two
_INDEXED: Final = ("cluster", "signer_name")  # operators search by these facts, so they are labels too

EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "intent": "the function is about to use the key; without this line it signs nothing",
        "issued": "the certificate is in the CSR's status",
        "abandoned": "after an intent, signing or writing failed, or the CSR was gone",
        "refused": "the function denied the CSR, or set it to Failed because it was already Approved or came too late",
        "deferred": "the CSR is unchanged; the exporter must resend the event",
        "ignored": "there is nothing to do; ERROR if the CSR holds a certificate that is not this issuer's",
        "fault": "something failed; ERROR if an operator must act, WARNING if a retry can succeed",
        "issuer_expiry": "an operator must rotate a CA; at most once per day and process",
        "newer_release": "a profile is older than the release in its cluster; at most once per day and process",
    }
)
"""All events. They are an interface, like violation codes; docs/audit.md lists them with their fields."""


class LineWriter:
    """Writes each line to a file descriptor in one system call, so that lines never mix.

    Args:
        descriptor: The file descriptor; standard output in production.
    """

    def __init__(self, descriptor: int = _STANDARD_OUTPUT) -> None:
        self._descriptor = descriptor
        self._broken = False

    def __call__(self, line: bytes) -> None:
        """Writes a line, or fails within WRITE_SECONDS.

        Raises:
            OSError: the line was not written completely. The next line then starts with a line end, so that it stays
                separate from the fragment.
        """
        if not select.select([], [self._descriptor], [], WRITE_SECONDS)[1]:
            raise OSError("standard output has no reader")
        whole = b"\n" + line if self._broken else line
        self._broken = True
        written = os.write(self._descriptor, whole)
        self._broken = written != len(whole)
        if self._broken:
            raise OSError(f"wrote only {written} of {len(whole)} bytes of an audit record")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One line: the requester, the decision and its rules, the serial number and the key version.

    Attributes:
        event: a key of EVENTS.
        severity: of Cloud Logging.
        message: for people.
        csr_uid: the uid of the CSR, which all its records share; empty for records without a CSR.
        facts: for programs; the function makes the values, or bounds them.
        event_id: the id of the event that caused the record; empty without one.
        created: the CSR's creation time, if the record has the CSR's age.
    """

    event: str
    severity: str
    message: str
    csr_uid: str
    facts: Mapping[str, object]
    event_id: str = ""
    created: datetime | None = None

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise ValueError(f"audit event {self.event!r} is not in EVENTS")


class Audit:
    """Writes audit records, one at a time and in its own thread, because standard output may block.

    Args:
        write: writes one whole line, or raises; by default to standard output.
        project: Google Cloud project of the traces; empty if there is none.
        clock: gives the time, UTC.
    """

    def __init__(
        self,
        *,
        write: Callable[[bytes], None] | None = None,
        project: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._write = write or LineWriter()
        self._project = project
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")

    async def record(self, record: AuditRecord, *, trace_id: str = "") -> None:
        """Writes one record.

        A cancelled caller still waits for the write, so that it knows whether the record exists.

        Raises:
            AuditError: the record could not be written completely; a cancelled caller gets this error too.
        """
        write = self._thread.submit(self._write_line, self._line(record, trace_id))
        written = asyncio.wrap_future(write)
        cancelled: asyncio.CancelledError | None = None
        try:
            await asyncio.wait((written,), timeout=2 * WRITE_SECONDS)
        except asyncio.CancelledError as error:
            cancelled = error
            await asyncio.wait((written,), timeout=2 * WRITE_SECONDS)
        if not written.done():
            # The write waits for an earlier one, and must not happen after this error. `written.cancel()` would take
            # effect only in the event loop's next iteration.
            write.cancel()
            raise AuditError("cannot write the audit record: an earlier write has not finished")
        written.result()
        if cancelled is not None:
            raise cancelled

    def record_now(self, record: AuditRecord) -> None:
        """Writes one record without an event loop.

        Raises:
            AuditError: the record could not be written completely.
        """
        self._write_line(self._line(record, ""))

    def _write_line(self, line: Mapping[str, object]) -> None:
        try:
            self._write(_text(line) + b"\n")
        except OSError as error:
            raise AuditError(f"cannot write the audit record: {error}") from error

    def _line(self, record: AuditRecord, trace_id: str) -> dict[str, object]:
        """Returns the record as JSON: Cloud Logging's special fields, and the facts for programs."""
        now = self._clock()
        indexed = {name: str(record.facts[name]) for name in _INDEXED if name in record.facts}
        line: dict[str, object] = {
            "severity": record.severity,
            "time": now.isoformat(timespec="microseconds"),
            "message": record.message,
            "logging.googleapis.com/labels": {
                "log": LOG_NAME,
                "event": record.event,
                "csr_uid": record.csr_uid,
                **indexed,
            },
            "event": record.event,
            "csr_uid": record.csr_uid,
            "event_id": record.event_id,
            **record.facts,
        }
        if record.created is not None:
            line["age_seconds"] = max(0.0, round((now - record.created).total_seconds(), 3))
        if trace_id and self._project:
            line["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace_id}"
        # Cloud Logging keeps one of two entries with equal id and time, so a line that is sent twice counts once.
        line["logging.googleapis.com/insertId"] = hashlib.sha256(_text(line)).hexdigest()[:32]
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTrail:
    """Records the events of one CSR; every record has the facts that are known so far.

    Attributes:
        audit: writes the records.
        csr_uid: the CSR's uid.
        event_id: the event's id.
        trace_id: the event's trace.
        facts: the facts in every record.
        created: the CSR's creation time; None before the function reads the CSR.
    """

    audit: Audit
    csr_uid: str
    event_id: str
    trace_id: str
    facts: Mapping[str, object]
    created: datetime | None = None

    def about(self, facts: Mapping[str, object], *, created: datetime) -> "AuditTrail":
        """Returns a trail with additional facts in every record."""
        return AuditTrail(
            audit=self.audit,
            csr_uid=self.csr_uid,
            event_id=self.event_id,
            trace_id=self.trace_id,
            facts={**self.facts, **facts},
            created=created,
        )

    async def record(self, event: str, severity: str, message: str, facts: Mapping[str, object]) -> None:
        """Writes one record.

        Raises:
            AuditError: the record could not be written completely.
        """
        record = AuditRecord(
            event=event,
            severity=severity,
            message=message,
            csr_uid=self.csr_uid,
            event_id=self.event_id,
            facts={**self.facts, **facts},
            created=self.created,
        )
        await self.audit.record(record, trace_id=self.trace_id)


def _text(line: Mapping[str, object]) -> bytes:
    return json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def csr_facts(csr: CertificateSigningRequest, signer: Signer) -> dict[str, object]:
    """Returns the requester and the request, for every record about a CSR of ours."""
    return {
        "cluster": signer.cluster,
        "signer_name": signer.signer_name,
        "csr_name": bounded(csr.name),
        "csr_resource_version": csr.resource_version,
        "requester": bounded(csr.requester.username),
        "request_sha256": hashlib.sha256(csr.request).hexdigest(),
        "configuration_digest": signer.configuration_digest,
    }


def attestation_facts(attestation: Attestation) -> dict[str, object]:
    """Returns the facts about the requester's pod that reproduce the decision; empty without a pod."""
    identity, pod = attestation.identity, attestation.pod
    if identity is None:
        return {}
    facts: dict[str, object] = {"pod": f"{identity.namespace}/{identity.pod_name}", "pod_uid": identity.pod_uid}
    if pod is not None:
        visible = sorted(str(address) for address in attestation.addresses)
        facts |= {"node": bounded(pod.node_name), "visible_addresses": visible[:_MOST_ADDRESSES]}
    return facts


def certificate_facts(permit: Permit, tbs: TBSCertificate, key_version: str) -> dict[str, object]:
    """Returns the certified fields and the key version."""
    return {
        "component": permit.component,
        "common_name": permit.common_name,
        "dns_names": list(permit.dns_names),
        "ip_addresses": [str(address) for address in permit.ip_addresses],
        "extended_key_usage": list(permit.extended_key_usage),
        "unconfirmed_addresses": [str(address) for address in permit.unconfirmed_addresses[:_MOST_ADDRESSES]],
        "public_key": permit.public_key.name,
        "public_key_sha256": permit.public_key.sha256,
        "not_before": permit.not_before.isoformat(),
        "not_after": permit.not_after.isoformat(),
        "serial_number": der.hexadecimal(tbs.serial_number),
        "tbs_sha256": tbs.sha256,
        "key_version": key_version,
    }


def fault(error: SignerError, *, csr_uid: str, event_id: str, cluster: str = "") -> AuditRecord:
    """Returns a fault as a record; without a cluster if the event named none of ours."""
    return AuditRecord(
        event="fault",
        severity=error.severity,
        message=str(error)[:LONGEST_TEXT],
        csr_uid=csr_uid,
        event_id=event_id,
        facts={
            **({"cluster": cluster} if cluster else {}),
            "fault": type(error).__name__,
            "status": error.status,
        },
    )
