"""A history by uid and by TBSCertificate, as the checker's rules read it; `cryptography` alone parses certificates."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulation.history import Change, Filed, History, Recorded, Signing

FINAL: Final = frozenset({"Denied", "Failed"})
OUTCOMES: Final = ("issued", "abandoned")
CERTIFIED: Final = ("intent", *OUTCOMES)
"""The events with a TBSCertificate."""
FUNCTION: Final = frozenset({"function", ""})
"""Who wrote a change that counts as the function's."""
KINDS: Final[dict[type, str]] = {x509.DNSName: "DNS", x509.IPAddress: "IP"}
"""The kinds of names that a certificate may have."""
_REASON: Final = re.compile(r"csr-uid=(.+);tbs-sha256=([0-9a-f]{64})")

Signed = tuple[str, str]
"""The CSR's uid and the SHA-256 of the TBSCertificate, in hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the checker needs of a certificate.

    Attributes:
        tbs_sha256, sha256: of the TBSCertificate and of the whole, in hexadecimal.
        key: the SubjectPublicKeyInfo.
        names: each with its kind: `DNS:web`, `IP:10.0.0.1`, or another class of `x509.GeneralName`.
    """

    tbs_sha256: str
    sha256: str
    key: bytes
    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A certificate that the function stored in a CSR, and the change that did it."""

    change: Change
    certificate: Certificate


@dataclass(slots=True)
class Accounts:
    """Intents, outcomes and signatures of one TBSCertificate.

    Attributes:
        intents, outcomes: the records, in the order of time.
        killed: intents whose process was killed before the outcome, or could not write it.
        unfinished: other intents without an outcome.
        strays: outcomes without an intent.
        signings: KMS's entries.
    """

    intents: list[Recorded] = field(default_factory=list)
    outcomes: list[Recorded] = field(default_factory=list)
    killed: list[Recorded] = field(default_factory=list)
    unfinished: list[Recorded] = field(default_factory=list)
    strays: list[Recorded] = field(default_factory=list)
    signings: list[Signing] = field(default_factory=list)


class Evidence:
    """A history by uid and by TBSCertificate.

    Attributes:
        history: the history.
        filed: the CSRs by uid.
        changes: each CSR's changes, in the order of versions.
        published: each CSR's certificates that the function stored.
        unreadable: certificates that the function stored and that cannot be parsed.
        accounts: by TBSCertificate.
        unexplained: KMS's entries whose reason names no CSR.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.filed = {each.uid: each for each in history.filed}
        self.changes: dict[str, list[Change]] = defaultdict(list)
        self.published: dict[str, list[Published]] = defaultdict(list)
        self.unreadable: list[Change] = []
        self.accounts: dict[Signed, Accounts] = defaultdict(Accounts)
        self.unexplained: list[Signing] = []
        for change in history.changes:
            self._add_change(change)
        for signing in history.signings:
            named = _REASON.fullmatch(signing.reason)
            if named is None:
                self.unexplained.append(signing)
            else:
                self.accounts[named[1], named[2]].signings.append(signing)
        self._account()

    def _add_change(self, change: Change) -> None:
        earlier = self.changes[change.uid]
        is_new = not earlier or earlier[-1].certificate != change.certificate
        earlier.append(change)
        if change.certificate and is_new and change.by in FUNCTION:
            certificate = certificate_of(change.certificate)
            if certificate is None:
                self.unreadable.append(change)
            else:
                self.published[change.uid].append(Published(change=change, certificate=certificate))

    def _account(self) -> None:
        """Pairs intents with outcomes: a process has one request in flight for a CSR, so they take turns."""
        kills = [(kill.at, 2, kill.process, None) for kill in self.history.kills]
        unwritten = [(each.at, 1, each.process, each) for each in self.history.unwritten if _event(each) in OUTCOMES]
        records = [(record.at, 0, record.process, record) for record in self.events(*CERTIFIED)]
        open_: dict[str, dict[Signed, Recorded]] = defaultdict(dict)
        for _, kind, process, record in sorted([*records, *unwritten, *kills], key=lambda each: each[:2]):
            if record is None:
                for signed, intent in open_.pop(process, {}).items():
                    self.accounts[signed].killed.append(intent)
                continue
            signed = uid_of(record), str(record.line.get("tbs_sha256"))
            account, earlier = self.accounts[signed], open_[process].pop(signed, None)
            if kind == 1:
                account.killed += [] if earlier is None else [earlier]
            elif record.line["event"] == "intent":
                account.intents.append(record)
                account.unfinished += [] if earlier is None else [earlier]
                open_[process][signed] = record
            else:
                account.outcomes.append(record)
                account.strays += [record] if earlier is None else []
        for intents in open_.values():
            for signed, intent in intents.items():
                self.accounts[signed].unfinished.append(intent)

    def events(self, *names: str) -> Iterator[Recorded]:
        """Returns the records of these events."""
        return (record for record in self.history.records if _event(record) in names)

    def ended_at(self, filed: Filed) -> float | None:
        """Returns when a CSR had a certificate, Denied or Failed, or was gone; None: it still waits."""
        for change in self.changes.get(filed.uid, ()):
            if change.is_deleted or change.certificate or not FINAL.isdisjoint(change.conditions):
                return change.at
        return None


def uid_of(record: Recorded) -> str:
    """Returns the uid of the CSR that a record is about; empty if it is about none."""
    return str(record.line.get("csr_uid", ""))


def _event(record: Recorded) -> str:
    return str(record.line.get("event", ""))


@lru_cache(maxsize=4096)
def certificate_of(pem: bytes) -> Certificate | None:
    """Parses the first certificate of a chain; None if it cannot be parsed."""
    try:
        leaf = x509.load_pem_x509_certificates(pem)[0]
        key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        found = [each.value for each in leaf.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
    except ValueError:
        return None
    return Certificate(
        tbs_sha256=hashlib.sha256(leaf.tbs_certificate_bytes).hexdigest(),
        sha256=hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest(),
        key=key if key in leaf.tbs_certificate_bytes else b"",
        names=frozenset(
            f"{KINDS.get(type(name), type(name).__name__)}:{name.value}" for names in found for name in names
        ),
    )


@lru_cache(maxsize=4096)
def is_leaf_of(pem: bytes, authority: bytes) -> bool:
    """Tells whether this CA signed the first certificate of a chain, and that is not a CA's."""
    leaf, issuer = x509.load_pem_x509_certificates(pem)[0], x509.load_pem_x509_certificate(authority)
    try:
        leaf.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return not any(isinstance(each.value, x509.BasicConstraints) and each.value.ca for each in leaf.extensions)


@lru_cache(maxsize=4096)
def holds_key(request: bytes, key: bytes) -> bool:
    """Tells whether a request is for this SubjectPublicKeyInfo, byte for byte."""
    try:
        parsed = x509.load_pem_x509_csr(request)
        own = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError:
        return False
    return own == key and key in parsed.tbs_certrequest_bytes
