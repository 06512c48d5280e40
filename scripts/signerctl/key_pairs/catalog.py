"""The key pairs of components that do not request their own certificates, from the profile's rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from csr_signer.policy.profile import Component, Profile

PROFILE: Final = "calico"
"""The profile that has rows for these key pairs."""
SECRET_NAMESPACES: Final[Mapping[str, str]] = {
    "goldmane-key-pair": "tigera-operator",
    "whisker-key-pair": "calico-system",
    "whisker-backend-key-pair": "calico-system",
    "guardian-key-pair": "calico-system",
    "calico-webhooks-tls": "tigera-operator",
}
"""Where the tigera operator looks for each Secret before it mounts an empty volume in its place.

Source: the calls of GetOrCreateKeyPair in tigera/operator, pkg/controller.
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
    rows = [(name, row) for name, profile in profiles.items() for row in profile.components]
    return tuple(each for name, row in rows for each in _of_row(name, row, cluster_domain))


def is_key_pair(csr_name: str) -> bool:
    """Tells whether a CSR has the name of a request for a key pair, as `KeyPair.request_name` makes it."""
    return csr_name.partition(":")[0] in SECRET_NAMESPACES


def secret_of(row: Component) -> str | None:
    """Returns the name of a row's Secret; None if its pods ask for their certificates themselves."""
    names = {rule.name.removesuffix(_POD) for rule in row.request_names if rule.name.endswith(_POD)}
    return next((name for name in sorted(names) if name in SECRET_NAMESPACES), None)


def _of_row(signer_name: str, row: Component, cluster_domain: str) -> Iterable[KeyPair]:
    secret = secret_of(row)
    if secret is None:
        return
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
