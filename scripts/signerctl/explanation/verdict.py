"""What a trial and a CSR's state mean: why the CSR stands where it stands, whose turn it is, and what to do."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from csr_signer import errors, reporting
from csr_signer.errors import SignerError
from csr_signer.events.outcome import Deferred, Ignored, Refused
from csr_signer.policy.signer import Signer
from csr_signer.policy.triage import IgnoreReason
from csr_signer.violation import CODES, quote
from signerctl import objects
from signerctl.api_server import Json
from signerctl.explanation import remedies
from signerctl.explanation.trial import Trial

_TOO_LATE: Final = CODES["lifetime.too_late"].reason
_REQUEST_AGAIN: Final = (
    "correct the request's cause (docs/refusals.md has each code); then delete the CSR and the pod, whose replacement"
    " asks again"
)

_BY_NO_POD: Final = frozenset({"requester.not_a_pod", "requester.unbound"})
_ONLY_PODS: Final = "delete the CSR: only a pod can get a certificate, with a CSR that its own bound token files"
_WHOSE: Final = (
    "find out who runs the pod: if you did not install it, delete the CSR, and leave the configuration as it is"
)
_DEPLOY: Final = "`terraform apply` deploys that; then delete the CSR and the pod, whose replacement asks again"
_ASK_AGAIN: Final = "delete the CSR and the pod: its replacement asks again"


class Turn(enum.StrEnum):
    """Who acts next. The first three are those of the function's Events, `WaitingForOperator` and so on."""

    OPERATOR = "operator"
    REQUESTER = "requester"
    SERVICE = "service"
    """The exporter sends the CSR again; the operator must act only if that lasts."""
    APPROVER = "approver"
    FUNCTION = "function"
    """Nothing in the request stops it."""
    NONE = "none"


