"""Steps 9 and 11, record: one line before the key is used and one for every outcome, in Cloud Logging's JSON.

An intent that cannot be written is no intent: the exception reaches the pipeline and nothing is signed. What a
requester wrote is escaped and bounded; no token, key or request ever stands in a line.
"""

import hashlib
import json
import os
import select
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from csr_signer.attestation import Attestation
from csr_signer.csr import CertificateSigningRequest
from csr_signer.errors import SignerError, UnavailableError
from csr_signer.lint import TBSCertificate
from csr_signer.policy import Permit, Signer
from csr_signer.violation import LONGEST_TEXT, quote

LOG_NAME: Final = "csr-signer"
WRITE_SECONDS: Final = 5.0
_STANDARD_OUTPUT: Final = 1
_MOST_ADDRESSES: Final = 4  # an honest pod has one or two


class LineWriter:
    """Whole lines to a file descriptor, each in one system call, so that no other line can stand inside it.

    Args:
        descriptor: where to; standard output in production.
    """

    def __init__(self, descriptor: int = _STANDARD_OUTPUT) -> None:
        self._descriptor = descriptor
        self._broken = False

    def __call__(self, line: bytes) -> None:
        """Writes a line, or fails within WRITE_SECONDS.

        Raises:
            OSError: not all of it was written. The next line then starts with a line end, so that what was written of
                this one does not swallow it.
        """
        if not select.select([], [self._descriptor], [], WRITE_SECONDS)[1]:
            raise OSError("nobody reads standard output")
        whole = b"\n" + line if self._broken else line
        self._broken = True
        written = os.write(self._descriptor, whole)
        self._broken = written != len(whole)
        if self._broken:
            raise OSError(f"{written} of {len(whole)} bytes of an audit record were written")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One line: who asked, what was decided, by which rules, which serial, which key version.

    Attributes:
        event: `intent`, `issued`, `abandoned` (an intent that came to nothing), `refused`, `deferred`, `ignored`,
            `fault`, or `issuer_expiry` (a CA that must be rotated; it belongs to no CSR).
        severity: of Cloud Logging.
        message: for people.
        csr_uid: by which everything about one CSR is found.
        facts: for machines; values are ours, or quoted.
    """

    event: str
    severity: str
    message: str
    csr_uid: str
    facts: Mapping[str, object]


class Audit:
    """Writes audit records.

    Args:
        write: takes one whole line or raises; standard output where none is given.
        project: Google Cloud project of the traces, empty where there is none.
    """

    def __init__(self, *, write: Callable[[bytes], None] | None = None, project: str = "") -> None:
        self._write = write or LineWriter()
        self._project = project
        self._lock = threading.Lock()

    def record(self, record: AuditRecord, *, trace_id: str = "") -> None:
        """Writes one record.

        Raises:
            UnavailableError: it could not be written whole.
        """
        line: dict[str, object] = {
            "severity": record.severity,
            "message": record.message,
            "logging.googleapis.com/labels": {
                "log": LOG_NAME,
                "event": record.event,
                "csr_uid": record.csr_uid,
            },
            "event": record.event,
            "csr_uid": record.csr_uid,
            **record.facts,
        }
        if trace_id and self._project:
            line["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace_id}"
        text = json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
        if not self._lock.acquire(timeout=WRITE_SECONDS):
            raise UnavailableError("the audit record could not be written: others wait to be written")
        try:
            self._write(text)
        except OSError as error:
            raise UnavailableError(f"the audit record could not be written: {error}") from error
        finally:
            self._lock.release()


def csr_facts(csr: CertificateSigningRequest, signer: Signer) -> dict[str, object]:
    """Who asked for what, as every record about a CSR that is ours states it."""
    return {
        "cluster": signer.cluster,
        "signer_name": signer.signer_name,
        "csr_name": quote(csr.name),
        "csr_resource_version": csr.resource_version,
        "requester": quote(csr.requester.username),
        "request_sha256": hashlib.sha256(csr.request).hexdigest(),
        "configuration_digest": signer.configuration_digest,
    }


def attestation_facts(attestation: Attestation) -> dict[str, object]:
    """The pod that was found behind the requester, by which the decision can be made again; nothing where none was."""
    identity, pod = attestation.identity, attestation.pod
    if identity is None:
        return {}
    facts: dict[str, object] = {"pod": f"{identity.namespace}/{identity.pod_name}", "pod_uid": identity.pod_uid}
    if pod is not None:
        visible = sorted(str(address) for address in attestation.addresses)
        facts |= {"node": quote(pod.node_name), "visible_addresses": visible[:_MOST_ADDRESSES]}
    return facts


def certificate_facts(permit: Permit, tbs: TBSCertificate, key_version: str) -> dict[str, object]:
    """What is, or is about to be, certified, and with which key version."""
    return {
        "component": permit.component,
        "common_name": permit.common_name,
        "dns_names": list(permit.dns_names),
        "ip_addresses": [str(address) for address in permit.ip_addresses],
        "unconfirmed_addresses": [str(address) for address in permit.unconfirmed_addresses[:_MOST_ADDRESSES]],
        "public_key": permit.public_key.name,
        "public_key_sha256": permit.public_key.sha256,
        "not_before": permit.not_before.isoformat(),
        "not_after": permit.not_after.isoformat(),
        "serial_number": f"{tbs.serial_number:x}",
        "tbs_sha256": tbs.sha256,
        "key_version": key_version,
    }


def fault(error: SignerError, *, csr_uid: str, event_id: str) -> AuditRecord:
    """A fault as a record."""
    return AuditRecord(
        event="fault",
        severity=error.severity,
        message=str(error)[:LONGEST_TEXT],
        csr_uid=csr_uid,
        facts={"fault": type(error).__name__, "status": error.status, "event_id": quote(event_id)},
    )
