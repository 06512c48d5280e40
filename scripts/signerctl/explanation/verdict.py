"""What a trial and a CSR's state mean: why the CSR stands where it stands, whose turn it is, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from csr_signer import errors, reporting
from csr_signer.events.outcome import Deferred, Ignored, Refused
from csr_signer.policy.signer import Signer
from csr_signer.policy.triage import IgnoreReason
from csr_signer.violation import CODES, quote
from signerctl.explanation.trial import Trial

Turn = Literal["nobody", "operator", "requester", "time", "approver", "function"]
"""Who acts next; `time`: a retry can succeed; `function`: nothing in the request stops it."""

_FINAL: Final = ("Denied", "Failed")
_TOO_LATE: Final = "lifetime.too_late"
_REQUEST_AGAIN: Final = (
    "correct the request's cause (docs/refusals.md has each code); then delete the CSR and the pod, whose replacement"
    " asks again"
)

_ASK_AGAIN: Final = "delete the CSR and the pod: its replacement asks again"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to why.

    Attributes:
        state: `issued`, `refused`, `waiting` or `foreign`.
        why: One or two sentences.
        turn: Who acts next.
        remedy: What that is; empty if nothing is left to do.
        unacted: Whether the function has not done what the decision allows, so that the cause is on its way.
    """

    state: Literal["issued", "refused", "waiting", "foreign"]
    why: str
    turn: Turn
    remedy: str = ""
    unacted: bool = False


def judge(csr: Json, trial: Trial, signer: Signer | None, *, supported: tuple[str, ...]) -> Verdict:
    """Returns the verdict.

    Args:
        csr: The CSR.
        trial: Where the pipeline stops.
        signer: The CSR's signer; None if the configuration has none for its signerName.
        supported: The signerNames of the configuration.
    """
    match trial.outcome:
        case Ignored(reason=reason):
            return _ignored(csr, reason, trial, supported)
        case Refused(codes=codes):
            return Verdict(
                state="waiting",
                why=f"the request breaks the profile's rules, and the function has not denied it yet: {trial.message}",
                turn="requester",
                remedy=f"{_REQUEST_AGAIN}; codes: {', '.join(codes)}",
                unacted=True,
            )
        case Deferred():
            return _deferred(trial, signer)
        case _:
            return _of_fault(trial) if trial.fault is not None else _ready(csr)


def _ignored(csr: Json, reason: IgnoreReason, trial: Trial, supported: tuple[str, ...]) -> Verdict:
    match reason:
        case IgnoreReason.ISSUED if trial.severity == "ERROR":
            return Verdict(
                state="foreign",
                why="the CSR holds a certificate that this issuer did not sign for its key",
                turn="operator",
                remedy="find out who wrote it: the API server's audit log, and docs/audit.md; remove that user's right"
                " to sign",
            )
        case IgnoreReason.ISSUED:
            return Verdict(state="issued", why="the certificate is in the CSR's status", turn="nobody")
        case IgnoreReason.DENIED | IgnoreReason.FAILED:
            return _refused(csr)
        case IgnoreReason.NOT_APPROVED:
            return Verdict(
                state="waiting",
                why="signers[].approve is false: another approver decides, and the function signs then",
                turn="approver",
                remedy="approve or deny it: kubectl certificate approve NAME",
            )
        case IgnoreReason.OTHER_SIGNER:
            got, names = quote(csr["spec"]["signerName"]), ", ".join(map(quote, supported))
            return Verdict(
                state="foreign",
                why=f"spec.signerName: Unsupported value: {got}: supported values: {names}; the function ignores it",
                turn="operator",
                remedy="if the function should sign it, add a signer to the configuration; otherwise ask its signer",
            )
        case IgnoreReason.GONE:
            return Verdict(
                state="foreign",
                why="the CSR is being deleted, or another one has its name now",
                turn="requester",
                remedy="run explain again",
            )


def _refused(csr: Json) -> Verdict:
    conditions = (csr.get("status") or {}).get("conditions") or ()
    condition = next(each for each in conditions if each["type"] in _FINAL)
    message, reason = str(condition.get("message", "")), str(condition.get("reason", ""))
    ours = reason in {rule.reason for rule in CODES.values()}
    if ours and _TOO_LATE in message:
        return Verdict(
            state="refused",
            why=f"the function set {condition['type']}, {reason}: {message}",
            turn="operator",
            remedy="if the issuer's chain ends soon, rotate the CA: docs/rotation.md; then delete the CSR and the pod,"
            " whose replacement asks again",
        )
    who = "the function" if ours else "another approver"
    return Verdict(
        state="refused",
        why=f"{who} set {condition['type']}, {reason}: {message or 'without a message'}",
        turn="requester",
        remedy=_REQUEST_AGAIN if ours else "ask that approver; the API server's audit log names it",
    )


def again(refused: Verdict, trial: Trial) -> Verdict:
    """Adds to a refusal what the function would decide now.

    Args:
        refused: The verdict on a CSR that is Denied or Failed.
        trial: Where the pipeline stops with the same CSR as it was created.
    """
    if isinstance(trial.outcome, Refused):
        return refused
    return replace(refused, why=f"{refused.why}; a new CSR like it would now pass this decision", remedy=_ASK_AGAIN)


def _deferred(trial: Trial, signer: Signer | None) -> Verdict:
    limit = "" if signer is None else f" within {signer.deferral_limit.total_seconds():.0f} s of its creation"
    return Verdict(
        state="waiting",
        why=f"{trial.message}; the exporter resends it every few seconds, and the function refuses it if they do not"
        f" appear{limit}",
        turn="time",
        remedy="the kubelet writes the pod's address into its status: kubectl get pod -o wide; if it has another"
        " address, the request is wrong",
    )


def _of_fault(trial: Trial) -> Verdict:
    fault = trial.fault
    text = str(fault)
    if "roles/cloudkms.publicKeyViewer" in text:
        return Verdict(
            state="waiting",
            why="the request keeps the profile's rules; whether the key is usable is unknown, because your credentials"
            " may not read it",
            turn="function",
            remedy="run explain with roles/cloudkms.publicKeyViewer on the key",
            unacted=True,
        )
    return of_message(text, type(fault).__name__)


def of_message(why: str, fault: str) -> Verdict:
    """Returns the verdict on a fault of the function, or of a call that the function would make too.

    Args:
        why: What is wrong.
        fault: The fault's class, as audit records name it.
    """
    kind = getattr(errors, fault, errors.SignerError)
    if reporting.turn_of(kind("")) is reporting.OPERATOR:
        remedy = "do what it says; the exporter resends the CSR, and the function then signs it"
        return Verdict(state="waiting", why=why, turn="operator", remedy=remedy)
    return Verdict(state="waiting", why=why, turn="time", remedy="the exporter resends the CSR; nothing is lost")


def _ready(csr: Json) -> Verdict:
    conditions = {each["type"] for each in (csr.get("status") or {}).get("conditions") or ()}
    next_step = "sign it" if "Approved" in conditions else "approve and sign it"
    return Verdict(
        state="waiting",
        why=f"nothing in the request stops it: with this configuration, the function would {next_step}",
        turn="function",
        remedy="the exporter sends it within seconds; if it stays, the cause is between exporter, function and API"
        " server: run signerctl doctor, and read the exporter's log",
        unacted=True,
    )
