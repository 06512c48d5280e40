"""What Calico's components ask for, written from the operator's source and not from the profiles: it judges those.

Sources: tigera/operator pkg/render, pkg/controller and pkg/dns at v1.32 to v1.44; projectcalico/calico
key-cert-provisioner; for Calico Enterprise also tigera/docs. Open source is by Calico's release, Enterprise by the
operator's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from csr_signer.policy.profile import SHIPPED, Profile, load

DOMAIN: Final = "k8s.example.org"
"""The cluster domain of the tests: not the usual one, so that nobody can have written that into a profile."""

CALICO_RELEASES: Final = ("3.26", "3.27", "3.28", "3.29", "3.30", "3.31", "3.32", "3.33")
ENTERPRISE_RELEASES: Final = ("1.42", "1.43", "1.44")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One component's request.

    Attributes:
        prefix: of the CSR's name, before the pod's.
        account: `NAMESPACE/NAME`.
        pod: a name as its workload gives one.
        common_name: of the subject.
        names: DNS names that it always asks for.
        optional_names: DNS names that it may leave out: of the cluster domain, which the operator may not know, and
            `localhost`, which only its own pod uses.
        extended_key_usage: of the certificate that it needs.
        since, until: releases, both inclusive; empty: open.
    """

    prefix: str
    account: str
    pod: str
    common_name: str
    names: tuple[str, ...]
    optional_names: tuple[str, ...] = ()
    extended_key_usage: tuple[str, ...] = ("serverAuth", "clientAuth")
    since: str = ""
    until: str = ""

    def __str__(self) -> str:
        return f"{self.account}, {self.prefix}"

    @property
    def namespace(self) -> str:
        """Of the requester."""
        return self.account.partition("/")[0]

    @property
    def service_account(self) -> str:
        """Its name, without the namespace."""
        return self.account.partition("/")[2]

    @property
    def request_name(self) -> str:
        """The CSR's name."""
        return f"{self.prefix}:{self.pod}"

    def known(self, release: str) -> bool:
        """Whether a release has it."""
        return not (self.since and _order(release) < _order(self.since)) and not (
            self.until and _order(release) > _order(self.until)
        )


def _order(release: str) -> list[int]:
    return list(map(int, release.split(".")))


def _service(prefix: str, account: str, pod: str, *services: str, first: str = "", **others: Any) -> Asked:
    """A component that asks for the names of services, each `NAME.NAMESPACE`, as the operator's GetServiceDNSNames."""
    names = [*([first] if first else ())]
    for service in services:
        names += [service.partition(".")[0], service, f"{service}.svc"]
    optional_names = tuple(f"{service}.svc.{DOMAIN}" for service in services)
    values = {"common_name": names[0], "names": tuple(names), "optional_names": optional_names} | others
    return Asked(prefix=prefix, account=account, pod=pod, **values)


def _key_pair(account: str, pod: str, name: str, *local: str, secret: str = "", **others: Any) -> Asked:
    """A component for which `signerctl key-pairs` asks, in the operator's place: a service in calico-system."""
    service = f"{name}.calico-system"
    optional = (f"{service}.svc.{DOMAIN}", *local)
    prefix = secret or f"{name}-key-pair"
    return _service(prefix, f"calico-system/{account}", pod, service, optional_names=optional, **others)


def _single(prefix: str, account: str, pod: str, name: str, **others: Any) -> Asked:
    """A component whose one DNS name is its common name."""
    values = {"common_name": name, "names": (name,)} | others
    return Asked(prefix=prefix, account=account, pod=pod, **values)


_NODE: Final = ("calico-system/calico-node", "calico-node-5ckvq")
_TYPHA: Final = ("calico-system/calico-typha", "calico-typha-688c9f7d5-h9c5w")
_API: Final = ("calico-system/calico-apiserver", "calico-apiserver-7d9c8b6f5-x2xkq")
_OLD_API: Final = ("calico-apiserver/calico-apiserver", "calico-apiserver-7d9c8b6f5-x2xkq")
_WHISKER: Final = "whisker-8c7d6b5f4-n3m2b"
_SERVER: Final[dict[str, Any]] = {"extended_key_usage": ("serverAuth",)}
_CLIENT: Final[dict[str, Any]] = {"extended_key_usage": ("clientAuth",)}

