"""A configured signer: all inputs of a decision besides the request."""

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
        address_ranges: networks of the cluster's pods and nodes; empty: all addresses.
        credential_id: whether a requester's token must have a credential ID (Kubernetes 1.32 and later record it).
        signer_name: its `spec.signerName`.
        approve: whether it approves CSRs itself.
        profile: the profile with the rows of its release.
        lifetime: the configured maximum lifetime; it can only lower the profile's.
        deferral_limit: CSR age at which a deferral becomes a refusal.
        issuer: the issuing CA.
        configuration_digest: hex SHA-256 of all settings that affect a certificate.
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
