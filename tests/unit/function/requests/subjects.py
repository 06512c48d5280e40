"""The subject: what looks like the component's name, and attributes that prove nothing."""

from typing import Any, Final

from sandbox.calico import der
from tests.unit.function.builders import COMMON_NAME, SUBJECT, name_attribute
from tests.unit.function.requests.malformed import NAME, UNREADABLE_SUBJECT, with_rdns
from tests.unit.function.requests.table import invalid, permitted, refused, row, table

_ORGANIZATION: Final[str] = "2.5.4.10"
_VALUE: Final = der.text("typha-client")
_UTF8: Final = der.element(0x0C, b"typha-client")
_ADMINISTRATOR: Final = name_attribute(COMMON_NAME, der.text("kubernetes-admin"))
_MASTERS: Final = name_attribute(_ORGANIZATION, der.text("system:masters"))
_MASTERS_AS_OCTETS: Final = name_attribute(_ORGANIZATION, der.octet_string(b"system:masters"))
_TIGERA: Final = name_attribute(_ORGANIZATION, der.text("Tigera"))
_SERIAL_NUMBERS: Final = (("2.5.4.5", "1"), ("2.5.4.5", "2"))
_AS_PRINTABLE: Final = [name_attribute(kind, der.text(value)) for kind, value in SUBJECT]
_AS_UTF8: Final = [name_attribute(kind, der.element(0x0C, value.encode())) for kind, value in SUBJECT]
_AS_DOCUMENTED: Final = [(f"2.5.4.{kind}", dict(SUBJECT)[f"2.5.4.{kind}"]) for kind in (6, 10, 11, 7, 8)]


def _encoded(value: bytes) -> dict[str, Any]:
    """A common name of any type."""
    return {"common_name": None, "rdns": [name_attribute(COMMON_NAME, value)]}


def _two(first: bytes, second: bytes) -> bytes:
    """One RDN of two common names."""
    number = der.object_identifier(COMMON_NAME)
    return der.set_of(der.sequence(number, first), der.sequence(number, second))


