"""The CSRs that wait, and what the function says about them in their Events."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from csr_signer.violation import quote
from signerctl.doctor import result
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result

_CSRS: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_EVENTS: Final = "/api/v1/namespaces/default/events"
_PATIENCE: Final = timedelta(seconds=10)
"""A CSR that waits longer gets an Event."""
_OPERATOR: Final = "WaitingForOperator"
_FINAL: Final = ("Denied", "Failed")

Json = Mapping[str, Any]


def waiting(found: Examination) -> Result:
    """Checks that no CSR waits, and says what the function reports about the oldest one that does."""
    csrs = sorted(
        (
            csr
            for signer in found.signers
            for csr in found.api.list(_CSRS, fieldSelector=f"spec.signerName={signer.signer_name}")
            if _waits(csr, found.now)
        ),
        key=lambda csr: str(csr["metadata"]["creationTimestamp"]),
    )
    if not csrs:
        return result.ok(f"no CSR waits longer than {_PATIENCE.total_seconds():.0f} s")
    reports = _reports(found, csrs)
    count = "1 CSR waits" if len(csrs) == 1 else f"{len(csrs)} CSRs wait"
    if not reports:
        return result.warning(
            f"{count}, and the function reported nothing about them",
            f"see exporter, function and rights; signerctl explain csr/{quote(csrs[0]['metadata']['name'])}",
        )
    name, event = next((csr, event) for csr, event in reports.items())
    text = f"{count}; {quote(name)}: {event['reason']}: {event['message']}"
    remedy = "do what the message says; the exporter resends the CSRs"
    return result.error(text, remedy) if event["reason"] == _OPERATOR else result.warning(text, remedy)


def _waits(csr: Json, now: datetime) -> bool:
    status = csr.get("status") or {}
    is_over = status.get("certificate") or any(each["type"] in _FINAL for each in status.get("conditions") or ())
    return not is_over and now - datetime.fromisoformat(csr["metadata"]["creationTimestamp"]) >= _PATIENCE


def _reports(found: Examination, csrs: Sequence[Json]) -> dict[str, Json]:
    """Returns the function's last Event on each of the CSRs, by the CSR's name, the oldest CSR first."""
    events: dict[str, Json] = {}
    for event in found.api.list(_EVENTS, fieldSelector="involvedObject.kind=CertificateSigningRequest"):
        if str(event.get("reason", "")).startswith("WaitingFor"):
            events[str(event["involvedObject"].get("uid"))] = event
    return {csr["metadata"]["name"]: events[csr["metadata"]["uid"]] for csr in csrs if csr["metadata"]["uid"] in events}
