"""Decides from a history alone whether the invariants of docs/architecture.md held, and the promised times.

It imports nothing of the product, so that it repeats none of its mistakes: it knows the audit records by the fields
that docs/audit.md promises. `RULES` has one function for each rule.

A process that was killed, or could not write a record, left intents without outcomes, and KMS may have signed for them.
All other intents have an outcome, which holds the number of requests to KMS. When a history ends, no request is in
flight.
"""

import builtins
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.simulation.evidence import (
    CERTIFIED,
    FINAL,
    FUNCTION,
    KINDS,
    OUTCOMES,
    Accounts,
    Evidence,
    Published,
    holds_key,
    is_leaf_of,
    uid_of,
)
from tests.simulation.history import Change, Due, Filed, History, Recorded

ATTEMPTS_OF_A_KILLED_INTENT: Final = 10
"""An intent without an outcome explains at most this many signatures, as for `signerctl reconcile`."""
DEFERRAL_LIMIT: Final = 300.0
DEFERRAL_SLACK: Final = 60.0
"""Seconds for clocks that drift, and for the request that records the deferral."""
KEY_USE_AFTER_POD: Final = 16.0
"""Seconds from the pod's end to the last use of the key: the attestation is 5 s old at most, KMS takes 10 s, and the
records have rounded times."""
RECORDED_WITHIN: Final = 30.0
"""Seconds between a write of the function and the record that ends its request, at most; a write may be late too."""
MAX_FIELDS: Final = {"csr_name": 131, "requester": 131, "node": 131, "pod": 63 + 1 + 253}
"""Characters of what a requester chooses: 128 and `...`, or the names of a namespace and a pod."""
MAX_TEXT: Final = 4096
MAX_LINE: Final = 64 * 1024

