"""The CSRs that wait, and what the function says about them in their Events."""

from collections.abc import Sequence
from datetime import datetime

from csr_signer import reporting
from csr_signer.objects.event import COMPONENT
from csr_signer.reporting import PATIENCE
from csr_signer.violation import LONGEST_SENTENCE, quote
from signerctl import objects
from signerctl.api_server import Json
from signerctl.doctor import result
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.interface.text import shell_word
from signerctl.objects import CSRS, Event

_TURNS = {turn.reason for turn in (reporting.OPERATOR, reporting.SERVICE, reporting.REQUESTER)}


def waiting(examination: Examination) -> Result:
    """Checks that no CSR waits, and says what the function reports about the oldest one that does."""
    csrs = sorted(
        (
            csr
            for signer in examination.signers
            for csr in examination.api.list(CSRS, objects.CSR, fieldSelector=f"spec.signerName={signer.signer_name}")
            if _waits(csr, examination.now)
        ),
        key=objects.created,
    )
    if not csrs:
        return result.ok(f"no CSR waits longer than {PATIENCE.total_seconds():.0f} s")
    reports = _reports(examination, csrs)
    count, them = ("1 CSR waits", "it") if len(csrs) == 1 else (f"{len(csrs)} CSRs wait", "them")
    if not reports:
        oldest = shell_word(f"csr/{csrs[0]['metadata']['name']}")
        return result.warning(
            f"{count}, and the function wrote no Event about {them}",
            f"see the checks exporter, function and rights; then run signerctl explain {oldest}",
        )
    name, event = next(iter(reports.items()))
    # Any user that may create Events in `default` can write one like it, so the remedy repeats no instruction of it.
    said = f"{event.reason}: {quote(event.message, most=LONGEST_SENTENCE)}"
    text = f"{count}; an Event on {quote(name)}, of {quote(event.time)}, says {said}"
    if event.reason == reporting.REQUESTER.reason:
        return result.warning(text, "the pod or its kubelet acts; the exporter resends the CSRs")
    remedy = "compare with the other checks and with the function's records: docs/outages.md"
    return result.error(text, f"{remedy}; the exporter resends the CSRs")


def _waits(csr: Json, now: datetime) -> bool:
    return not objects.is_final(csr) and now - objects.created(csr) >= PATIENCE


def _reports(examination: Examination, csrs: Sequence[Json]) -> dict[str, Event]:
    """Returns the function's last Event on each of the CSRs, by the CSR's name, the oldest CSR first."""
    events = {
        event.uid: event
        for event in objects.events(examination.api, "default", kind="CertificateSigningRequest")
        if event.component == COMPONENT and event.reason in _TURNS
    }
    return {csr["metadata"]["name"]: events[csr["metadata"]["uid"]] for csr in csrs if csr["metadata"]["uid"] in events}
