"""The subject: what looks like the component's name, and attributes that prove nothing."""

from typing import Any, Final

from sandbox.calico import der
from tests.corpus.entry import permitted, refused
from tests.corpus.hostile import COMMON_NAME, with_rdns
from tests.function.builders import SUBJECT, Case, case, name_attribute

_STRUCTURE: Final = ("subject.structure", "subject.common_name")
_ORGANIZATION: Final[str] = "2.5.4.10"


def _common_name(sentence: str, value: str, *further: str, encoded: bytes | None = None) -> Case:
    request: dict[str, Any] = {"common_name": value}
    if encoded is not None:
        request = {"common_name": None, "rdns": [name_attribute("2.5.4.3", encoded)]}
    return case(sentence, "subject.common_name", *further, request=request)


def _as_type(sentence: str, encoded: bytes) -> Case:
    return case(sentence, *_STRUCTURE, request={"common_name": None, "rdns": [name_attribute("2.5.4.3", encoded)]})


def _further(sentence: str, kind: str, value: str) -> Case:
    return case(sentence, "subject.attribute", request={"subject": (*SUBJECT, (kind, value))})


def _two(first: bytes, second: bytes) -> bytes:
    pairs = [
        der.sequence(der.object_identifier(kind), value) for kind, value in (("2.5.4.3", first), ("2.5.4.3", second))
    ]
    return der.set_of(*pairs)


