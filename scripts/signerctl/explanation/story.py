"""The whole explanation of a CSR or a pod: the verdict, and what the cluster, the records and doctor tell."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from csr_signer.objects.event import COMPONENT
from csr_signer.violation import LONGEST_SENTENCE, quote
from signerctl import objects
from signerctl.api_server import ApiServer, ApiServerError, Json
from signerctl.doctor import key_pairs
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Level, Result
from signerctl.doctor.walk import CHECKS, Check, walk
from signerctl.explanation import lookup, trial, verdict
from signerctl.explanation.trial import STEPS
from signerctl.explanation.verdict import Turn, Verdict
from signerctl.key_pairs.catalog import KeyPair
from signerctl.objects import SERVICE_ACCOUNT, Event
from signerctl.recorded import entries

_MAX_RECORDS: Final = 5
_MAX_EVENTS: Final = 10
_WORST: Final = ("error", "warning", "unknown")
_PEERS: Final = ("trust-bundle", "installation")
_FACTS: Final = ("reason", "codes", "violations", "fault", "status", "decided_at", "serial_number", "not_after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What one check of doctor found, if not that all is well."""

    check: Check
    result: Result

    @property
    def document(self) -> Json:
        """The cause for programs."""
        found, remedy = self.result.found, self.result.remedy
        return {"check": self.check.name, "level": self.result.level, "found": found, "remedy": remedy}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a CSR, or a pod without one, waits or was refused.

    Attributes:
        kind, name, created: Of the explained object.
        facts: What else the API server says about it, by title.
        step: The step of the function's flow that decides; 0 before the first.
        account: The requester's service account, as NAMESPACE/NAME; empty for another requester.
        verdict: The answer.
        events: Events on the CSR and on its pod, the oldest first.
        records: The function's last audit records of the CSR, the oldest first.
        causes: What doctor found on the way of the certificate, or on what its peers accept.
    """

    kind: str
    name: str
    created: datetime
    facts: Mapping[str, str]
    step: int
    account: str
    verdict: Verdict
    events: Sequence[Event] = ()
    records: Sequence[Json] = ()
    causes: Sequence[Cause] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The explanation for programs."""
        return {
            "kind": self.kind,
            "name": self.name,
            "created": self.created.isoformat(),
            **self.facts,
            "state": self.verdict.state,
            "step": self.step,
            "step_name": STEPS[self.step - 1] if self.step else "",
            "why": self.verdict.why,
            "turn": self.verdict.turn.value,
            "remedy": self.verdict.remedy,
            "events": [asdict(each) for each in self.events],
            "records": list(self.records),
            "causes": [each.document for each in self.causes],
        }


def of_csr(csr: Json, examination: Examination, records: Iterable[Json]) -> Explanation:
    """Explains a CSR.

    Args:
        csr: The CSR.
        examination: The configuration, loaded.
        records: The function's audit records of it.

    Raises:
        CommandError: The API server does not answer.
    """
    signers = {signer.signer_name: (signer, partial(examination.public_key, signer)) for signer in examination.signers}
    attempt = partial(
        trial.run, csr, api=examination.api, cluster=examination.cluster, signers=signers, now=examination.now
    )
    tried = attempt()
    signer = signers.get(csr["spec"]["signerName"], (None, None))[0]
    judged = verdict.judge(csr, tried, signer, supported=tuple(sorted(signers)))
    if judged.state == "refused":
        tried = attempt(afresh=True)
        judged = verdict.again(judged, tried)
    namespace, pod = lookup.requester(csr)
    username = str(csr["spec"].get("username", ""))
    account = username.removeprefix(SERVICE_ACCOUNT).replace(":", "/") if username.startswith(SERVICE_ACCOUNT) else ""
    uid = str(csr["metadata"]["uid"])
    return Explanation(
        kind="CertificateSigningRequest",
        name=csr["metadata"]["name"],
        created=objects.created(csr),
        facts={
            "uid": uid,
            "signer_name": csr["spec"]["signerName"],
            "requester": username,
            "pod": f"{namespace}/{pod}" if pod else "",
            "conditions": ", ".join(each["type"] for each in objects.conditions(csr)),
        },
        step=tried.step,
        account=account,
        verdict=judged,
        events=_events(examination.api, csr, namespace, pod),
        records=_records(records),
    )


