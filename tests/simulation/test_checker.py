"""The checker finds nothing in a history without violations, and each rule's violation in a history that has one."""

import ast
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.simulation import checker, evidence
from tests.simulation.checker import RULES, violations
from tests.simulation.history import Change, Due, Filed, History, Killed, Recorded, Signing

Mutation = Callable[[History], None]
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "configuration 1"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwb2QifQ"


CA = 100
AUTHORITY = ec.generate_private_key(ec.SECP256R1())


@cache
def certified(serial: int, *more: x509.GeneralName, is_ca: bool = False) -> tuple[bytes, bytes, str, str]:
    """Returns a request, its certificate, and the SHA-256 of the TBSCertificate and of the certificate.

    Args:
        serial: its serial number; that of the CA itself is `CA`.
        more: names that the certificate has beside `web`.
        is_ca: whether the certificate is a CA's.
    """
    key = AUTHORITY if serial == CA else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    unsigned = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(CREATED)
        .not_valid_after(CREATED + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("web"), *more]), critical=False)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    issued = unsigned.sign(AUTHORITY, SHA256())
    hashes = (
        hashlib.sha256(part).hexdigest() for part in (issued.tbs_certificate_bytes, issued.public_bytes(Encoding.DER))
    )
    return request.public_bytes(Encoding.PEM), issued.public_bytes(Encoding.PEM), *hashes  # type: ignore[return-value]


def history() -> History:
    """Returns an honest CSR, a hostile one, and one that is created under the first one's name.

    A process is killed after its intent, and another one cannot write the outcome of one.
    """
    request, certificate, tbs, sha256 = certified(1)
    later, second, second_tbs, second_sha256 = certified(2)
    first = {"csr_uid": "a", "tbs_sha256": tbs, "configuration_digest": DIGEST, "message": "m"}
    again = {"csr_uid": "c", "tbs_sha256": second_tbs, "configuration_digest": DIGEST, "message": "m"}
    ends = {"kms_attempts": 1, "event": "issued"}
    return History(
        filed=[
            Filed(uid="a", name="x", at=0, due=Due.CERTIFICATE, names=frozenset({"DNS:web"}), within=60),
            Filed(uid="b", name="y", at=3, due=Due.REFUSAL),
            Filed(uid="c", name="x", at=5, due=Due.CERTIFICATE, names=frozenset({"DNS:web"})),
        ],
        changes=[
            _change(1, 0, "a", request),
            _change(2, 1, "a", request, "Approved"),
            _change(3, 3, "a", request, "Approved", certificate=certificate),
            _change(4, 3, "b", b"not a request"),
            _change(5, 4, "b", b"not a request", "Denied"),
            _change(6, 5, "c", later),
            _change(7, 6, "c", later, "Approved"),
            _change(8, 12, "c", later, "Approved", certificate=second),
        ],
        records=[
            _record(
                1.5, "function-0", {**first, "event": "intent", "request_sha256": hashlib.sha256(request).hexdigest()}
            ),
            _record(3.5, "function-0", {**first, **ends, "certificate_sha256": sha256}),
            _record(
                4.5, "function-0", {"csr_uid": "b", "event": "refused", "csr_name": "y", "message": "refused: name.pod"}
            ),
            _record(
                5.5, "function-0", {"csr_uid": "c", "event": "deferred", "reason": "no address", "message": "deferred"}
            ),
            _record(6.5, "function-0", {**again, "event": "intent"}),
            _record(8, "function-1", {**again, "event": "intent"}),
            _record(10, "function-1", {**again, "event": "intent"}),
            _record(12.5, "function-1", {**again, **ends, "certificate_sha256": second_sha256}),
        ],
        unwritten=[_record(9, "function-1", {**again, "event": "abandoned", "kms_attempts": 1})],
        signings=[_signing(2, "a", tbs), _signing(6.8, "c", second_tbs), _signing(11, "c", second_tbs)],
        kills=[Killed(at=7, process="function-0")],
        ended_at=600,
        authority=certified(CA, is_ca=True)[1],
    )


def _change(version: int, at: float, uid: str, request: bytes, *conditions: str, certificate: bytes = b"") -> Change:
    by = "function" if conditions else "requester"
    parts = {"request": request, "conditions": conditions, "certificate": certificate}
    return Change(at=at, version=version, uid=uid, name="x", by=by, **parts)  # type: ignore[arg-type]


def _record(at: float, process: str, line: dict[str, object]) -> Recorded:
    return Recorded(at=at, process=process, line=line)


def _signing(at: float, uid: str, tbs: str) -> Signing:
    return Signing(at=at, reason=f"csr-uid={uid};tbs-sha256={tbs}", digest=bytes.fromhex(tbs))


def but(part: str, index: int, **fields: object) -> Mutation:
    """Returns a mutation that changes fields of one value."""

    def mutate(it: History) -> None:
        values = getattr(it, part)
        values[index] = replace(values[index], **fields)

    return mutate


def line(index: int, **facts: object) -> Mutation:
    """Returns a mutation that changes facts of one record."""
    return lambda it: but("records", index, line={**it.records[index].line, **facts})(it)


