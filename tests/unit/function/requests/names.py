"""subjectAltName: names that look like the component's, kinds of name that no component asks for, and sizes."""

from typing import Final

from sandbox.calico import der
from tests.unit.function.builders import ADDRESS, Case, case, dns_name, name_attribute
from tests.unit.function.requests.table import cases, invalid, permitted, refused, row, table

_API: Final = ("calico-api", "calico-api.calico-system", "calico-api.calico-system.svc")
_API_POD: Final = "calico-apiserver-6d8f9c7b5-x7k2p"
_OWN_DOMAIN: Final = "calico-api.calico-system.svc.cluster.local"
_OTHER_DOMAIN: Final = "calico-api.calico-system.svc.example.com"
_OLD_API: Final = ("calico-api", "calico-api.calico-apiserver", "calico-api.calico-apiserver.svc")
_WILDCARD: Final = "*.calico-system.svc.cluster.local"
_ADMINISTRATOR: Final = der.sequence(
    name_attribute("2.5.4.3", der.text("kubernetes-admin")), name_attribute("2.5.4.10", der.text("system:masters"))
)
_MODULE: Final = der.sequence(der.object_identifier("1.2.3"), der.octet_string(b"1"))
_NOT_OWN: Final = ("san.dns.not_allowed", "san.dns.missing")
_SPIFFE: Final = b"spiffe://cluster.local/ns/calico-system/sa/calico-node"


def _beside(name: str) -> tuple[str, ...]:
    return ("typha-client", name)


def _instead(name: str) -> tuple[str, ...]:
    return (name,)


def _encoded(name: bytes) -> list[bytes]:
    return [name]


def _address(content: bytes) -> list[bytes]:
    return [der.implicit(7, content)]


def _other_name(identifier: str, value: bytes) -> bytes:
    return der.element(0xA0, der.object_identifier(identifier), der.explicit(0, value))


def _api_server(sentence: str, *breaks: str, names: tuple[str, ...]) -> Case:
    """A request of Calico's API server for these names."""
    return case(
        sentence,
        *breaks,
        request={"common_name": "calico-api", "dns_names": names, "addresses": ("10.244.1.9",)},
        csr={"name": f"calico-apiserver-certs:{_API_POD}", "service_account": "calico-apiserver", "pod": _API_POD},
        pod={"service_account": "calico-apiserver", "host_network": False, "pod_ips": ("10.244.1.9",)},
        outcome="refused" if breaks else "permitted",
        certified={} if breaks else {"component": "calico-apiserver", "common_name": "calico-api", "dns_names": names},
    )


