"""A signer as the operator configured it: everything beside the request that a decision depends on."""

from dataclasses import dataclass
from datetime import timedelta

from csr_signer.ca.issuer import Issuer
from csr_signer.document import Network
from csr_signer.policy.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One configured (cluster, signerName, profile, issuer).

    Attributes:
        cluster: the cluster's key in the configuration; part of the serial number.
        cluster_domain: the domain of the cluster's service names.
        address_ranges: where the addresses of the cluster's pods and nodes lie; empty: anywhere.
        credential_id: whether a requester's token must name itself (Kubernetes 1.32 and later record it).
        signer_name: `spec.signerName` that it serves.
        approve: whether it approves by itself.
        profile: the rows of its release.
        lifetime: the configuration's cap of the lifetime; it can only lower the profile's.
        deferral_limit: CSR age at which what is still missing is refused.
        issuer: the CA that signs.
        configuration_digest: hex SHA-256 over everything that a certificate follows from.
    """

    cluster: str
    cluster_domain: str
    address_ranges: tuple[Network, ...]
    credential_id: bool
    signer_name: str
    approve: bool
    profile: Profile
    lifetime: timedelta
    deferral_limit: timedelta
    issuer: Issuer
    configuration_digest: str