def again(index: int, **fields: object) -> Mutation:
    """Returns a mutation that adds one more change like another one, with other fields."""
    return lambda it: it.changes.append(replace(it.changes[index], at=20, version=9, **fields))  # type: ignore[arg-type]


def recorded(*events: str, uid: str = "a", **facts: object) -> Mutation:
    """Returns a mutation that adds records about the first CSR's TBSCertificate."""
    tbs = certified(1)[2] if uid == "a" else "0" * 64
    lines = [
        {"csr_uid": uid, "event": event, "tbs_sha256": tbs, "configuration_digest": DIGEST, **facts} for event in events
    ]
    return lambda it: it.records.extend(_record(20 + number, "function-1", each) for number, each in enumerate(lines))


def both(*mutations: Mutation) -> Mutation:
    """Returns several mutations as one."""

    def mutate(it: History) -> None:
        for mutation in mutations:
            mutation(it)

    return mutate


def made_for_the_first(it: History) -> None:
    """The third CSR gets the first one's certificate, and all records and signatures say so."""
    request, certificate, tbs, sha256 = certified(1)
    for index in (5, 6, 7):
        but("changes", index, request=request)(it)
    but("changes", 7, certificate=certificate)(it)
    for index in (4, 5, 6, 7):
        line(index, tbs_sha256=tbs, certificate_sha256=sha256)(it)
    it.unwritten.clear()
    del it.records[5]
    it.signings[1:] = [_signing(11, "c", tbs)]


def another_tbs(it: History) -> None:
    """The killed process announced other bytes, and KMS signed these."""
    line(4, tbs_sha256="0" * 64)(it)
    it.signings[1] = _signing(6.8, "c", "0" * 64)


def with_another_certificate(*names: x509.GeneralName, is_ca: bool = False) -> Mutation:
    """Returns a mutation that gives the first CSR another certificate, and all records and signatures say so."""
    request, certificate, tbs, sha256 = certified(3, *names, is_ca=is_ca)
    return both(
        *(but("changes", index, request=request) for index in range(3)),
        but("changes", 2, certificate=certificate),
        line(0, tbs_sha256=tbs, request_sha256=hashlib.sha256(request).hexdigest()),
        line(1, tbs_sha256=tbs, certificate_sha256=sha256),
        but("signings", 0, reason=f"csr-uid=a;tbs-sha256={tbs}", digest=bytes.fromhex(tbs)),
    )