CALICO: Final = (
    _single("calico-system", *_NODE, "typha-client", until="3.27"),
    _single("node-certs", *_NODE, "typha-client", since="3.28"),
    _single("calico-system", *_TYPHA, "typha-server", until="3.27"),
    _single("typha-certs", *_TYPHA, "typha-server", since="3.28"),
    _service("calico-apiserver", *_OLD_API, "calico-api.calico-apiserver", until="3.27"),
    _service("calico-apiserver-certs", *_OLD_API, "calico-api.calico-apiserver", since="3.28", until="3.30"),
    _service("calico-apiserver-certs", *_API, "calico-api.calico-system", since="3.31"),
    _key_pair("goldmane", "goldmane-7d4b9c6f5-x2x8k", "goldmane", since="3.30", **_SERVER),
    # Whisker's web server served plain HTTP in operators v1.40.0, v1.42.4 and v1.43.0.
    _key_pair("whisker", _WHISKER, "whisker", "localhost", since="3.33", **_SERVER),
    _key_pair("whisker", _WHISKER, "whisker-backend", "localhost", since="3.30"),
    _key_pair("guardian", "guardian-6f9c8d7b5-k4j2h", "guardian", "localhost", since="3.30"),
    _key_pair(
        "calico-webhooks",
        "calico-webhooks-5c8d7f6b9-z7x6c",
        "calico-webhooks",
        secret="calico-webhooks-tls",
        since="3.32",
        **_SERVER,
    ),
)
"""Calico open source. The operator's name 127.0.0.1 is no DNS name: it is left out."""

_CONTROLLERS: Final = ("calico-system/calico-kube-controllers", "calico-kube-controllers-6c8f5d7b9-w4s8t")
_ELASTIC: Final = ("tigera-elasticsearch/tigera-elasticsearch", "tigera-secure-es-0e2d4a6c8b1f-0")
_GATEWAY: Final = ("tigera-elasticsearch/tigera-secure-es-gateway", "tigera-secure-es-gateway-5b7f9c6d8-m2p4r")
_LINSEED: Final = ("tigera-elasticsearch/tigera-linseed", "tigera-linseed-7f6d5c4b3-q8w7e")
_MANAGER: Final = ("calico-system/calico-manager", "calico-manager-5c6d7e8f9-a1b2c")
_PROMETHEUS: Final = ("tigera-prometheus/prometheus", "prometheus-calico-node-prometheus-0")
_MANAGER_SERVICES: Final = ("calico-manager.calico-system", "tigera-manager.tigera-manager")
_ELASTIC_SERVICE: Final = "tigera-secure-es-http.tigera-elasticsearch"


def _compliance(what: str, pod: str) -> Asked:
    account = f"tigera-compliance/tigera-compliance-{what}"
    return _single(f"tigera-compliance-{what}-tls", account, pod, "localhost", until="1.43", **_CLIENT)


