"""Compares Cloud KMS's audit log with the audit records of the function and of signerctl.

Both identify a signature by its purpose and the SHA-256 of the TBSCertificate. The function repeats a request to KMS
if the answer is lost, so a record holds the number of its requests. The comparison counts requests that KMS refused
too: otherwise a rogue signature could take the place of a refused request.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from csr_signer import field_error
from signerctl.interface.text import counted
from signerctl.recorded.entries import Json, member, once, record_of, text, text_or_empty
from signerctl.recorded.malformed import Malformed

Signed = tuple[str, str]
"""The key version, and the reason that the caller gave to Cloud KMS: purpose and SHA-256 of the TBSCertificate."""

ATTEMPTS_PER_OPEN_INTENT: Final = 10
"""An intent without an outcome explains at most this many requests, here and in the hourly alert's SQL."""
MAX_ATTEMPTS: Final = 999
"""A record with a larger number of requests is malformed, here and in the SQL, where their sum could overflow."""
_OUTCOMES: Final = ("issued", "abandoned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for a signature in Cloud KMS's audit log.

    Attributes:
        time: The entry's timestamp.
        principal: The caller; empty if the entry names none.
        signed: The key version and the reason.
        refused: Whether Cloud KMS refused to sign.
    """

    time: str
    principal: str
    signed: Signed
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An audit record of an intent or its outcome.

    Attributes:
        event: `intent`, `issued` or `abandoned`.
        signed: The key version and the reason.
        attempts: The number of requests to KMS; None in an intent, and in the outcome of an interrupted process.
    """

    event: str
    signed: Signed
    attempts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A difference between the audit log and the records.

    Attributes:
        level: `error`, or `warning` if the difference may have an innocent cause.
        what: The kind of difference.
        signed: The key version and the reason.
        detail: The time and the principal, or the numbers.
    """

    level: str
    what: str
    signed: Signed
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All requests in the audit log, and all audit records."""

    requests: Sequence[Request]
    records: Sequence[Record]

    @property
    def signatures(self) -> Sequence[Request]:
        """Returns the requests for which Cloud KMS gave a signature."""
        return [request for request in self.requests if not request.refused]


def books(entries: Iterable[Json], malformed: Malformed) -> Books:
    """Collects the requests and records from log entries and bare records; skips other entries and duplicates.

    Args:
        entries: Log entries and bare records.
        malformed: Counts and names the records that cannot be parsed; they explain nothing.
    """
    found = list(malformed.skip(once(entries), _parse))
    return Books(
        requests=[each for each in found if isinstance(each, Request)],
        records=[each for each in found if isinstance(each, Record)],
    )


def _parse(entry: Json) -> Request | Record | None:
    proto, payload = member(entry, "protoPayload"), record_of(entry)
    if proto.get("methodName") == "AsymmetricSign":
        return _request(entry, proto)
    if payload is not None and payload["event"] in ("intent", *_OUTCOMES):
        return _record(payload)
    return None


def is_known(entry: Json) -> bool:
    """Tells whether a log entry or record is of a kind that `books` looks at; not every one is about a signature."""
    return bool(member(entry, "protoPayload")) or record_of(entry) is not None


def _request(entry: Json, proto: Json) -> Request:
    reason = text_or_empty(member(member(proto, "requestMetadata"), "requestAttributes"), "reason")
    return Request(
        time=text_or_empty(entry, "timestamp"),
        principal=text_or_empty(member(proto, "authenticationInfo"), "principalEmail"),
        signed=(text_or_empty(proto, "resourceName"), reason),
        refused=bool(member(proto, "status").get("code")),
    )


def _record(payload: Json) -> Record:
    uid = text(payload, "csr_uid")
    purpose = f"csr-uid={uid}" if uid else text(payload, "purpose")
    return Record(
        event=text(payload, "event"),
        signed=(text(payload, "key_version"), f"{purpose};tbs-sha256={text(payload, 'tbs_sha256')}"),
        attempts=_attempts(payload.get("kms_attempts")),
    )


def _attempts(value: object) -> int | None:
    """Returns a record's number of requests to KMS; None if the record has none.

    Raises:
        ValueError: The record has something else than a number of requests in it.
    """
    if value is None:
        return None
    # Cloud Logging keeps numbers as doubles, and a reader may print them as such.
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in range(MAX_ATTEMPTS + 1):
        raise ValueError(field_error.malformed("kms_attempts", f"must be a number from 0 to {MAX_ATTEMPTS}"))
    return int(value)


def discrepancies(found: Books, principals: Sequence[str] = ()) -> Iterator[Discrepancy]:
    """Returns the differences between requests and records.

    Args:
        found: Requests and records of one period. Near its ends, the matching entry may lie outside.
        principals: The principals that may sign; empty if all may.
    """
    count = _Counts.of(found)
    for signature in found.signatures:
        detail = f"{signature.time} by {signature.principal or 'an unknown principal'}"
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
    """The numbers of intents, outcomes, attempts, requests and signatures for each TBSCertificate."""

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
        """Returns the differences between the numbers for one TBSCertificate."""
        intents, outcomes = self.intents[signed], self.outcomes[signed]
        requests, attempts, given = self.requests[signed], self.attempts[signed], self.given[signed]
        signatures = counted(given, "signature")
        explained = attempts + ATTEMPTS_PER_OPEN_INTENT * max(intents - outcomes, 0)
        if (intents or outcomes) and requests > explained:
            detail = ", ".join((counted(requests, "request"), signatures, counted(attempts, "recorded attempt")))
            yield Discrepancy(level="error", what="more requests than recorded", signed=signed, detail=detail)
        if self.issued[signed] and not given:
            detail = "check that KMS writes data access logs, and that the files hold all of them"
            yield Discrepancy(level="error", what="certificate without signature", signed=signed, detail=detail)
        if intents > outcomes:
            detail = ", ".join((counted(intents, "intent"), counted(outcomes, "outcome"), signatures))
            yield Discrepancy(level="warning", what="intent without outcome", signed=signed, detail=detail)
