"""Calico's open-source components that request certificates, by release.

The rows come from the operator's render packages (pkg/render/node.go, typha.go, apiserver.go). Goldmane,
Whisker (`key_pairs`) and the webhooks have key pairs too, but no init container that would ask for them.
"""

from dataclasses import dataclass
from typing import Literal

CALICO_SYSTEM = "calico-system"
SECRET_IN_NAME_SINCE = (
    3,
    28,
)  # `<secret>:<pod>` since then, `<namespace>:<pod>` before (key-cert-provisioner#89)
_API_SERVER_IN_CALICO_SYSTEM_SINCE = (3, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One workload and the certificate that its pods request.

    Attributes:
        workload: Name of the DaemonSet or Deployment.
        kind: DaemonSet or Deployment; it decides the form of pod names.
        secret: The key pair's name: prefix of the CSR's name, of the init container's, and the volume's.
        namespace: Namespace of its pods.
        service_account: Service account of its pods.
        common_name: The name that peers compare.
        dns_names: The requested DNS names, in the operator's order.
        host_network: Whether its pods have their node's address.
        release: The Calico release that the row belongs to.
    """

    workload: str
    kind: Literal["DaemonSet", "Deployment"]
    secret: str
    namespace: str
    service_account: str
    common_name: str
    dns_names: tuple[str, ...]
    host_network: bool
    release: str

    @property
    def secret_in_name(self) -> bool:
        """Tells whether a CSR's name starts with the key pair's name instead of the namespace."""
        return version(self.release) >= SECRET_IN_NAME_SINCE

    def request_name(self, pod: str) -> str:
        """Returns the name of the CSR of one of its pods."""
        return f"{self.secret if self.secret_in_name else self.namespace}:{pod}"


def version(release: str) -> tuple[int, int]:
    """Returns the numbers of a Calico release.

    Args:
        release: Such as `3.31` or `v3.31.2`.

    Raises:
        ValueError: It is not a release.
    """
    major, separator, rest = release.removeprefix("v").partition(".")
    if not separator:
        raise ValueError(f"a Calico release is written as 3.31, got {release!r}")
    return int(major), int(rest.partition(".")[0])


def service_names(service: str, namespace: str, cluster_domain: str) -> tuple[str, ...]:
    """Returns the four names of a Service, in the order of the operator's GetServiceDNSNames."""
    qualified = f"{service}.{namespace}"
    return (service, qualified, f"{qualified}.svc", f"{qualified}.svc.{cluster_domain}")


def components(release: str, cluster_domain: str = "cluster.local") -> tuple[Component, ...]:
    """Returns all open-source components of a Calico release that request a certificate."""
    node = Component(
        workload="calico-node",
        kind="DaemonSet",
        secret="node-certs",  # noqa: S106  # the name of a key pair
        namespace=CALICO_SYSTEM,
        service_account="calico-node",
        common_name="typha-client",
        dns_names=("typha-client",),
        host_network=True,
        release=release,
    )
    typha = Component(
        workload="calico-typha",
        kind="Deployment",
        secret="typha-certs",  # noqa: S106  # the name of a key pair
        namespace=CALICO_SYSTEM,
        service_account="calico-typha",
        common_name="typha-server",
        dns_names=("typha-server",),
        host_network=True,
        release=release,
    )
    return (node, typha, _api_server(release, cluster_domain))


def _api_server(release: str, cluster_domain: str) -> Component:
    moved = version(release) >= _API_SERVER_IN_CALICO_SYSTEM_SINCE
    namespace = CALICO_SYSTEM if moved else "calico-apiserver"
    return Component(
        workload="calico-apiserver",
        kind="Deployment",
        secret="calico-apiserver-certs",  # noqa: S106  # the name of a key pair
        namespace=namespace,
        service_account="calico-apiserver",
        common_name="calico-api",
        dns_names=service_names("calico-api", namespace, cluster_domain),
        host_network=False,
        release=release,
    )