def concluded(explained: Explanation, causes: Sequence[Cause]) -> Explanation:
    """Names the cause of a CSR that the function has not acted on, although nothing in the request stops it.

    The function's last record of the CSR comes first, then its last Event. Doctor's first error stands beside them: a
    record may be old, and other users may write an Event like the function's.

    Args:
        explained: The CSR.
        causes: What doctor found.
    """
    errors = (each for each in causes if each.result.level == "error" and each.check.stops_requests)
    stopping = sorted(errors, key=lambda each: each.check.is_symptom)
    answered = _of_record(explained) or _of_event(explained) or explained.verdict
    if stopping:
        first = stopping[0]
        why = f"{answered.why}; but {first.check.name}: {first.result.found}"
        answered = replace(answered, why=why, turn=Turn.OPERATOR, remedy=first.result.remedy)
    return replace(explained, verdict=answered, causes=causes)


def accepted(explained: Explanation, causes: Sequence[Cause]) -> Explanation:
    """Says why a pod may not become ready although it has its certificate, or asks for none.

    If the verdict says who acts already, that stays, except beside an error: its peers would refuse the certificate.

    Args:
        explained: The CSR or pod.
        causes: What doctor found on the certificates that the pod's peers accept.
    """
    if not causes:
        return explained
    first = min(causes, key=lambda each: _WORST.index(each.result.level))
    unknown = "it is not known whether its peers accept it: " if first.result.level == "unknown" else ""
    why = f"{explained.verdict.why}; but {unknown}{first.check.name}: {first.result.found}"
    judged = replace(explained.verdict, why=why)
    if first.result.level == "error" or explained.verdict.turn is Turn.NONE or first.check.name == "key-pairs":
        judged = replace(judged, turn=Turn.OPERATOR, remedy=first.result.remedy)
    return replace(explained, verdict=judged, causes=causes)


def _of_record(explained: Explanation) -> Verdict | None:
    """Returns the verdict of the function's last record; None if that is no fault."""
    record = explained.records[-1] if explained.records else {}
    if record.get("event") != "fault":
        return None
    kind = verdict.fault_named(str(record.get("fault", "")))
    return verdict.of_fault(f"{explained.verdict.why}; but the function says: {record['message']}", kind)


def _of_event(explained: Explanation) -> Verdict | None:
    """Returns the verdict of the function's last Event on the CSR; None if there is none.

    Events on the pod do not count: other programs and users can write Events in its namespace.
    """
    own = [
        each
        for each in explained.events
        if each.kind == explained.kind and each.component == COMPONENT and each.reason in verdict.TURNS
    ]
    if not own:
        return None
    said = quote(own[-1].message, most=LONGEST_SENTENCE)
    return verdict.of_event(f"{explained.verdict.why}; but an Event says: {said}", own[-1].reason)


def way_of(examination: Examination) -> list[Cause]:
    """Walks as doctor does; returns the errors, and what is unknown on the way."""
    found = _causes(examination, CHECKS, {"error", "unknown"})
    return [each for each in found if each.result.level == "error" or each.check.stops_requests]


def peers_of(examination: Examination, account: str) -> list[Cause]:
    """Checks what the peers of a service account's pods accept; returns errors, warnings and what is unknown.

    Args:
        examination: The configuration, loaded.
        account: NAMESPACE/NAME; other accounts' key pairs do not matter.
    """
    pairs = key_pairs.of_account(examination, account)
    checks = [each for each in CHECKS if each.name in _PEERS]
    if pairs:
        checks.append(key_pair_check(pairs))
    return _causes(examination, checks, {"error", "warning", "unknown"})


def key_pair_check(pairs: Sequence[KeyPair]) -> Check:
    """Returns doctor's check of key pairs, for some of them."""
    (check,) = (each for each in CHECKS if each.name == "key-pairs")
    return replace(check, run=partial(key_pairs.checked, pairs=pairs))


def _causes(examination: Examination, checks: Sequence[Check], levels: Collection[Level]) -> list[Cause]:
    return [
        Cause(check=check, result=outcome) for check, outcome in walk(examination, checks) if outcome.level in levels
    ]


def _events(api: ApiServer, csr: Json, namespace: str, pod: str) -> list[Event]:
    """Returns the Events on a CSR and on its pod."""
    of_csr = readable(api, "default", uid=str(csr["metadata"]["uid"]))
    return [*of_csr, *(readable(api, namespace, kind="Pod", name=pod) if pod else ())]


def readable(api: ApiServer, namespace: str, **about: str) -> list[Event]:
    """Returns the last Events on one object, the oldest first; none if the operator may not read them."""
    try:
        return objects.events(api, namespace, **about)[-_MAX_EVENTS:]
    except ApiServerError:
        return []


def _records(records: Iterable[Json]) -> list[Json]:
    found = sorted(records, key=entries.time)
    return [
        {
            "time": str(record.get("time", "")),
            "event": record["event"],
            "message": record.get("message", ""),
            **{name: record[name] for name in _FACTS if name in record},
        }
        for record in found[-_MAX_RECORDS:]
    ]