def _further(attribute: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (*SUBJECT, attribute)


CASES: Final = table(
    refused("operator csr_controller_test.go, boulder csr_test.go", "request.common_name", "subject.common_name"),
    row("a common name of another site", "google.com"),
    row("a common name that is an address", "10.132.0.7"),
    row("a common name that is an e-mail address", "typha-client@example.com"),
    row("a common name that is a URI", "spiffe://cluster.local/ns/calico-system/sa/calico-node"),
    row("a common name of 65 characters", "typha-client" + "x" * 53, "subject.structure"),
    row("a common name of 4000 characters", "typha-client" * 333, "subject.structure"),
    row("a common name with a blank before it", " typha-client"),
    row("a common name with a part after it", "typha-client.calico-system"),
    row("the start of the common name", "typha"),
    row("a common name that is the pod's", "calico-node-x7k2p"),
    row("a common name that is the node's", "gke-demo-pool-1-4f7c"),
    row("the common name of the API server's client", "kubernetes-admin"),
    row("Calico's API server", "calico-api"),
    row("a wildcard as the common name", "*", "name.reserved"),
    row("a wildcard within the common name", "*.typha-client", "name.reserved"),
    row("the node's group without a node", "system:node:", "name.reserved"),
    row("the masters' group as common name", "system:masters", "name.reserved"),
    row("a service account as common name", "system:serviceaccount:calico-system:calico-node", "name.reserved"),
    refused("ours: common names that look like the component's", "request.common_name", "subject.common_name"),
    row("a common name with a Cyrillic letter", "typh\u0430-client"),
    row("a common name with a soft hyphen", "typha\u00ad-client"),
    row("a common name with a zero width space", "typha-client\u200b"),
    row("a common name written from right to left", "\u202etneilc-ahpyt"),
    row("a common name with NUL and a name after it", "typha-client\0.example.com"),
    row("a common name with NUL after it", "typha-client\0"),
    row("a common name with a new line", "typha-client\n"),
    row("a common name with terminal codes", "typha-client\x1b[2J\x1b]0;owned\x07"),
    row("a common name in full width letters", "\uff54\uff59\uff50\uff48\uff41-client"),
    row("a common name that is JSON", '{"severity":"ERROR","message":"typha-client"}'),
    refused("approver-policy evaluator_rawbypass_test.go", "request"),
    row("the administrator's common name before the own one", with_rdns(_ADMINISTRATOR, NAME), "subject.common_name"),
    row("two common names in one RDN", with_rdns(_two(_VALUE, der.text("typha-server"))), *UNREADABLE_SUBJECT),
    row("the own common name twice in one RDN", with_rdns(_two(_VALUE, _UTF8)), *UNREADABLE_SUBJECT),
    row("an RDN of nothing", with_rdns(der.set_of(), NAME), "subject.structure"),
    row("an organization as OCTET STRING", with_rdns(_MASTERS_AS_OCTETS, NAME), "subject.structure"),
    row("another organization before the own one", with_rdns(_MASTERS, _TIGERA, NAME), "subject.attribute"),
    row("two serial numbers in the subject", {"subject": (*SUBJECT, *_SERIAL_NUMBERS)}, "subject.attribute"),
    refused("approver-policy evaluator_rawbypass_test.go", "request.subject", "subject.attribute", of=_further),
    row("a domain component", ("0.9.2342.19200300.100.1.25", "example")),
    row("a user id", ("0.9.2342.19200300.100.1.1", "root")),
    row("a title", ("2.5.4.12", "Administrator")),
    row("a given name", ("2.5.4.42", "Root")),
    row("a pseudonym", ("2.5.4.65", "root")),
    row("an unknown subject attribute", ("1.3.6.1.4.1.99999.3", "x")),
    row("another organizational unit", ("2.5.4.11", "Operations")),
    row("an organization in upper case", (_ORGANIZATION, "TIGERA")),
    row("another country", ("2.5.4.6", "DE")),
    row("the nodes' group as an organization", (_ORGANIZATION, "system:nodes")),
    refused("approver-policy evaluator_stringtypes_test.go", "request", *UNREADABLE_SUBJECT, of=_encoded),
    row("an empty common name", der.element(0x0C, b"")),
    row("a common name as IA5String", der.ia5_text("typha-client")),
    row("a common name as NumericString", der.element(0x12, b"123")),
    row("a common name as VisibleString", der.element(0x1A, b"typha-client")),
    row("a common name as GeneralString", der.element(0x1B, b"typha-client")),
    row("a common name as UniversalString", der.element(0x1C, "typha-client".encode("utf-32-be"))),
    row("a common name as TeletexString with a high byte", der.element(0x14, b"typha-cli\xe9nt")),
    row("a common name as INTEGER", der.integer(7)),
    row("a common name as BIT STRING", der.bit_string(b"typha-client")),
    row("a common name as NULL", der.NULL),
    row("a common name as a sequence", der.sequence(der.text("typha-client"))),
    row("a common name under a context-specific tag", der.implicit(12, b"typha-client")),
    invalid("a common name in overlong UTF-8", der.element(0x0C, b"\xc1\xb4ypha-client")),
    invalid("a common name with half a surrogate pair", der.element(0x0C, b"typha-client\xed\xa0\x80")),
    row("a common name as a constructed UTF8String", der.element(0x2C, der.element(0x0C, b"typha-client"))),
    permitted("key-cert-provisioner pkg/tls, approver-policy: the subject proves nothing", "request.subject"),
    row("a subject of the common name alone", ()),
    row("a subject without the organization", tuple(each for each in SUBJECT if each[0] != _ORGANIZATION)),
    row("a subject in another order", tuple(reversed(SUBJECT))),
    row("a subject as Go's documentation lists it", _AS_DOCUMENTED),
    row("the own organization twice", (*SUBJECT, (_ORGANIZATION, "Tigera"))),
    permitted("X.520: string types and order of a name", "request"),
    row("a common name before the other attributes", with_rdns(NAME, *_AS_PRINTABLE)),
    row("a common name as UTF8String", _encoded(_UTF8)),
    row("a subject of UTF8Strings", with_rdns(*_AS_UTF8, NAME)),
)
