"""Violations: one rule that a request breaks, as a stable code and a message.

Codes are an interface: tests, documentation, audit queries and alert filters use them. A message is a
field error (`field_error`). A requester's text passes through `quote`, which bounds and escapes it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The reason and the rule of a code.

    Attributes:
        reason: CamelCase, the reason of condition and Event if this is the first violation.
        allowed: the allowed values.
    """

    reason: str
    allowed: str


# By reason. The documentation's table and the violations in a message have this order: the requester comes first, then
# the request.
_RULES: Final[Mapping[str, Mapping[str, str]]] = {
    "RequesterNotAllowed": {
        "requester.not_a_pod": "username system:serviceaccount:NAMESPACE:NAME with a uid: a pod's service account",
        "requester.groups": "exactly the three groups of the service account",
        "requester.unbound": "a token bound to a pod: one pod-name, one pod-uid, one credential-id (unless the"
        " cluster's configuration waives it) and at most one node-name in spec.extra",
        "requester.service_account": "service accounts that the profile names for the configured release",
    },
    "PodGone": {
        "pod.gone": "a pod that exists with the uid of the token",
    },
    "PodNotProven": {
        "pod.service_account": "a pod that runs as the service account of the token",
        "pod.node": "a pod on the node of the token",
        "pod.terminating": "a pod that is not being deleted",
        "pod.finished": "a pod that has not finished",
    },
    "RequestMalformed": {
        "object.size": "the CSR is at most 1 MiB as JSON, so that the certificate fits into etcd beside it",
        "request.size": "spec.request is at most 16 KiB",
        "request.pem": "spec.request is exactly one PEM block CERTIFICATE REQUEST with nothing around it",
        "request.der": "the PEM block holds one DER-encoded CertificationRequest (RFC 2986) and nothing else",
        "request.disagreement": "two independent parsers see the same CertificationRequest",
        "request.attribute": "the only attribute is one extensionRequest",
        "request.extension": "subjectAltName, basicConstraints, keyUsage, extendedKeyUsage, and subjectKeyIdentifier,"
        " which is not used, each once and well-formed",
        "subject.structure": "one attribute per RDN, as UTF8String or PrintableString",
        "san.type": "DNS names and IP addresses, well-formed",
    },
    "KeyNotAllowed": {
        "request.signature_algorithm": "RSA PKCS#1 v1.5 or ECDSA with SHA-256, SHA-384 or SHA-512",
        "request.signature": "the CertificationRequest is signed by its own key (proof of possession)",
        "public_key.type": "RSA or ECDSA on P-256, P-384, P-521 (uncompressed point)",
        "public_key.size": "RSA of 2048, 3072, 4096 or 8192 bits",
        "public_key.exponent": "RSA public exponent 65537",
        "public_key.weak": "a key without known weaknesses",
        "public_key.issuer": "a key that is not an issuer's own key",
    },
    "NameNotAllowed": {
        "request_name.not_allowed": "the CSR name that the profile prescribes for the component and the requesting pod",
        "name.reserved": "no common name starting with system:, no wildcard name",
        "name.pod": "a pod whose name is one DNS label, if the component's names contain it",
        "name.constrained": "names that the name constraints of the issuer's CAs permit",
        "subject.common_name": "exactly one common name, the component's",
        "subject.attribute": "subject attributes that the profile names, with the values that it names",
        "san.dns.not_allowed": "DNS names of the component, each once",
        "san.dns.missing": "every required DNS name of the component",
        "san.ip.not_allowed": "addresses, each once, that a pod can have: not loopback, link-local, multicast,"
        " unspecified, broadcast or reserved (including IPv4-mapped), and within the ranges of the component"
        " and of the cluster",
    },
    "UsageNotAllowed": {
        "usages.not_allowed": "spec.usages within the profile's usages",
        "basic_constraints.ca": "basic constraints absent or CA:FALSE",
        "key_usage.not_allowed": "requested key usages within the profile's usages",
        "extended_key_usage.not_allowed": "requested extended key usages within the profile's usages",
    },
    "AddressNotVisible": {
        "pod.address_missing": "if the profile certifies addresses: addresses that become visible as the pod's, or on"
        " the host's network as its node's, while the request is young",
    },
    "TooLate": {
        "lifetime.too_late": "enough of the certificate's lifetime left when it is issued",
    },
}

CODES: Final[Mapping[str, Rule]] = MappingProxyType(
    {code: Rule(reason=reason, allowed=allowed) for reason, rules in _RULES.items() for code, allowed in rules.items()},
)
"""All codes in order of precedence; the documentation's table comes from this."""

_PRECEDENCE: Final = {code: index for index, code in enumerate(CODES)}

LONGEST_QUOTE = 128
LONGEST_SENTENCE = 512
LONGEST_TEXT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One rule that a request breaks.

    Attributes:
        code: a key of CODES, for example `san.dns.not_allowed`.
        message: a field error (`field_error`).
    """

    code: str
    message: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"violation code {self.code!r} is not in CODES")

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def reason(self) -> str:
        """Returns the reason of a condition, in CamelCase."""
        return CODES[self.code].reason


def ordered(violations: Iterable[Violation]) -> tuple[Violation, ...]:
    """Sorts in the order of CODES; the first violation determines a refusal's reason."""
    return tuple(sorted(violations, key=lambda violation: _PRECEDENCE[violation.code]))


def quote(value: object, *, most: int = LONGEST_QUOTE) -> str:
    """Returns text of another party in double quotes, as printable ASCII and cut to `most` characters."""
    text = _quoted(value, most)
    return text if len(text) <= most else f"{text[:most]}..."


def bounded(text: str) -> str:
    """Returns text of another party for a field of an audit record, cut to LONGEST_QUOTE characters.

    The record's JSON escapes it, so quotes and escapes here would appear twice. JSON cannot carry a lone surrogate, and
    a reader may drop the whole line because of it; `?` takes its place.
    """
    cut = text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."
    return cut.encode("utf-8", "replace").decode("utf-8")


def _quoted(value: object, most: int) -> str:
    if isinstance(value, bytes):
        value = value[: most + 1].decode("latin-1")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_quoted(each, most) for each in value[: most + 1])}]"
    if not isinstance(value, str):
        return ascii(value)
    escaped = value[: most + 1].encode("unicode_escape").decode("ascii")
    return '"' + escaped.replace('"', r"\"") + '"'


def describe(violations: Iterable[Violation]) -> str:
    """Returns all violations as one bounded text for conditions, Events and log lines, and counts the rest."""
    sentences = [str(violation)[:LONGEST_SENTENCE] for violation in violations]
    kept = 0
    length = 0
    for sentence in sentences:
        length += len(sentence) + 2
        if length > LONGEST_TEXT:
            break
        kept += 1
    text = "; ".join(sentences[:kept])
    return text if kept == len(sentences) else f"{text}; and {len(sentences) - kept} more"