ANYTHING = but("filed", 0, due=Due.ANYTHING)
KILLED_LATER = but("kills", 0, at=150)
"""A kill explains what has no record within half a minute."""
ROWS: dict[str, tuple[Mutation, str]] = {
    "every_csr_ends": (
        lambda it: it.changes.__delitem__(4),
        "unfinished at 600.000 s, the end: it must have a refusal",
    ),
    "nothing_unexpected_is_raised": (
        recorded("fault", message="unexpected KeyError at a.py:1"),
        "no input may crash it",
    ),
    "the_function_deletes_nothing": (again(2, is_deleted=True), "it was deleted by the function"),
    "approved_comes_first": (
        both(ANYTHING, recorded("refused"), but("changes", 2, conditions=("Approved", "Failed"))),
        "got a certificate although it had the condition Failed",
    ),
    "an_issued_csr_is_not_refused": (
        both(ANYTHING, recorded("refused"), again(2, conditions=("Approved", "Failed"))),
        "got the condition Failed although it has a certificate",
    ),
    "conditions_are_permanent": (again(2, conditions=()), "lost the condition Approved"),
    "the_key_is_used_after_the_approval": (but("changes", 1, at=2.5), "KMS signed at 2.000 s, before"),
    "names_are_those_asked_for": (
        but("filed", 0, names=frozenset({"DNS:db"})),
        "has a certificate that names DNS:web: it must name DNS:db",
    ),
    "names_are_dns_names_and_addresses": (
        both(ANYTHING, but("filed", 0, names=frozenset()), with_another_certificate(x509.RFC822Name("web"))),
        "has a certificate with the name RFC822Name:web",
    ),
    "a_hostile_csr_gets_no_certificate the_key_is_used_for_permitted_csrs": (
        but("filed", 0, due=Due.REFUSAL),
        "has a certificate, and must be refused",
    ),
    "every_certificate_can_be_read issued_means_published": (but("changes", 2, certificate=b"?"), "cannot be parsed"),
    "the_key_is_the_requests": (but("changes", 2, request=certified(2)[0]), "for another key than the request's"),
    "one_tbs_per_configuration": (another_tbs, "the records name 2 TBSCertificates of the configuration"),
    "one_certificate_per_uid": (again(2, certificate=b""), "lost its certificate: a CSR gets one"),
    "no_certificate_is_anothers": (made_for_the_first, "has a certificate that was made for the CSR"),
    "records_describe_their_csr": (line(3, request_sha256="0" * 64), "describes the request of another CSR"),
    "every_signature_was_announced": (but("signings", 0, at=1.2), "at 1.200 s, and no intent was recorded before"),
    "every_signature_was_announced: no reason": (but("signings", 2, reason=""), "KMS signed at 11.000 s for no CSR"),
    "every_signature_was_announced: other bytes": (
        but("signings", 0, digest=bytes(32)),
        "KMS signed 00000000 at 2.000 s",
    ),
    "every_signature_was_announced: a longer digest": (
        but("signings", 0, digest=b"\1" * 48),
        "KMS signed 01010101 at 2.000 s: the reason names",
    ),
    "the_key_is_used_for_permitted_csrs": (
        recorded("intent", "abandoned", uid="b", kms_attempts=0),
        "function-1 announced 00000000 at 20.000 s for a CSR that must be refused",
    ),
    "the_attestation_is_fresh": (but("filed", 2, pod_gone_at=-6.0), "17.0 s after its pod was gone: at most 16 s"),
    "signatures_are_recorded_attempts": (
        lambda it: it.signings.append(it.signings[0]),
        "2 times: the records explain 1",
    ),
    "every_intent_has_one_outcome": (recorded("intent"), "has no outcome, and the process was not killed"),
    "every_intent_has_one_outcome: stray": (recorded("abandoned", kms_attempts=0), "at 20.000 s has no intent"),
    "outcomes_count_their_attempts": (recorded("intent", "abandoned"), "has kms_attempts None"),
    "every_certificate_was_announced_and_signed": (
        but("changes", 2, at=1.2),
        "has a certificate without an earlier intent record",
    ),
    "every_certificate_was_announced_and_signed: no signature": (
        lambda it: it.signings.__delitem__(0),
        "has a certificate without an earlier signature of KMS",
    ),
    "issued_means_published": (line(1, certificate_sha256="0" * 64), "and the CSR does not have that certificate"),
    "every_write_is_recorded": (both(KILLED_LATER, line(1, event="abandoned")), "it was issued without a record"),
    "every_write_is_recorded: a refusal": (
        both(KILLED_LATER, line(2, event="deferred")),
        "it was refused without a record",
    ),
    "an_honest_csr_is_never_refused": (but("filed", 1, due=Due.CERTIFICATE), "is honest, and has the condition Denied"),
    "every_deferral_ends": (but("records", 3, at=400), "deferred 395 s after its creation"),
    "texts_are_escaped_and_bounded": (line(2, message="a\nb"), "its message has characters that are not printable"),
    "texts_are_escaped_and_bounded: a field": (line(2, csr_name="y" * 132), "its csr_name has 132 characters"),
    "texts_are_escaped_and_bounded: all": (line(2, codes=["y"] * 65536), "at most 65536 are allowed"),
    "no_record_holds_a_secret": (line(2, message=TOKEN), "it holds a token or a private key"),
    "every_csr_ends_in_time": (but("filed", 0, within=2), "ended after 3.000 s: it must end within 2 s"),
    "the_ca_issued_every_certificate": (
        lambda it: setattr(it, "authority", certified(2)[1]),
        "has a certificate that the CA did not sign, or for another CA",
    ),
    "the_ca_issued_every_certificate: a CA": (
        with_another_certificate(is_ca=True),
        "has a certificate that the CA did not sign, or for another CA",
    ),
}
"""By the rules that find it: a mutation, and what the violation says."""


def test_a_history_without_violations_has_none() -> None:
    """A killed process and a second CSR of the same name are no violations."""
    assert violations(history()) == []


def test_a_change_that_a_watch_shows_late_may_have_been_earlier() -> None:
    """KMS's log and the records are exact: they may be older than the arrival, not than the earliest time."""
    late = history()
    late.changes = [replace(each, at=each.at + 20, lag=20) for each in late.changes]
    assert violations(late) == []
    late.changes = [replace(each, lag=0) for each in late.changes]
    assert {violation.rule for violation in violations(late)} == {2, 8}


@pytest.mark.parametrize(("rules", "mutation", "text"), [(rules, *row) for rules, row in ROWS.items()], ids=list(ROWS))
def test_each_rule_finds_its_violation_and_no_other_rule_does(rules: str, mutation: Mutation, text: str) -> None:
    """The smallest change that breaks a rule, and what the checker says."""
    changed = history()
    mutation(changed)
    assert {rule.__name__ for rule in RULES if violations(changed, [rule])} == set(rules.partition(":")[0].split())
    found = list(map(str, violations(changed)))
    assert any(text in each for each in found), found


def test_every_rule_has_a_row() -> None:
    """A rule without a row may find nothing."""
    assert {name for rules in ROWS for name in rules.partition(":")[0].split()} == {rule.__name__ for rule in RULES}


def test_the_checker_shares_no_code_with_the_product() -> None:
    """It would repeat the product's mistakes."""
    trees = [ast.parse(Path(module.__file__ or "").read_text("utf-8")) for module in (checker, evidence)]
    imported = {node.module or "" for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith(("csr_", "sandbox", "signerctl", "tests"))} == {
        "tests.simulation.evidence",
        "tests.simulation.history",
    }
