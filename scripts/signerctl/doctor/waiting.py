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
    count = "1 CSR waits" if len(csrs) == 1 else f"{len(csrs)} CSRs wait"
    if not reports:
        return result.warning(
            f"{count}, and the function reported nothing about them",
            f"see exporter, function and rights; signerctl explain {shell_word('csr/' + csrs[0]['metadata']['name'])}",
        )
    name, event = next(iter(reports.items()))
    # Whoever may create Events in `default` can write one like it, so the remedy repeats no instruction of it.
    text = f"{count}; an Event on {quote(name)} says {event.reason}: {quote(event.message, most=LONGEST_SENTENCE)}"
    remedy = "compare with the other checks and with the function's records; the exporter resends the CSRs"
    waits_for_operator = event.reason == reporting.OPERATOR.reason
    return result.error(text, remedy) if waits_for_operator else result.warning(text, remedy)


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