ROWS: Final = (
    *refused(
        "tigera/operator csr_controller_test.go, boulder csr/csr_test.go, cluster-machine-approver: common names",
        _common_name("a common name of another site", "google.com"),
        _common_name("an empty common name", "", "subject.structure", encoded=der.element(0x0C, b"")),
        _common_name("a common name that is an address", "10.132.0.7"),
        _common_name("a common name that is an e-mail address", "typha-client@example.com"),
        _common_name("a common name that is a URI", "spiffe://cluster.local/ns/calico-system/sa/calico-node"),
        _common_name("a common name of 65 characters", "typha-client" + "x" * 53, "subject.structure"),
        _common_name("a common name of 4000 characters", "typha-client" * 333, "subject.structure"),
        _common_name("a common name with a blank before it", " typha-client"),
        _common_name("a common name with a part after it", "typha-client.calico-system"),
        _common_name("the start of the common name", "typha"),
        _common_name("a common name that is the pod's", "calico-node-x7k2p"),
        _common_name("a common name that is the node's", "gke-demo-pool-1-4f7c"),
        _common_name("the common name of the API server's client", "kubernetes-admin"),
        _common_name("Calico's API server", "calico-api"),
        _common_name("a wildcard as the common name", "*", "name.reserved"),
        _common_name("a wildcard within the common name", "*.typha-client", "name.reserved"),
        _common_name("the node's group without a node", "system:node:", "name.reserved"),
        _common_name("the masters' group as common name", "system:masters", "name.reserved"),
        _common_name(
            "a service account as common name", "system:serviceaccount:calico-system:calico-node", "name.reserved"
        ),
    ),
    *refused(
        "ours: common names that look like the component's, or end early",
        _common_name("a common name with a Cyrillic letter", "typh\u0430-client"),
        _common_name("a common name with a soft hyphen", "typha\u00ad-client"),
        _common_name("a common name with a zero width space", "typha-client\u200b"),
        _common_name("a common name written from right to left", "\u202etneilc-ahpyt"),
        _common_name("a common name with NUL and a name after it", "typha-client\0.example.com"),
        _common_name("a common name with NUL after it", "typha-client\0"),
        _common_name("a common name with a new line", "typha-client\n"),
        _common_name("a common name with terminal codes", "typha-client\x1b[2J\x1b]0;owned\x07"),
        _common_name("a common name in full width letters", "\uff54\uff59\uff50\uff48\uff41-client"),
        _common_name("a common name that is JSON", '{"severity":"ERROR","message":"typha-client"}'),
    ),
    *refused(
        "cert-manager/approver-policy pkg/internal/approver/allowed/evaluator_rawbypass_test.go: subjects",
        case(
            "the administrator's common name before the own one",
            "subject.common_name",
            request=with_rdns(name_attribute("2.5.4.3", der.text("kubernetes-admin")), COMMON_NAME),
        ),
        case(
            "two common names in one RDN",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(_two(der.text("typha-client"), der.text("typha-server"))),
        ),
        case(
            "the own common name twice in one RDN",
            "subject.structure",
            "subject.common_name",
            request=with_rdns(_two(der.text("typha-client"), der.element(0x0C, b"typha-client"))),
        ),
        case("an RDN of nothing", "subject.structure", request=with_rdns(der.set_of(), COMMON_NAME)),
        case(
            "two serial numbers in the subject",
            "subject.attribute",
            request={"subject": (*SUBJECT, ("2.5.4.5", "1"), ("2.5.4.5", "2"))},
        ),
        case(
            "an organization as OCTET STRING",
            "subject.structure",
            request=with_rdns(name_attribute(_ORGANIZATION, der.octet_string(b"system:masters")), COMMON_NAME),
        ),
        case(
            "a foreign organization before the own one",
            "subject.attribute",
            request=with_rdns(
                name_attribute(_ORGANIZATION, der.text("system:masters")),
                name_attribute(_ORGANIZATION, der.text("Tigera")),
                COMMON_NAME,
            ),
        ),
        _further("a domain component", "0.9.2342.19200300.100.1.25", "example"),
        _further("a user id", "0.9.2342.19200300.100.1.1", "root"),
        _further("a title", "2.5.4.12", "Administrator"),
        _further("a given name", "2.5.4.42", "Root"),
        _further("a pseudonym", "2.5.4.65", "root"),
        _further("a subject attribute that nobody knows", "1.3.6.1.4.1.99999.3", "x"),
        _further("a foreign organizational unit", "2.5.4.11", "Operations"),
        _further("an organization in upper case", _ORGANIZATION, "TIGERA"),
        _further("another country", "2.5.4.6", "DE"),
        _further("the nodes' group as an organization", _ORGANIZATION, "system:nodes"),
    ),
    *refused(
        "cert-manager/approver-policy pkg/internal/approver/allowed/evaluator_stringtypes_test.go",
        _as_type("a common name as IA5String", der.ia5_text("typha-client")),
        _as_type("a common name as NumericString", der.element(0x12, b"123")),
        _as_type("a common name as VisibleString", der.element(0x1A, b"typha-client")),
        _as_type("a common name as GeneralString", der.element(0x1B, b"typha-client")),
        _as_type("a common name as UniversalString", der.element(0x1C, "typha-client".encode("utf-32-be"))),
        _as_type("a common name as TeletexString with a high byte", der.element(0x14, b"typha-cli\xe9nt")),
        _as_type("a common name as INTEGER", der.integer(7)),
        _as_type("a common name as BIT STRING", der.bit_string(b"typha-client")),
        _as_type("a common name as NULL", der.NULL),
        _as_type("a common name as a sequence", der.sequence(der.text("typha-client"))),
        _as_type("a common name under a tag of its own", der.implicit(12, b"typha-client")),
        _as_type("a common name in overlong UTF-8", der.element(0x0C, b"\xc1\xb4ypha-client")),
        _as_type("a common name with half a surrogate pair", der.element(0x0C, b"typha-client\xed\xa0\x80")),
        case(
            "a common name as a constructed UTF8String",
            *_STRUCTURE,
            request=with_rdns(name_attribute("2.5.4.3", der.element(0x2C, der.element(0x0C, b"typha-client")))),
        ),
    ),
    *permitted(
        "key-cert-provisioner pkg/tls, approver-policy: two good organizations: the subject proves nothing",
        case("a subject of the common name alone", request={"subject": ()}),
        case(
            "a subject without the organization",
            request={"subject": tuple(each for each in SUBJECT if each[0] != _ORGANIZATION)},
        ),
        case("a subject in another order", request={"subject": tuple(reversed(SUBJECT))}),
        case(
            "a subject as the documentation lists it",
            request={"subject": tuple((f"2.5.4.{kind}", dict(SUBJECT)[f"2.5.4.{kind}"]) for kind in (6, 8, 7, 10, 11))},
        ),
        case("the own organization twice", request={"subject": (*SUBJECT, (_ORGANIZATION, "Tigera"))}),
        case(
            "a common name before the other attributes",
            request=with_rdns(COMMON_NAME, *(name_attribute(kind, der.text(value)) for kind, value in SUBJECT)),
        ),
        case(
            "a common name as UTF8String",
            request={"common_name": None, "rdns": [name_attribute("2.5.4.3", der.element(0x0C, b"typha-client"))]},
        ),
        case(
            "a subject of UTF8Strings",
            request=with_rdns(
                *(name_attribute(kind, der.element(0x0C, value.encode())) for kind, value in SUBJECT), COMMON_NAME
            ),
        ),
    ),
)