_SECRET: Final = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}|-----BEGIN[A-Z ]* PRIVATE KEY-----")
_ESCAPED: Final = ("message", "reason", "violations")
_NOT_A_DEFERRAL: Final = frozenset({"busy", "conflict"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something happened that must not happen.

    Attributes:
        rule: the number of the invariant in docs/architecture.md.
        uid: of the CSR; empty if it is about none.
        text: what happened, and what must hold.
    """

    rule: int
    uid: str
    text: str

    def __str__(self) -> str:
        about = f"CSR {self.uid}: " if self.uid else ""
        return f"invariant {self.rule}: {about}{self.text}"


def violations(history: History, rules: "Sequence[Rule] | None" = None) -> list[Violation]:
    """Returns what must not have happened, rule by rule; by default by all of `RULES`."""
    evidence = Evidence(history)
    return [violation for rule in (RULES if rules is None else rules) for violation in rule(evidence)]


# Invariant 1: every actionable CSR ends, and no input crashes the function.


def every_csr_ends(evidence: Evidence) -> Iterator[Violation]:
    """What still exists in the end has what is due."""
    for filed in evidence.filed.values():
        if filed.due is not Due.ANYTHING and evidence.ended_at(filed) is None:
            text = f"filed at {filed.at:.3f} s and unfinished at {evidence.history.ended_at:.3f} s, the end"
            yield Violation(rule=1, uid=filed.uid, text=f"{text}: it must have a {filed.due.value}")


def nothing_unexpected_is_raised(evidence: Evidence) -> Iterator[Violation]:
    """A fault of the program has a name of Python's, or says that it is unexpected."""
    for record in evidence.events("fault", "abandoned"):
        fault, message = str(record.line.get("fault", "")), str(record.line.get("message", ""))
        if hasattr(builtins, fault) or message.startswith("unexpected "):
            yield Violation(
                rule=1, uid=uid_of(record), text=f"{record.process} recorded {fault} ({message}): no input may crash it"
            )


def the_function_deletes_nothing(evidence: Evidence) -> Iterator[Violation]:
    """Only requesters and Kubernetes itself delete CSRs."""
    for change in evidence.history.changes:
        if change.is_deleted and change.by == "function":
            yield _of_change(1, change, "was deleted by the function")


# Invariant 2: no certificate without Approved, or after Denied or Failed.


def approved_comes_first(evidence: Evidence) -> Iterator[Violation]:
    """A CSR with a certificate has Approved, and had neither Denied nor Failed before."""
    for uid, published in evidence.published.items():
        for each in published:
            change = each.change
            if "Approved" not in change.conditions:
                yield _of_change(2, change, "has a certificate without the condition Approved")
            earlier = {
                kind for other in evidence.changes[uid] if other.version <= change.version for kind in other.conditions
            }
            for kind in sorted(earlier & FINAL):
                yield _of_change(2, change, f"got a certificate although it had the condition {kind}")


def an_issued_csr_is_not_refused(evidence: Evidence) -> Iterator[Violation]:
    """The function neither denies nor fails a CSR that has a certificate."""
    for before, after in _steps(evidence):
        added = FINAL & (set(after.conditions) - set(before.conditions))
        if before.certificate and added and after.by in FUNCTION:
            yield _of_change(2, after, f"got the condition {', '.join(sorted(added))} although it has a certificate")


def conditions_are_permanent(evidence: Evidence) -> Iterator[Violation]:
    """No change removes a condition."""
    for before, after in _steps(evidence):
        lost = set(before.conditions) - set(after.conditions)
        if lost and not after.is_deleted:
            yield _of_change(2, after, f"lost the condition {', '.join(sorted(lost))}: conditions are permanent")


def the_key_is_used_after_the_approval(evidence: Evidence) -> Iterator[Violation]:
    """The cluster knows of the approval before KMS signs."""
    for (uid, _), account in evidence.accounts.items():
        approved_at = min(
            (each.at - each.lag for each in evidence.changes.get(uid, ()) if "Approved" in each.conditions),
            default=None,
        )
        for signing in account.signings:
            if approved_at is None or signing.at < approved_at:
                text = f"KMS signed at {signing.at:.3f} s, before the CSR had the condition Approved"
                yield Violation(rule=2, uid=uid, text=text)


# Invariant 3: only what the profile permits.


def names_are_those_asked_for(evidence: Evidence) -> Iterator[Violation]:
    """A certificate has exactly the names that are due."""
    for filed, each in _certified(evidence):
        if filed.names and each.certificate.names != filed.names:
            got, due = (", ".join(sorted(names)) for names in (each.certificate.names, filed.names))
            yield _of_change(3, each.change, f"has a certificate that names {got}: it must name {due}")


def names_are_dns_names_and_addresses(evidence: Evidence) -> Iterator[Violation]:
    """A certificate has names of no other kind."""
    for published in evidence.published.values():
        for each in published:
            for name in sorted(each.certificate.names):
                if name.partition(":")[0] not in KINDS.values():
                    yield _of_change(
                        3, each.change, f"has a certificate with the name {name}: it must have none of that kind"
                    )


def a_hostile_csr_gets_no_certificate(evidence: Evidence) -> Iterator[Violation]:
    """A CSR that must be refused has no certificate."""
    for filed, each in _certified(evidence):
        if filed.due is Due.REFUSAL:
            yield _of_change(3, each.change, "has a certificate, and must be refused")


def every_certificate_can_be_read(evidence: Evidence) -> Iterator[Violation]:
    """The function stores certificates that X.509 libraries can parse."""
    for change in evidence.unreadable:
        yield _of_change(3, change, f"has a certificate of {len(change.certificate)} bytes that cannot be parsed")


# Invariant 4: the certificate's key is the request's.


def the_key_is_the_requests(evidence: Evidence) -> Iterator[Violation]:
    """Certificate and request have the same SubjectPublicKeyInfo."""
    for published in evidence.published.values():
        for each in published:
            if not holds_key(each.change.request, each.certificate.key):
                yield _of_change(4, each.change, "has a certificate for another key than the request's")


# Invariant 5: one TBSCertificate per uid and configuration, one certificate per uid.


def one_tbs_per_configuration(evidence: Evidence) -> Iterator[Violation]:
    """All intents and outcomes of a uid and a configuration name one TBSCertificate."""
    hashes: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for record in evidence.events(*CERTIFIED):
        hashes[uid_of(record), str(record.line.get("configuration_digest"))][str(record.line.get("tbs_sha256"))] = None
    for (uid, digest), named in hashes.items():
        if len(named) > 1:
            text = f"the records name {len(named)} TBSCertificates of the configuration {digest}: there must be one"
            yield Violation(rule=5, uid=uid, text=text)


def one_certificate_per_uid(evidence: Evidence) -> Iterator[Violation]:
    """A stored certificate never changes or vanishes."""
    for before, after in _steps(evidence):
        if before.certificate and after.certificate != before.certificate and not after.is_deleted:
            how = "got another certificate" if after.certificate else "lost its certificate"
            yield _of_change(5, after, f"{how}: a CSR gets one, for good")


# Invariant 6: nothing reaches another CSR of the same name.


def no_certificate_is_anothers(evidence: Evidence) -> Iterator[Violation]:
    """Two CSRs never have the same TBSCertificate, nor one that was made for the other."""
    owners: dict[str, str] = {tbs: uid for (uid, tbs), account in evidence.accounts.items() if account.intents}
    for uid, published in evidence.published.items():
        for each in published:
            owner = owners.setdefault(each.certificate.tbs_sha256, uid)
            if owner != uid:
                yield _of_change(6, each.change, f"has a certificate that was made for the CSR {owner}")


def records_describe_their_csr(evidence: Evidence) -> Iterator[Violation]:
    """A record with a CSR's uid holds the hash of that CSR's request, never of another CSR's of its name."""
    requests = {uid: hashlib.sha256(changes[0].request).hexdigest() for uid, changes in evidence.changes.items()}
    for record in evidence.history.records:
        recorded, due = record.line.get("request_sha256"), requests.get(uid_of(record))
        if recorded is not None and recorded != due:
            text = (
                f"the record {record.line.get('event')} of {record.process} at {record.at:.3f} s describes the request"
            )
            yield Violation(rule=6, uid=uid_of(record), text=f"{text} of another CSR")


# Invariant 7: KMS signs what policy permitted and an intent announced.


def every_signature_was_announced(evidence: Evidence) -> Iterator[Violation]:
    """Before KMS signs, an intent of that CSR with that hash is recorded."""
    for signing in evidence.unexplained:
        yield Violation(
            rule=7, uid="", text=f"KMS signed at {signing.at:.3f} s for no CSR: the reason is {signing.reason!r}"
        )
    for (uid, tbs), account in evidence.accounts.items():
        announced_at = min((intent.at for intent in account.intents), default=float("inf"))
        for signing in account.signings:
            if signing.at < announced_at:
                text = f"KMS signed {tbs[:8]} at {signing.at:.3f} s, and no intent was recorded before"
                yield Violation(rule=7, uid=uid, text=text)
            if signing.digest.hex() != tbs:
                text = f"KMS signed {signing.digest.hex()[:8]} at {signing.at:.3f} s: the reason names {tbs[:8]}"
                yield Violation(rule=7, uid=uid, text=text)


def the_key_is_used_for_permitted_csrs(evidence: Evidence) -> Iterator[Violation]:
    """The function announces and makes no signature for a CSR that must be refused, or that was never filed."""
    for (uid, tbs), account in evidence.accounts.items():
        filed = evidence.filed.get(uid)
        if filed is not None and filed.due is not Due.REFUSAL:
            continue
        what = "was never filed" if filed is None else "must be refused"
        announced = [(each.at, f"{each.process} announced") for each in account.intents]
        for at, did in (*announced, *((each.at, "KMS signed") for each in account.signings)):
            yield Violation(rule=7, uid=uid, text=f"{did} {tbs[:8]} at {at:.3f} s for a CSR that {what}")


def the_attestation_is_fresh(evidence: Evidence) -> Iterator[Violation]:
    """The key is not used for a pod that is gone for long."""
    for (uid, tbs), account in evidence.accounts.items():
        filed = evidence.filed.get(uid)
        for signing in account.signings:
            if filed is not None and signing.at > filed.pod_gone_at + KEY_USE_AFTER_POD:
                text = f"KMS signed {tbs[:8]} {signing.at - filed.pod_gone_at:.1f} s after its pod was gone"
                yield Violation(rule=7, uid=uid, text=f"{text}: at most {KEY_USE_AFTER_POD:g} s may pass")


# Invariant 8: every signature, intent and certificate is accounted for.


def signatures_are_recorded_attempts(evidence: Evidence) -> Iterator[Violation]:
    """KMS signs at most as often as the outcomes and the killed processes explain."""
    for (uid, tbs), account in evidence.accounts.items():
        recorded = sum(_attempts(outcome) or 0 for outcome in account.outcomes)
        explained = recorded + ATTEMPTS_OF_A_KILLED_INTENT * len(account.killed)
        if account.intents and len(account.signings) > explained:
            text = f"KMS signed {tbs[:8]} {len(account.signings)} times: the records explain {explained}"
            yield Violation(rule=8, uid=uid, text=text)


def every_intent_has_one_outcome(evidence: Evidence) -> Iterator[Violation]:
    """An intent ends with `issued` or `abandoned`, unless its process was killed or could not write."""
    for (uid, tbs), account in evidence.accounts.items():
        for intent in account.unfinished:
            text = f"the intent of {intent.process} at {intent.at:.3f} s to sign {tbs[:8]} has no outcome"
            yield Violation(rule=8, uid=uid, text=f"{text}, and the process was not killed")
        for outcome in account.strays:
            text = f"{outcome.line['event']} of {outcome.process} at {outcome.at:.3f} s has no intent"
            yield Violation(rule=8, uid=uid, text=text)


def outcomes_count_their_attempts(evidence: Evidence) -> Iterator[Violation]:
    """Each outcome has the number of requests to KMS, and `issued` has at least one."""
    for record in evidence.events(*OUTCOMES):
        attempts, event = _attempts(record), record.line["event"]
        if attempts is None or attempts < (event == "issued"):
            text = (
                f"{event} of {record.process} at {record.at:.3f} s has kms_attempts {record.line.get('kms_attempts')!r}"
            )
            yield Violation(rule=8, uid=uid_of(record), text=f"{text}: it must count the requests to KMS")


def every_certificate_was_announced_and_signed(evidence: Evidence) -> Iterator[Violation]:
    """A certificate's TBSCertificate has an intent and a signature from before the function stored the certificate."""
    for uid, published in evidence.published.items():
        for each in published:
            account = evidence.accounts.get((uid, each.certificate.tbs_sha256), Accounts())
            for what, all_ in (("intent record", account.intents), ("signature of KMS", account.signings)):
                if not any(earlier.at <= each.change.at for earlier in all_):
                    yield _of_change(8, each.change, f"has a certificate without an earlier {what}")


def issued_means_published(evidence: Evidence) -> Iterator[Violation]:
    """What a record calls issued is in the CSR's status."""
    for record in evidence.events("issued"):
        stored = evidence.published.get(uid_of(record), ())
        sha256 = record.line.get("certificate_sha256")
        if not any(
            each.change.at - each.change.lag <= record.at and each.certificate.sha256 == sha256 for each in stored
        ):
            text = f"{record.process} recorded issued at {record.at:.3f} s, and the CSR does not have that certificate"
            yield Violation(rule=8, uid=uid_of(record), text=text)


def every_write_is_recorded(evidence: Evidence) -> Iterator[Violation]:
    """The function's certificates and refusals have their records, unless it could not know or tell what it wrote.

    If the answer to the write is lost, the record is a fault; or the next attempt finds nothing to do.
    """
    history, told = evidence.history, defaultdict[tuple[str, str], list[float]](list)
    for record in evidence.events("issued", "refused", "fault", "ignored"):
        told[uid_of(record), str(record.line["event"])].append(record.at)
    kills = [kill.at for kill in history.kills if kill.process.startswith("function")]
    for record in history.unwritten:
        told[uid_of(record), "unwritten"].append(record.at)
    for before, after in _steps(evidence):
        begin, end = after.at - after.lag - RECORDED_WITHIN, after.at + RECORDED_WITHIN
        excuses = [*kills, *(at for event in ("fault", "ignored", "unwritten") for at in told[after.uid, event])]
        refused = bool(FINAL.intersection(after.conditions).difference(before.conditions))
        for event, is_new in (("issued", not before.certificate and bool(after.certificate)), ("refused", refused)):
            times = (*told[after.uid, event], *excuses)
            if is_new and after.by in FUNCTION and not any(begin <= each <= end for each in times):
                yield _of_change(8, after, f"was {event} without a record")


# Invariant 9: a transient fault never denies or fails, and every deferral ends.


def an_honest_csr_is_never_refused(evidence: Evidence) -> Iterator[Violation]:
    """Only a broken rule denies or fails a CSR."""
    for filed in evidence.filed.values():
        if filed.due is not Due.CERTIFICATE:
            continue
        for change in evidence.changes.get(filed.uid, ()):
            refused = sorted(FINAL.intersection(change.conditions))
            if refused:
                yield _of_change(9, change, f"is honest, and has the condition {', '.join(refused)}")
                break


def every_deferral_ends(evidence: Evidence) -> Iterator[Violation]:
    """The function defers a CSR for five minutes at most, except for conflicts and duplicates."""
    for record in evidence.events("deferred"):
        filed = evidence.filed.get(uid_of(record))
        if filed is None or record.line.get("reason") in _NOT_A_DEFERRAL:
            continue
        age = record.at - filed.at
        if age > DEFERRAL_LIMIT + DEFERRAL_SLACK:
            text = f"deferred {age:.0f} s after its creation: a deferral ends after {DEFERRAL_LIMIT:g} s"
            yield Violation(rule=9, uid=filed.uid, text=text)


# Invariant 10: other parties' text is escaped and bounded, and no record holds a secret.


def texts_are_escaped_and_bounded(evidence: Evidence) -> Iterator[Violation]:
    """Texts for people are printable, and nothing of a requester has any length that it chooses."""
    for record in evidence.history.records:
        texts = {name: value for name, value in record.line.items() if isinstance(value, str)}
        for name in _ESCAPED:
            if not texts.get(name, "").isprintable():
                yield _of_record(10, record, f"its {name} has characters that are not printable")
        for name, text in texts.items():
            bound = MAX_FIELDS.get(name, MAX_TEXT)
            if len(text) > bound:
                yield _of_record(10, record, f"its {name} has {len(text)} characters: at most {bound} are allowed")
        size = sum(map(len, _texts(record.line)))
        if size > MAX_LINE:
            yield _of_record(10, record, f"it has {size} characters: at most {MAX_LINE} are allowed")


def no_record_holds_a_secret(evidence: Evidence) -> Iterator[Violation]:
    """No record holds a token or a private key."""
    for record in evidence.history.records:
        if any(_SECRET.search(text) for text in _texts(record.line)):
            yield _of_record(10, record, "it holds a token or a private key")


# Invariant 13: nobody waits for others.


def every_csr_ends_in_time(evidence: Evidence) -> Iterator[Violation]:
    """A CSR with a promise ends within it, if the history is long enough to tell."""
    for filed in evidence.filed.values():
        ended_at = evidence.ended_at(filed)
        until = filed.at + filed.within
        if until <= evidence.history.ended_at and (ended_at is None or ended_at > until):
            took = "has not ended" if ended_at is None else f"ended after {ended_at - filed.at:.3f} s"
            yield Violation(rule=13, uid=filed.uid, text=f"{took}: it must end within {filed.within:g} s")


# Invariant 14: the chain verifies.


def the_ca_issued_every_certificate(evidence: Evidence) -> Iterator[Violation]:
    """The history's CA signed every certificate, and none of them is a CA's."""
    authority = evidence.history.authority
    for published in evidence.published.values():
        for each in published:
            if authority and not is_leaf_of(each.change.certificate, authority):
                yield _of_change(14, each.change, "has a certificate that the CA did not sign, or for another CA")


Rule = Callable[[Evidence], Iterator[Violation]]
RULES: Final[tuple[Rule, ...]] = (
    every_csr_ends,
    nothing_unexpected_is_raised,
    the_function_deletes_nothing,
    approved_comes_first,
    an_issued_csr_is_not_refused,
    conditions_are_permanent,
    the_key_is_used_after_the_approval,
    names_are_those_asked_for,
    names_are_dns_names_and_addresses,
    a_hostile_csr_gets_no_certificate,
    every_certificate_can_be_read,
    the_key_is_the_requests,
    one_tbs_per_configuration,
    one_certificate_per_uid,
    no_certificate_is_anothers,
    records_describe_their_csr,
    every_signature_was_announced,
    the_key_is_used_for_permitted_csrs,
    the_attestation_is_fresh,
    signatures_are_recorded_attempts,
    every_intent_has_one_outcome,
    outcomes_count_their_attempts,
    every_certificate_was_announced_and_signed,
    issued_means_published,
    every_write_is_recorded,
    an_honest_csr_is_never_refused,
    every_deferral_ends,
    texts_are_escaped_and_bounded,
    no_record_holds_a_secret,
    every_csr_ends_in_time,
    the_ca_issued_every_certificate,
)


def _of_change(rule: int, change: Change, text: str) -> Violation:
    return Violation(rule=rule, uid=change.uid, text=f"at {change.at:.3f} s, version {change.version}: it {text}")


def _of_record(rule: int, record: Recorded, text: str) -> Violation:
    line = f"the record {record.line.get('event')} of {record.process} at {record.at:.3f} s"
    return Violation(rule=rule, uid=uid_of(record), text=f"{line}: {text}")


def _attempts(record: Recorded) -> int | None:
    attempts = record.line.get("kms_attempts")
    return attempts if isinstance(attempts, int) and not isinstance(attempts, bool) else None


def _steps(evidence: Evidence) -> Iterator[tuple[Change, Change]]:
    """Returns each change of a CSR with the next one."""
    for changes in evidence.changes.values():
        yield from pairwise(changes)


def _certified(evidence: Evidence) -> Iterator[tuple[Filed, Published]]:
    """Returns the certificates of CSRs that were filed in the history."""
    for uid, published in evidence.published.items():
        if uid in evidence.filed:
            yield from ((evidence.filed[uid], each) for each in published)


def _texts(value: object) -> Iterable[str]:
    """Returns all texts in a record."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