TURNS: Final = {
    reporting.OPERATOR.reason: Turn.OPERATOR,
    reporting.REQUESTER.reason: Turn.REQUESTER,
    reporting.SERVICE.reason: Turn.SERVICE,
}
"""The turns by the reasons of Events."""
_REMEDIES: Final = {
    Turn.OPERATOR: "check this against signerctl doctor and the function's records, and fix the problem; the exporter"
    " resends the CSR, and the function signs it",
    Turn.REQUESTER: "the status of the pod must show the addresses: kubectl get pod -o wide; on the host's network, the"
    " status of its node: kubectl get node -o wide. If the pod has another address, the request is wrong",
    Turn.SERVICE: "the exporter resends the CSR; nothing is lost. If this lasts: docs/outages.md",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to why.

    Attributes:
        state: `issued`, `refused`, `waiting`, `foreign`, or `unknown` if the operator's credentials do not show it.
        why: One or two sentences.
        turn: Who acts next.
        remedy: What that is; empty if nothing is left to do.
        unacted: Whether the function has not done what the decision allows, so that the cause is on its way.
        depends_on_peers: Whether the pod needs nothing of the function, so that what its peers accept may be the cause.
    """

    state: Literal["issued", "refused", "waiting", "foreign", "unknown"]
    why: str
    turn: Turn
    remedy: str = ""
    unacted: bool = False
    depends_on_peers: bool = False


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
            waiting = Verdict(
                state="waiting",
                why=f"the request breaks the profile's rules, and the function has not denied it yet: {trial.message}",
                turn=Turn.REQUESTER,
                remedy=f"{_REQUEST_AGAIN}; codes: {', '.join(codes)}",
                unacted=True,
            )
            return _of_codes(waiting, codes)
        case Deferred():
            return _deferred(trial, signer)
        case _:
            return _of_calls(csr, trial)


def _of_calls(csr: Json, trial: Trial) -> Verdict:
    if trial.fault is not None:
        return of_fault(str(trial.fault), type(trial.fault))
    return _ready(csr, trial)


def _ignored(csr: Json, reason: IgnoreReason, trial: Trial, supported: tuple[str, ...]) -> Verdict:
    match reason:
        case IgnoreReason.ISSUED if trial.severity == "ERROR":
            return Verdict(
                state="foreign",
                why="the CSR holds a certificate that the CA in --configuration did not sign for its key",
                turn=Turn.OPERATOR,
                remedy="first check that --configuration is the deployed document; only if it is, find out who wrote"
                " the certificate: the API server's audit log, and docs/audit.md",
            )
        case IgnoreReason.ISSUED:
            return Verdict(
                state="issued", why="the certificate is in the CSR's status", turn=Turn.NONE, depends_on_peers=True
            )
        case IgnoreReason.DENIED | IgnoreReason.FAILED:
            return _refused(csr)
        case IgnoreReason.NOT_APPROVED:
            return Verdict(
                state="waiting",
                why="signers[].approve is false: another approver decides, and the function signs then",
                turn=Turn.APPROVER,
                remedy="approve or deny it: kubectl certificate approve NAME",
            )
        case IgnoreReason.OTHER_SIGNER:
            got, names = quote(csr["spec"]["signerName"]), ", ".join(map(quote, supported))
            return Verdict(
                state="foreign",
                why=f"spec.signerName: Unsupported value: {got}: supported values: {names}; the function ignores it",
                turn=Turn.OPERATOR,
                remedy="another signer must act. If you meant a pod's own CSR, give pod/NAME",
            )
        case IgnoreReason.GONE:
            return Verdict(
                state="foreign",
                why="the CSR is being deleted, or another one has its name now",
                turn=Turn.REQUESTER,
                remedy="run explain again",
            )


def _refused(csr: Json) -> Verdict:
    condition = objects.refusal(csr) or {}
    message, reason = str(condition.get("message", "")), str(condition.get("reason", ""))
    said = f"{condition.get('type')}, {reason}: {message or 'without a message'}"
    if reason == _TOO_LATE:
        return Verdict(
            state="refused",
            why=f"the function set {said}",
            turn=Turn.OPERATOR,
            remedy="if the issuer's chain ends soon, rotate the CA: docs/rotation.md; then delete the CSR and the pod,"
            " whose replacement asks again",
        )
    ours = reason in {rule.reason for rule in CODES.values()}
    who = "the function" if ours else "another approver"
    return Verdict(
        state="refused",
        why=f"{who} set {said}",
        turn=Turn.REQUESTER,
        remedy=_REQUEST_AGAIN if ours else "ask that approver; the API server's audit log names it",
    )


def again(refused: Verdict, trial: Trial) -> Verdict:
    """Adds to a refusal what the function would decide now.

    Args:
        refused: The verdict on a CSR that is Denied or Failed.
        trial: Where the pipeline stops with the same CSR as it was created.
    """
    if isinstance(trial.outcome, Refused):
        codes = trial.outcome.codes
        return replace(refused, remedy=_ONLY_PODS) if _BY_NO_POD & {*codes} else _of_codes(refused, codes)
    if trial.outcome is not None or trial.fault is not None:
        return refused
    return replace(refused, why=f"{refused.why}; a new CSR like it would now pass this decision", remedy=_ASK_AGAIN)


def _deferred(trial: Trial, signer: Signer | None) -> Verdict:
    limit = "" if signer is None else f" within {signer.deferral_limit.total_seconds():.0f} s of its creation"
    why = f"{trial.message}; the function refuses the CSR if they do not appear{limit}"
    return Verdict(state="waiting", why=why, turn=Turn.REQUESTER, remedy=_REMEDIES[Turn.REQUESTER])


def _of_codes(refused: Verdict, codes: Iterable[str]) -> Verdict:
    """Returns a refusal with the remedies of its codes, if the usual cause of all is the operator's configuration.

    The request may be an attacker's all the same, so the operator first finds out whose pod it is.
    """
    found = dict.fromkeys(map(remedies.of_configuration, codes))
    if not all(found):
        return refused
    remedy = f"{_WHOSE}. If you did: {'; '.join(found)}; {_DEPLOY}"
    return replace(refused, turn=Turn.OPERATOR, remedy=remedy)


def of_fault(why: str, fault: type[SignerError]) -> Verdict:
    """Returns the verdict on a fault of the function, or of a call that the function would make too.

    Args:
        why: What is wrong.
        fault: The fault's class.
    """
    # While the API server is unavailable, the function writes no Event, and the exporter resends.
    turn = reporting.turn_of(fault("")) or reporting.SERVICE
    return of_event(why, turn.reason)


def of_event(why: str, reason: str) -> Verdict:
    """Returns the verdict that the function's Event on a waiting CSR tells.

    Args:
        why: The Event's message.
        reason: The Event's reason, one of `TURNS`.
    """
    turn = TURNS[reason]
    return Verdict(state="waiting", why=why, turn=turn, remedy=_REMEDIES[turn])


def fault_named(name: str) -> type[SignerError]:
    """Returns the class of a fault, as audit records name it; SignerError for a name of another release."""
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, SignerError) else SignerError


def _ready(csr: Json, trial: Trial) -> Verdict:
    conditions = {each["type"] for each in objects.conditions(csr)}
    next_step = "sign it" if "Approved" in conditions else "approve and sign it"
    unseen = f"; whether the key version is usable is unknown: {trial.assumed}" if trial.assumed else ""
    return Verdict(
        state="waiting",
        why=f"nothing in the request stops it: with this configuration, the function would {next_step}{unseen}",
        turn=Turn.FUNCTION,
        remedy="the exporter sends it within seconds; if it stays, the cause is between exporter, function and API"
        " server: run signerctl doctor, and read the exporter's log",
        unacted=True,
    )
