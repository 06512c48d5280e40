"""subjectAltName: names that look like the component's, kinds of name that nobody asked for, and sizes."""

from typing import Final

from sandbox.calico import der
from tests.corpus.entry import permitted, refused
from tests.corpus.hostile import with_names
from tests.function.builders import ADDRESS, Case, case, dns_name, name_attribute

_API: Final = ("calico-api", "calico-api.calico-system", "calico-api.calico-system.svc")
_API_POD: Final = "calico-apiserver-6d8f9c7b5-x7k2p"


def _beside(sentence: str, name: str, *further: str) -> Case:
    return case(sentence, "san.dns.not_allowed", *further, request={"dns_names": ("typha-client", name)})


def _instead(sentence: str, name: str, *further: str) -> Case:
    return case(sentence, "san.dns.not_allowed", "san.dns.missing", *further, request={"dns_names": (name,)})


def _raw(sentence: str, *encoded: bytes) -> Case:
    return case(sentence, "san.type", request=with_names(*encoded))


def _too_long(sentence: str, name: str) -> Case:
    return case(sentence, "san.type", request={"dns_names": ("typha-client", name)})


def _address(sentence: str, content: bytes) -> Case:
    return _raw(sentence, der.implicit(7, content))


def api_server(sentence: str, *breaks: str, dns_names: tuple[str, ...]) -> Case:
    """A request of Calico's API server for these names."""
    return case(
        sentence,
        *breaks,
        request={"common_name": "calico-api", "dns_names": dns_names, "addresses": ("10.244.1.9",)},
        csr={"name": f"calico-apiserver-certs:{_API_POD}", "service_account": "calico-apiserver", "pod": _API_POD},
        pod={"service_account": "calico-apiserver", "host_network": False, "pod_ips": ("10.244.1.9",)},
    )


def _other_name(identifier: str, value: bytes) -> bytes:
    return der.element(0xA0, der.object_identifier(identifier), der.explicit(0, value))


