"""Every signature accounted for: Cloud KMS's audit log against the records of the function and of signerctl.

Both name what was signed in the same words: for whom, and the SHA-256 of the TBSCertificate. A record may stand for
several requests, because KMS is asked again where its answer is lost; it says for how many. Requests that KMS refused
count too: otherwise a rogue signature could take the place of a failed attempt.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = Mapping[str, Any]
Signed = tuple[str, str]
"""A key version, and what Cloud KMS was told that is signed."""

ATTEMPTS_PER_OPEN_INTENT: Final = 10
"""An intent without an outcome explains at most this many requests, here and in the hourly alert's SQL."""
_OUTCOMES: Final = ("issued", "abandoned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for a signature, as Cloud KMS logged it.

    Attributes:
        time: as logged.
        principal: who asked; empty where nobody is named.
        signed: what for.
        refused: Cloud KMS gave no signature.
    """

    time: str
    principal: str
    signed: Signed
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record of an intent, or of what became of it.

    Attributes:
        event: `intent`, `issued` or `abandoned`.
        signed: what for.
        attempts: how often KMS was asked; None where that is unknown: of an intent, and of an interrupted process.
    """

    event: str
    signed: Signed
    attempts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """What does not add up.

    Attributes:
        level: `error`, or `warning` where nothing is proved.
        what: is wrong.
        signed: what it is about.
        detail: when and by whom, or how many.
    """

    level: str
    what: str
    signed: Signed
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was read."""

    requests: Sequence[Request]
    records: Sequence[Record]

    @property
    def signatures(self) -> Sequence[Request]:
        """The requests for which Cloud KMS gave a signature."""
        return [request for request in self.requests if not request.refused]


def read(content: str) -> Iterator[Json]:
    """The JSON objects of a text: one array, as `gcloud logging read --format=json` prints, or one after the other.

    Raises:
        ValueError: it is something else.
    """
    decoder, position = json.JSONDecoder(), 0
    while (position := _next(content, position)) < len(content):
        value, position = decoder.raw_decode(content, position)
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                # Whatever is no log is one fault for the caller, bad JSON among it.
                raise ValueError(f"got {type(each).__name__}, must be objects: log entries or records")  # noqa: TRY004
            yield each


def _next(content: str, position: int) -> int:
    while position < len(content) and content[position].isspace():
        position += 1
    return position


def books(entries: Iterable[Json]) -> Books:
    """Requests and records among log entries and bare records; others are passed over, and repetitions too."""
    requests, records = [], []
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        payload = _object(entry, "jsonPayload") or entry
        insert_id = entry.get("insertId") or payload.get("logging.googleapis.com/insertId")
        identity = (str(insert_id), str(entry.get("timestamp") or payload.get("time")))
        if insert_id and identity in seen:
            continue
        seen.add(identity)
        proto = _object(entry, "protoPayload")
        if proto.get("methodName") == "AsymmetricSign":
            requests.append(_request(entry, proto))
        elif payload.get("event") in ("intent", *_OUTCOMES) and _is_functions(entry):
            records.append(_record(payload))
    return Books(requests=requests, records=records)


def _is_functions(entry: Json) -> bool:
    """Whether an entry came from Cloud Run: an exporter could write the same line. A bare record has no such place."""
    return "jsonPayload" not in entry or _object(entry, "resource").get("type") == "cloud_run_revision"


def _request(entry: Json, proto: Json) -> Request:
    reason = _object(_object(proto, "requestMetadata"), "requestAttributes").get("reason", "")
    return Request(
        time=str(entry.get("timestamp", "")),
        principal=str(_object(proto, "authenticationInfo").get("principalEmail", "")),
        signed=(str(proto.get("resourceName", "")), str(reason)),
        refused=bool(_object(proto, "status").get("code")),
    )


def _record(payload: Json) -> Record:
    uid, attempts = payload.get("csr_uid"), payload.get("kms_attempts")
    purpose = f"csr-uid={uid}" if uid else payload.get("purpose", "")
    return Record(
        event=str(payload["event"]),
        signed=(str(payload.get("key_version", "")), f"{purpose};tbs-sha256={payload.get('tbs_sha256', '')}"),
        attempts=attempts if isinstance(attempts, int) else None,
    )


def _object(entry: Json, name: str) -> Json:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def discrepancies(found: Books, principals: Sequence[str] = ()) -> Iterator[Discrepancy]:
    """All that does not add up.

    Args:
        found: requests and records of the same time; of the first and last minute one side may be missing.
        principals: who may sign; empty for anybody.
    """
    count = _Counts.of(found)
    for signature in found.signatures:
        detail = f"{signature.time} by {signature.principal or 'nobody'}"
        if signature.signed not in count.intents and signature.signed not in count.outcomes:
            yield Discrepancy(level="error", what="signature without record", signed=signature.signed, detail=detail)
        if principals and signature.principal not in principals:
            yield Discrepancy(
                level="error", what="signature by another principal", signed=signature.signed, detail=detail
            )
    for signed in {**count.given, **count.intents, **count.outcomes}:
        yield from count.discrepancies(signed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """How often there is what, by what is signed."""

    intents: Counter[Signed]
    outcomes: Counter[Signed]
    issued: Counter[Signed]
    attempts: Counter[Signed]
    requests: Counter[Signed]
    given: Counter[Signed]

    @classmethod
    def of(cls, found: Books) -> "_Counts":
        attempts: Counter[Signed] = Counter()
        for record in found.records:
            attempts[record.signed] += record.attempts or 0
        return cls(
            intents=Counter(record.signed for record in found.records if record.event == "intent"),
            outcomes=Counter(record.signed for record in found.records if record.attempts is not None),
            issued=Counter(record.signed for record in found.records if record.event == "issued"),
            attempts=attempts,
            requests=Counter(request.signed for request in found.requests),
            given=Counter(signature.signed for signature in found.signatures),
        )

    def discrepancies(self, signed: Signed) -> Iterator[Discrepancy]:
        """Where the numbers of one TBSCertificate do not fit."""
        intents, outcomes = self.intents[signed], self.outcomes[signed]
        requests, attempts, given = self.requests[signed], self.attempts[signed], self.given[signed]
        explained = attempts + ATTEMPTS_PER_OPEN_INTENT * max(intents - outcomes, 0)
        if (intents or outcomes) and requests > explained:
            detail = f"{requests} requests, {given} signatures, {attempts} recorded attempts"
            yield Discrepancy(level="error", what="more requests than recorded", signed=signed, detail=detail)
        if self.issued[signed] and not given:
            detail = "check that data access logs are on, and that the log is complete"
            yield Discrepancy(level="error", what="certificate without signature", signed=signed, detail=detail)
        if intents > outcomes:
            detail = f"{intents} intents, {outcomes} outcomes, {given} signatures"
            yield Discrepancy(level="warning", what="intent without outcome", signed=signed, detail=detail)
