"""The configuration document before validation: types and defaults. The rules are in `validation`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Literal

from csr_signer.document import STRICT, Duration, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleAccessToken:
    """An access token of a service account that the function impersonates, for GKE and Connect Gateway.

    Attributes:
        service_account: email of the account. It needs the right to reach the cluster and must have none on keys: a
            thief can use the token at every Google API.
        private_endpoint: whether `server` is the private address of a GKE control plane. The function cannot verify
            the owner of the address.
    """

    __pydantic_config__: ClassVar = STRICT
    service_account: str
    private_endpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleIdToken:
    """An ID token of the function's service account, for API servers that trust Google as issuer.

    The token is valid only for its audience. No Google API accepts it, so it needs no separate account.

    Attributes:
        audience: the audience that this API server accepts, and no other.
    """

    __pydantic_config__: ClassVar = STRICT
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """The function's authentication at the API server: exactly one of these.

    Attributes:
        google_access_token: an access token of another service account (GKE, Connect Gateway).
        google_id_token: an ID token for its own audience.
        kubeconfig: a kubeconfig file for development, with server and CA.
    """

    __pydantic_config__: ClassVar = STRICT
    google_access_token: GoogleAccessToken | None = None
    google_id_token: GoogleIdToken | None = None
    kubeconfig: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfiguration:
    """One cluster.

    Attributes:
        source: the source of its events.
        authentication: the function's authentication.
        server: https URL of the API server; absent only with a kubeconfig.
        certificate_authority: PEM file of the API server's CA; absent: the system's roots, only for Google's hosts.
        cluster_domain: the domain of service names.
        invokers: emails of the allowed callers, verified by Cloud Run; empty: all callers that may invoke the function.
        address_ranges: networks of all its pods' and nodes' addresses; empty: all addresses.
        credential_id: `waived` for Kubernetes before 1.32, whose tokens have no credential ID.
        shared_trust_domain: whether the cluster may share its CA with other clusters that also allow it.
    """

    __pydantic_config__: ClassVar = STRICT
    source: str
    authentication: Authentication
    server: str | None = None
    certificate_authority: str | None = None
    cluster_domain: str = "cluster.local"
    invokers: tuple[str, ...] = ()
    address_ranges: tuple[Network, ...] = ()
    credential_id: Literal["required", "waived"] = "required"
    shared_trust_domain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileReference:
    """A shipped profile or a file in the document's folder, with the release and namespaces of this cluster.

    Attributes:
        name: name of a shipped profile or of a file.
        release: release of the software in the cluster.
        namespaces: the only namespaces with allowed service accounts; empty: all namespaces of the release.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    release: str | None = None
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfiguration:
    """An issuing CA; certificates are file names here. `csr_signer.ca.issuer.load` has the rules.

    Attributes:
        key_version: full resource name of the CryptoKeyVersion.
        certificate: PEM file: the issuing CA first, then its chain.
        trust_bundle: PEM file of the CAs that relying parties trust.
        protection_level: the key's lowest allowed protection level.
        signature_hash: the hash for a raw RSA key, which has no fixed hash; an error for every other key.
    """

    __pydantic_config__: ClassVar = STRICT
    key_version: str
    certificate: str
    trust_bundle: str
    protection_level: Literal["SOFTWARE", "HSM", "HSM_SINGLE_TENANT"] = "HSM"
    signature_hash: Literal["SHA256", "SHA384", "SHA512"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerConfiguration:
    """One signerName of one cluster.

    Attributes:
        cluster: its key under `clusters`.
        signer_name: `spec.signerName`.
        profile: the profile that judges requests.
        issuer: the issuing CA.
        approve: false if another approver decides and the function only signs.
        lifetime: the longest lifetime that a request may ask for, within the profile's maximum; absent: that maximum.
        deferral_limit: CSR age at which a deferral becomes a refusal.
    """

    __pydantic_config__: ClassVar = STRICT
    cluster: str
    signer_name: str
    profile: ProfileReference
    issuer: IssuerConfiguration
    approve: bool = True
    lifetime: Duration | None = None
    deferral_limit: Duration = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsConfiguration:
    """The endpoint of Cloud KMS; absent: its public endpoint.

    Attributes:
        endpoint: another TLS endpoint, for example a regional one or Private Service Connect.
        unsafe_plaintext_endpoint: HOST:PORT of a double on the loopback address, for tests and the sandbox.
    """

    __pydantic_config__: ClassVar = STRICT
    endpoint: str | None = None
    unsafe_plaintext_endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The document before its references are loaded.

    Attributes:
        clusters: the clusters, at most 16, each by a name in lower case.
        signers: one for each signerName of each cluster.
        kms: the endpoint of Cloud KMS.
    """

    __pydantic_config__: ClassVar = STRICT
    clusters: Mapping[str, ClusterConfiguration]
    signers: tuple[SignerConfiguration, ...]
    kms: KmsConfiguration = field(default_factory=KmsConfiguration)
