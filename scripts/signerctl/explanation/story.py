"""The whole explanation of a CSR or a pod: the verdict, and what the cluster, the records and doctor tell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from csr_signer import reporting
from csr_signer.objects.event import COMPONENT
from signerctl.api_server import ApiServer, ApiServerError
from signerctl.doctor.examination import Examination
from signerctl.doctor.walk import walk
from signerctl.explanation import lookup, trial, verdict
from signerctl.explanation.trial import STEPS
from signerctl.explanation.verdict import Verdict

_MOST_RECORDS: Final = 5
_ON_THE_WAY: Final = (
    "api-server",
    "exporter",
    "exporter-configuration",
    "token",
    "sts",
    "iam",
    "invoker",
    "function",
    "rights",
    "pods",
    "kms-key",
    "guards",
    "clock",
)
"""doctor's checks that can stop a request."""
_SYMPTOMS: Final = ("exporter", "function")
"""Those of them whose error may follow from another check's."""
_FACTS: Final = ("reason", "codes", "violations", "fault", "status", "decided_at", "serial_number", "not_after")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a CSR, or a pod without one, waits or was refused.

    Attributes:
        kind, name: Of the explained object.
        facts: What the API server says about it, by title.
        step: The step of the function's flow that decides; 0 before the first.
        verdict: The answer.
        events: Events on the CSR and on its pod, the oldest first.
        records: The function's last audit records of the CSR, the oldest first.
        causes: What doctor found, if nothing in the request stops it: name, found and remedy of each error.
    """

    kind: str
    name: str
    facts: Mapping[str, str]
    step: int
    verdict: Verdict
    events: Sequence[Json] = ()
    records: Sequence[Json] = ()
    causes: Sequence[Json] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The explanation for programs."""
        return {
            "kind": self.kind,
            "name": self.name,
            **self.facts,
            "state": self.verdict.state,
            "step": self.step,
            "stepName": STEPS[self.step - 1] if self.step else "",
            "why": self.verdict.why,
            "turn": self.verdict.turn,
            "remedy": self.verdict.remedy,
            "events": list(self.events),
            "records": list(self.records),
            "causes": list(self.causes),
        }


def of_csr(csr: Json, found: Examination, records: Iterable[Json]) -> Explanation:
    """Explains a CSR.

    Args:
        csr: The CSR.
        found: The configuration, loaded.
        records: The function's audit records.

    Raises:
        CommandError: The API server does not answer.
    """
    signers = {signer.signer_name: (signer, found.kms_options(signer)) for signer in found.signers}
    attempt = partial(trial.run, csr, api=found.api, cluster=found.cluster, signers=signers, now=found.now)
    tried = attempt()
    signer = signers.get(csr["spec"]["signerName"], (None, None))[0]
    judged = verdict.judge(csr, tried, signer, supported=tuple(sorted(signers)))
    if judged.state == "refused":
        tried = attempt(afresh=True)
        judged = verdict.again(judged, tried)
    namespace, pod = lookup.requester(csr)
    uid = str(csr["metadata"]["uid"])
    return Explanation(
        kind="CertificateSigningRequest",
        name=csr["metadata"]["name"],
        facts={
            "uid": uid,
            "signerName": csr["spec"]["signerName"],
            "requester": str(csr["spec"].get("username", "")),
            "pod": f"{namespace}/{pod}" if pod else "",
            "conditions": ", ".join(each["type"] for each in (csr.get("status") or {}).get("conditions") or ()),
            "age": age(csr, found.now),
        },
        step=tried.step,
        verdict=judged,
        events=_events(found.api, csr, namespace, pod),
        records=_records(uid, records),
    )


def concluded(explained: Explanation, causes: Sequence[Json]) -> Explanation:
    """Names the cause of a CSR that the function has not acted on, although nothing in the request stops it.

    The function's own words about the CSR come first: its last record, or its last Event. Then doctor's first error.

    Args:
        explained: The CSR.
        causes: What doctor found.
    """
    said = _said(explained)
    if said is not None:
        message, fault = said
        why = f"{explained.verdict.why}; but the function says: {message}"
        return replace(explained, verdict=verdict.of_message(why, fault), causes=causes)
    stopping = sorted(
        (each for each in causes if each["check"] in _ON_THE_WAY), key=lambda each: each["check"] in _SYMPTOMS
    )
    if not stopping:
        return replace(explained, causes=causes)
    first = stopping[0]
    why = f"{explained.verdict.why}; but {first['check']}: {first['found']}"
    answered = replace(explained.verdict, why=why, turn="operator", remedy=first["remedy"])
    return replace(explained, verdict=answered, causes=causes)


def _said(explained: Explanation) -> tuple[str, str] | None:
    """Returns the function's last words about a CSR that waits, and the kind of fault; None if it said nothing."""
    for record in reversed(explained.records):
        if record["event"] == "fault":
            return str(record["message"]), str(record.get("fault", ""))
    own = [each for each in explained.events if each["component"] == COMPONENT]
    if not own:
        return None
    waits_for_operator = own[-1]["reason"] == reporting.OPERATOR.reason
    return str(own[-1]["message"]), "ConfigurationError" if waits_for_operator else ""


def causes_of(options: Examination) -> list[Json]:
    """Walks as doctor does, and returns its errors."""
    return [
        {"check": check.name, "found": outcome.found, "remedy": outcome.remedy}
        for check, outcome in walk(options)
        if outcome.level == "error"
    ]


def age(item: Json, now: datetime) -> str:
    """Returns how old an object is, as kubectl writes it."""
    seconds = int((now - datetime.fromisoformat(item["metadata"]["creationTimestamp"])).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def _events(api: ApiServer, csr: Json, namespace: str, pod: str) -> list[Json]:
    """Returns the Events on a CSR and on its pod; none if the operator may not read them."""
    subjects = [("default", csr["metadata"]["name"], csr["metadata"]["uid"])]
    if pod:
        subjects.append((namespace, pod, ""))
    return [each for where, name, uid in subjects for each in events_on(api, where, name, uid)]


def events_on(api: ApiServer, namespace: str, name: str, uid: str) -> list[Json]:
    """Returns the Events on one object, the oldest first."""
    try:
        every = list(api.list(f"/api/v1/namespaces/{namespace}/events"))
    except ApiServerError:
        return []
    mine = [
        each
        for each in every
        if each["involvedObject"].get("name") == name and uid in {"", each["involvedObject"].get("uid", "")}
    ]
    return [
        {
            "on": f"{each['involvedObject'].get('kind', '')} {name}",
            "time": each.get("lastTimestamp") or each.get("eventTime") or "",
            "type": each.get("type", ""),
            "reason": each.get("reason", ""),
            "message": each.get("message", ""),
            "component": each.get("reportingComponent") or (each.get("source") or {}).get("component", ""),
        }
        for each in sorted(mine, key=lambda each: str(each.get("lastTimestamp") or ""))
    ]


def _records(uid: str, records: Iterable[Json]) -> list[Json]:
    found = sorted((each for each in records if each["csr_uid"] == uid), key=lambda record: str(record.get("time")))
    return [
        {
            "time": record.get("time"),
            "event": record["event"],
            "message": record.get("message", ""),
            **{name: record[name] for name in _FACTS if name in record},
        }
        for record in found[-_MOST_RECORDS:]
    ]
