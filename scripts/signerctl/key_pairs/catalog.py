"""The key pairs that components need and cannot ask for, from the profile's rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from csr_signer.policy.profile import Component, Profile

SECRET_NAMESPACES: Final[Mapping[str, str]] = {
    "goldmane-key-pair": "tigera-operator",
    "whisker-key-pair": "calico-system",
    "whisker-backend-key-pair": "calico-system",
    "guardian-key-pair": "calico-system",
    "calico-webhooks-tls": "tigera-operator",
}
"""Where the tigera operator looks for each Secret before it mounts an empty volume in its place.

Source: the calls of GetOrCreateKeyPair in tigera/operator, pkg/controller/{goldmane,whisker,clusterconnection,apiserver}.
"""
_POD: Final = ":{pod}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A key pair.

    Attributes:
        component: The profile's row.
        signer_name: Its signer.
        namespace, service_account: Of the component's pods.
        secret: The name of the Secret, and of the pods' volume.
        secret_namespace: Where the operator looks for the Secret.
        common_name, dns_names: What the CSR asks for.
        purposes: The certificate's extended key usage: `serverAuth`, `clientAuth`.
    """

    component: str
    signer_name: str
    namespace: str
    service_account: str
    secret: str
    secret_namespace: str
    common_name: str
    dns_names: tuple[str, ...]
    purposes: frozenset[str]

    @property
    def path(self) -> str:
        """Returns NAMESPACE/NAME of the Secret."""
        return f"{self.secret_namespace}/{self.secret}"

    def request_name(self, pod: str) -> str:
        """Returns the name of the CSR of a pod, as the operator's client would choose it."""
        return f"{self.secret}:{pod}"


def of(profiles: Mapping[str, Profile], *, cluster_domain: str) -> tuple[KeyPair, ...]:
    """Returns the key pairs of all signers.

    Args:
        profiles: By signerName, the rows of the cluster's release.
        cluster_domain: The cluster's DNS domain.
    """
    return tuple(
        each
        for name, rows in profiles.items()
        for row in rows.components
        for each in _of_row(name, row, cluster_domain)
    )


def _of_row(signer_name: str, row: Component, cluster_domain: str) -> Iterable[KeyPair]:
    for rule in row.request_names:
        secret = rule.name.removesuffix(_POD)
        if secret not in SECRET_NAMESPACES or rule.name == secret:
            continue
        for account in row.service_accounts:
            namespace, _, name = account.partition("/")
            yield KeyPair(
                component=row.name,
                signer_name=signer_name,
                namespace=namespace,
                service_account=name,
                secret=secret,
                secret_namespace=SECRET_NAMESPACES[secret],
                common_name=row.common_name,
                dns_names=tuple(each.name.replace("{cluster_domain}", cluster_domain) for each in row.dns_names),
                purposes=frozenset(row.extended_key_usage),
            )
