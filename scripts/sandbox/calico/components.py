"""Calico's open-source components that ask for certificates, release by release.

The rows are those of the operator's render packages (pkg/render/node.go, typha.go, apiserver.go). Goldmane,
Whisker and the webhooks have key pairs too, but no init container that would ask for them.
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
    """One workload and the one certificate that its pods ask for.

    Attributes:
        workload: Name of the DaemonSet or Deployment.
        kind: Which of the two it is; it decides what its pods are called.
        secret: The key pair's name: prefix of the CSR's name, of the init container's, and the volume's.
        namespace: Where its pods run.
        service_account: As whom they run.
        common_name: What the certificate's peers compare.
        dns_names: What the certificate is asked for, in the operator's order.
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
        """Whether CSRs are named for the key pair, and not for the namespace."""
        return version(self.release) >= SECRET_IN_NAME_SINCE

    def request_name(self, pod: str) -> str:
        """Name of the CSR of one of its pods."""
        return f"{self.secret if self.secret_in_name else self.namespace}:{pod}"


def version(release: str) -> tuple[int, int]:
    """The numbers of a Calico release.

    Args:
        release: Such as `3.31` or `v3.31.2`.

    Raises:
        ValueError: It does not look like one.
    """
    major, separator, rest = release.removeprefix("v").partition(".")
    if not separator:
        raise ValueError(f"a Calico release is written as 3.31, got {release!r}")
    return int(major), int(rest.partition(".")[0])


def service_names(service: str, namespace: str, cluster_domain: str) -> tuple[str, ...]:
    """The four names of a Service, as the operator's GetServiceDNSNames lists them."""
    qualified = f"{service}.{namespace}"
    return (service, qualified, f"{qualified}.svc", f"{qualified}.svc.{cluster_domain}")


def components(release: str, cluster_domain: str = "cluster.local") -> tuple[Component, ...]:
    """Every open-source component of a Calico release that asks for a certificate."""
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