ENTERPRISE: Final = (
    _single("node-certs", *_NODE, "typha-client"),
    _single("typha-certs", *_TYPHA, "typha-server"),
    _service("calico-apiserver-certs", *_API, "calico-api.calico-system"),
    _service("calico-node-prometheus-server-tls", *_NODE, "calico-node-metrics.calico-system", **_SERVER),
    _service(
        "calico-kube-controllers-metrics-tls", *_CONTROLLERS, "calico-kube-controllers-metrics.calico-system", **_SERVER
    ),
    _service(
        "calico-kube-controllers-waf-webhook-tls",
        *_CONTROLLERS,
        "tigera-waf-webhook.calico-system",
        since="1.44",
        **_SERVER,
    ),
    _service("query-server-tls", *_API, "calico-api.calico-system"),
    _single("typha-certs-noncluster-host", *_TYPHA, "typha-server-noncluster-host"),
    _single("node-certs", "tigera-dpi/tigera-dpi", "tigera-dpi-k9j8h", "typha-client"),
    _service("tigera-dex-tls", "tigera-dex/tigera-dex", "tigera-dex-5f4d3c2b1-z9y8x", "tigera-dex.tigera-dex"),
    _service(
        "intrusion-detection-tls",
        "tigera-intrusion-detection/intrusion-detection-controller",
        "intrusion-detection-controller-6b5c4d3e2-t7r6e",
        "intrusion-detection-tls.tigera-intrusion-detection",
    ),
    _service(
        "calico-fluent-bit-tls",
        "calico-system/calico-fluent-bit",
        "calico-fluent-bit-v3c4x",
        "calico-fluent-bit-http-input.calico-system",
        first="calico-fluent-bit-tls",
        since="1.44",
    ),
    _service("tigera-secure-internal-elasticsearch-cert", *_ELASTIC, _ELASTIC_SERVICE),
    _service("elastic-internal-transport-certificates", *_ELASTIC, _ELASTIC_SERVICE),
    _service(
        "elastic-internal-http-certificates",
        "tigera-kibana/tigera-kibana",
        "tigera-secure-kb-7d6c5b4a3-p0o9i",
        "tigera-secure-kb-http.tigera-kibana",
        common_name="tigera-secure-es-http",
    ),
    _service(
        "tigera-secure-elasticsearch-cert",
        *_GATEWAY,
        _ELASTIC_SERVICE,
        "tigera-secure-es-gateway-http.tigera-elasticsearch",
    ),
    _service(
        "tigera-ee-elasticsearch-metrics-tls",
        "tigera-elasticsearch/tigera-elasticsearch-metrics",
        "tigera-elasticsearch-metrics-8c7b6a5d4-l2k3j",
        "tigera-elasticsearch-metrics.tigera-elasticsearch",
    ),
    _service("tigera-secure-linseed-cert", *_LINSEED, "tigera-linseed.tigera-elasticsearch"),
    _single("tigera-secure-linseed-token-tls", *_LINSEED, "tigera-secure-linseed-token-tls"),
    _service("manager-tls", *_MANAGER, *_MANAGER_SERVICES, first="localhost"),
    _service("internal-manager-tls", *_MANAGER, *_MANAGER_SERVICES),
    _service("calico-voltron-linseed-tls", *_MANAGER, "tigera-linseed.tigera-elasticsearch", **_SERVER),
    _service("calico-node-prometheus-tls", *_PROMETHEUS, "prometheus-http-api.tigera-prometheus"),
    _single("calico-node-prometheus-client-tls", *_PROMETHEUS, "calico-node-prometheus-client-tls"),
    _service(
        "tigera-packetcapture-server-tls",
        "tigera-packetcapture/tigera-packetcapture",
        "tigera-packetcapture-9d8c7b6a5-n4m3b",
        "tigera-packetcapture.tigera-packetcapture",
    ),
    _single(
        "policy-recommendation-tls",
        "calico-system/tigera-policy-recommendation",
        "tigera-policy-recommendation-4d5e6f7a8-h5g4f",
        "policy-recommendation-tls",
    ),
    _service(
        "tigera-compliance-server-tls",
        "tigera-compliance/tigera-compliance-server",
        "compliance-server-6f5e4d3c2-d4s3a",
        "compliance.tigera-compliance",
        until="1.43",
    ),
    _compliance("controller", "compliance-controller-7a6b5c4d3-f6g7h"),
    _compliance("snapshotter", "compliance-snapshotter-8b7a6c5d4-j8k9l"),
    _compliance("benchmarker", "compliance-benchmarker-q2w3e"),
    _compliance("reporter", "tigera-compliance-reporter-r4t5y"),
)
"""Calico Enterprise."""


def rows(profile: str, release: str) -> Sequence[Asked]:
    """What the components of a release ask for."""
    return [row for row in {"calico": CALICO, "calico-enterprise": ENTERPRISE}[profile] if row.known(release)]


def configured(profile: str, release: str) -> list[str]:
    """The namespaces that a configuration must list: all of a release, where there are several to choose from."""
    used = sorted({asked.namespace for asked in rows(profile, release)})
    return used if len(used) > 1 else []


@cache
def loaded(profile: str, release: str) -> Profile:
    """The shipped profile, with every namespace that a configuration must list."""
    return load(profile, release=release, namespaces=configured(profile, release), folder=SHIPPED)