CASES: Final = table(
    refused("smallstep policy/engine_test.go", "request.dns_names", "san.dns.not_allowed", of=_beside),
    row("a wildcard of the own name", "*.typha-client", "name.reserved"),
    row("an asterisk within a label", "ty*pha-client", "name.reserved"),
    row("an asterisk alone", "*", "name.reserved"),
    row("a name in punycode", "xn--typha-clint-s6a"),
    row("an address as a dns name", ADDRESS),
    row("an IPv6 address as a dns name", "2001:db8::7"),
    row("localhost", "localhost"),
    refused("smallstep policy/engine_test.go", "request.dns_names", "san.type", of=_beside),
    row("a name of 5000 characters", "x" * 5000),
    refused("smallstep policy/engine_test.go", "request.dns_names", *_NOT_OWN, of=_instead),
    row("a wildcard beside its apex", "*.calico-system.svc", "name.reserved"),
    row("double periods", "typha-client..calico-system"),
    row("a period before the own name", ".typha-client"),
    row("the own name in mixed case", "Typha-Client"),
    row("the own name with a port", "typha-client:5473"),
    row("the own name as a URL", "https://typha-client/"),
    row("the own name with a path", "typha-client/x"),
    refused("operator csr_controller_test.go", "request.dns_names", "san.dns.not_allowed", of=_beside),
    row("the cluster's API server", "kubernetes.default.svc"),
    row("the cluster's API server by its short name", "kubernetes"),
    row("the other end's name beside the own one", "typha-server"),
    row("Calico's API server beside the own name", "calico-api.calico-system.svc"),
    row("a name of the Internet", "google.com"),
    row("the own name in the cluster's domain", "typha-client.calico-system.svc.cluster.local"),
    row("the pod's name", "calico-node-x7k2p"),
    row("the node's name", "gke-demo-pool-1-4f7c"),
    row("a placeholder of profiles", "{pod}"),
    refused("boulder csr_test.go", "request.dns_names", *_NOT_OWN, of=_instead),
    row("the own name with a digit for a letter", "typha-c1ient"),
    row("the own name with an underscore", "typha_client"),
    row("the own name with a blank after it", "typha-client "),
    row("two names in one, with a comma", "typha-client,google.com"),
    row("the own name percent-encoded", "typha%2dclient"),
    row("a system name alone", "system:node:worker-1", "name.reserved"),
    refused("ours: as many names as a request may have", "request.dns_names", "san.dns.not_allowed"),
    row("ninety unknown names", ("typha-client", *(f"n{number}.example.com" for number in range(90)))),
    cases("operator pkg/render/apiserver.go: kube-apiserver verifies these names"),
    _api_server("the API server without its short name", "san.dns.missing", names=_API[1:]),
    _api_server("the API server without the name that is verified", "san.dns.missing", names=_API[:2]),
    _api_server("the API server in another cluster's domain", "san.dns.not_allowed", names=(*_API, _OTHER_DOMAIN)),
    _api_server("the API server in the namespace of older releases", *_NOT_OWN, names=_OLD_API),
    _api_server("the API server with a dot after its full name", _NOT_OWN[0], names=(*_API, f"{_OWN_DOMAIN}.")),
    _api_server("the API server with a name twice", "san.dns.not_allowed", names=(*_API, _API[2])),
    _api_server("the API server as a wildcard", _NOT_OWN[0], "name.reserved", names=(*_API, _WILDCARD)),
    refused("Go crypto/x509 and pyca accept them", "request.other_names", "san.type", of=_encoded),
    row("a dns name with NUL before the own one", dns_name(b"\0typha-client")),
    row("a dns name with a new line", dns_name(b"typha-client\n")),
    row("a dns name with a carriage return", dns_name(b"google.com\r\nSet-Cookie: x")),
    row("a dns name with DEL", dns_name(b"typha-client\x7f")),
    invalid("a dns name in Latin-1", dns_name(b"typha-cli\xe9nt")),
    row("a dns name in UTF-16", dns_name("typha-client".encode("utf-16-be"))),
    row("a dns name of terminal codes", dns_name(b"\x1b[2J\x1b[31mtypha-client")),
    row("a dns name that is constructed", der.element(0xA2, der.ia5_text("typha-client"))),
    row("an empty dns name alone", dns_name(b"")),
    refused("approver-policy evaluator_rawbypass_test.go", "request.other_names", "san.type", of=_encoded),
    row("a service name (SRV)", _other_name("1.3.6.1.5.5.7.8.7", der.ia5_text("_typha.example.com"))),
    row("a hardware module name", _other_name("1.3.6.1.5.5.7.8.4", _MODULE)),
    row("the own name as another kind", _other_name("1.3.6.1.5.5.7.8.5", der.element(0x0C, b"typha-client"))),
    row("an X.400 address", der.element(0xA3, der.sequence())),
    row("an EDI party", der.element(0xA5, der.explicit(1, der.text("party")))),
    row("the own name as an e-mail address", der.implicit(1, b"typha-client")),
    row("the own name as a URI", der.implicit(6, b"https://typha-client")),
    row("an empty directory name", der.element(0xA4, der.sequence())),
    row("a directory name of an administrator", der.element(0xA4, _ADMINISTRATOR)),
    row("an unknown kind of name", der.implicit(9, b"x")),
    row("a name without a kind", der.element(0x0C, b"typha-client")),
    row("a name of the class of applications", der.element(0x42, b"typha-client")),
    refused(
        "boulder csr_test.go",
        "request",
        *("san.type", "san.dns.missing"),
        of=lambda name: {"dns_names": (), "addresses": (), "other_names": [name]},
    ),
    row("a URI alone", der.implicit(6, _SPIFFE)),
    row("an e-mail address alone", der.implicit(1, b"root@example.com")),
    refused("kubelet-rubber-stamp helpers_test.go", "request.dns_names", "san.dns.missing"),
    row("an address without a name", ()),
    refused("key-cert-provisioner pkg/cfg: garbage in POD_IP", "request.other_names", "san.type", of=_address),
    invalid("an address of no bytes", b""),
    invalid("an address of 3 bytes", bytes(3)),
    invalid("an address of 15 bytes", bytes(15)),
    invalid("an address of 17 bytes", bytes(17)),
    invalid("an IPv6 address with a mask", bytes(32)),
    invalid("an address in letters", ADDRESS.encode()),
    permitted("kubelet-rubber-stamp helpers_test.go", "request.addresses"),
    row("no address", ()),
    cases("operator pkg/dns/dns.go: the cluster's domain, where the operator knows it"),
    _api_server("the API server with the cluster's domain", names=(*_API, _OWN_DOMAIN)),
    _api_server("the API server without the cluster's domain", names=_API),
    _api_server("the API server with its names in another order", names=tuple(reversed(_API))),
)