ROWS: Final = (
    *refused(
        "smallstep/certificates policy/engine_test.go, cert-manager test/e2e/suite/conformance: names",
        _beside("a wildcard of the own name", "*.typha-client", "name.reserved"),
        _beside("an asterisk within a label", "ty*pha-client", "name.reserved"),
        _beside("an asterisk alone", "*", "name.reserved"),
        _instead("a wildcard beside its apex", "*.calico-system.svc", "name.reserved"),
        _instead("double periods", "typha-client..calico-system"),
        _instead("a period before the own name", ".typha-client"),
        _instead("the own name in mixed case", "Typha-Client"),
        _instead("the own name with a port", "typha-client:5473"),
        _instead("the own name as a URL", "https://typha-client/"),
        _instead("the own name with a path", "typha-client/x"),
        _beside("a name in punycode", "xn--typha-clint-s6a"),
        _too_long("a name of 5000 characters", "x" * 5000),
        _beside("an address as a dns name", ADDRESS),
        _beside("an IPv6 address as a dns name", "2001:db8::7"),
        _beside("localhost", "localhost"),
    ),
    *refused(
        "tigera/operator csr_controller_test.go, letsencrypt/boulder csr/csr_test.go: names of others",
        _beside("the cluster's API server", "kubernetes.default.svc"),
        _beside("the cluster's API server by its short name", "kubernetes"),
        _beside("the other end's name beside the own one", "typha-server"),
        _beside("Calico's API server beside the own name", "calico-api.calico-system.svc"),
        _beside("a name of the Internet", "google.com"),
        _beside("the own name in the cluster's domain", "typha-client.calico-system.svc.cluster.local"),
        _beside("the pod's name", "calico-node-x7k2p"),
        _beside("the node's name", "gke-demo-pool-1-4f7c"),
        _beside("a placeholder of profiles", "{pod}"),
        _instead("the own name with a digit for a letter", "typha-c1ient"),
        _instead("the own name with an underscore", "typha_client"),
        _instead("the own name with a blank after it", "typha-client "),
        _instead("two names in one, with a comma", "typha-client,google.com"),
        _instead("the own name percent-encoded", "typha%2dclient"),
        case(
            "a system name alone",
            "san.dns.not_allowed",
            "san.dns.missing",
            "name.reserved",
            request={"dns_names": ("system:node:worker-1",)},
        ),
        case(
            "ninety foreign names",
            "san.dns.not_allowed",
            request={"dns_names": ("typha-client", *(f"n{number}.example.com" for number in range(90)))},
        ),
    ),
    *refused(
        "tigera/operator pkg/render/apiserver.go: Calico's API server, whose names kube-apiserver verifies",
        api_server("the API server without its short name", "san.dns.missing", dns_names=_API[1:]),
        api_server("the API server without the name that is verified", "san.dns.missing", dns_names=_API[:2]),
        api_server(
            "the API server in another cluster's domain",
            "san.dns.not_allowed",
            dns_names=(*_API, "calico-api.calico-system.svc.example.com"),
        ),
        api_server(
            "the API server in the namespace of older releases",
            "san.dns.not_allowed",
            "san.dns.missing",
            dns_names=("calico-api", "calico-api.calico-apiserver", "calico-api.calico-apiserver.svc"),
        ),
        api_server(
            "the API server with a dot after its full name",
            "san.dns.not_allowed",
            dns_names=(*_API, "calico-api.calico-system.svc.cluster.local."),
        ),
        api_server("the API server with a name twice", "san.dns.not_allowed", dns_names=(*_API, _API[2])),
        api_server(
            "the API server as a wildcard",
            "san.dns.not_allowed",
            "name.reserved",
            dns_names=(*_API, "*.calico-system.svc.cluster.local"),
        ),
    ),
    *refused(
        "Go crypto/x509 and pyca/cryptography load dNSNames that are no names",
        _raw("a dns name with NUL before the own one", dns_name(b"\0typha-client")),
        _raw("a dns name with a new line", dns_name(b"typha-client\n")),
        _raw("a dns name with a carriage return", dns_name(b"google.com\r\nSet-Cookie: x")),
        _raw("a dns name with DEL", dns_name(b"typha-client\x7f")),
        _raw("a dns name in Latin-1", dns_name(b"typha-cli\xe9nt")),
        _raw("a dns name in UTF-16", dns_name("typha-client".encode("utf-16-be"))),
        _raw("a dns name of terminal codes", dns_name(b"\x1b[2J\x1b[31mtypha-client")),
        _raw("a dns name that is constructed", der.element(0xA2, der.ia5_text("typha-client"))),
        _raw("an empty dns name alone", dns_name(b"")),
    ),
    *refused(
        "cert-manager/approver-policy allowed/evaluator_rawbypass_test.go: kinds of names",
        _raw("a service name (SRV)", _other_name("1.3.6.1.5.5.7.8.7", der.ia5_text("_typha.example.com"))),
        _raw(
            "a hardware module name",
            _other_name("1.3.6.1.5.5.7.8.4", der.sequence(der.object_identifier("1.2.3"), der.octet_string(b"1"))),
        ),
        _raw("the own name as another kind", _other_name("1.3.6.1.5.5.7.8.5", der.element(0x0C, b"typha-client"))),
        _raw("an X.400 address", der.element(0xA3, der.sequence())),
        _raw("an EDI party", der.element(0xA5, der.explicit(1, der.text("party")))),
        _raw("the own name as an e-mail address", der.implicit(1, b"typha-client")),
        _raw("the own name as a URI", der.implicit(6, b"https://typha-client")),
        _raw("an empty directory name", der.element(0xA4, der.sequence())),
        _raw(
            "a directory name of an administrator",
            der.element(
                0xA4,
                der.sequence(
                    name_attribute("2.5.4.3", der.text("kubernetes-admin")),
                    name_attribute("2.5.4.10", der.text("system:masters")),
                ),
            ),
        ),
        _raw("a kind of name that does not exist", der.implicit(9, b"x")),
        _raw("a name without a kind", der.element(0x0C, b"typha-client")),
        _raw("a name of the class of applications", der.element(0x42, b"typha-client")),
        case(
            "a URI alone",
            "san.type",
            "san.dns.missing",
            request={
                "dns_names": (),
                "addresses": (),
                "other_names": [der.implicit(6, b"spiffe://cluster.local/ns/calico-system/sa/calico-node")],
            },
        ),
        case(
            "an e-mail address alone",
            "san.type",
            "san.dns.missing",
            request={"dns_names": (), "addresses": (), "other_names": [der.implicit(1, b"root@example.com")]},
        ),
    ),
    *refused(
        "kontena/kubelet-rubber-stamp pkg/controller/certificatesigningrequest/helpers_test.go: an address alone",
        case("an address without a name", "san.dns.missing", request={"dns_names": ()}),
    ),
    *refused(
        "projectcalico/calico key-cert-provisioner pkg/cfg: garbage in POD_IP gives an address of wrong length",
        _address("an address of no bytes", b""),
        _address("an address of 3 bytes", bytes(3)),
        _address("an address of 15 bytes", bytes(15)),
        _address("an address of 17 bytes", bytes(17)),
        _address("an IPv6 address with a mask", bytes(32)),
        _address("an address in letters", ADDRESS.encode()),
    ),
    *permitted(
        "kontena/kubelet-rubber-stamp pkg/controller/certificatesigningrequest/helpers_test.go: a name alone",
        case("no address", request={"addresses": ()}),
    ),
    *permitted(
        "tigera/operator pkg/dns/dns.go: the name with the cluster's domain is there only where the operator knows it",
        api_server(
            "the API server with the cluster's domain", dns_names=(*_API, "calico-api.calico-system.svc.cluster.local")
        ),
        api_server("the API server without the cluster's domain", dns_names=_API),
        api_server("the API server with its names in another order", dns_names=tuple(reversed(_API))),
    ),
)
