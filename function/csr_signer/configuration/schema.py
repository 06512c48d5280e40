"""The configuration document as written: its types and their defaults. `validation` says what each field must be."""

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
        private_endpoint: true: `server` is the private address of a GKE control plane. The function cannot see whose
            address it is.
    """

    __pydantic_config__: ClassVar = STRICT
    service_account: str
    private_endpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleIdToken:
    """An ID token of the function's service account, for API servers that trust Google as issuer.

    The token is good for its audience alone. No Google API accepts it, so it needs no account of its own.
    """

    __pydantic_config__: ClassVar = STRICT
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """How the function proves itself to the API server: exactly one of these.

    Attributes:
        google_access_token: an access token of another service account (GKE, Connect Gateway).
        google_id_token: an ID token for an audience of its own.
        kubeconfig: a file, for development; it names server and CA too.
    """

    __pydantic_config__: ClassVar = STRICT
    google_access_token: GoogleAccessToken | None = None
    google_id_token: GoogleIdToken | None = None
    kubeconfig: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfiguration:
    """One cluster.

    Attributes:
        source: what the source of its events must be.
        authentication: how the function proves itself.
        server: https URL of the API server; absent only with a kubeconfig.
        certificate_authority: PEM file of the API server's CA; absent: the system's roots, for Google's hosts alone.
        cluster_domain: of service names.
        invokers: emails that Cloud Run must have verified in the caller; empty: all that may invoke the function.
        address_ranges: networks in which all addresses of its pods and nodes lie; empty: anywhere.
        credential_id: `waived` for Kubernetes before 1.32, whose tokens do not name themselves yet.
        shared_trust_domain: the same CA may serve another cluster that says so too.
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
    """A shipped profile, or a file beside the document, and what of it this cluster uses.

    Attributes:
        name: of a shipped profile, or a file's name.
        release: of the software in the cluster.
        namespaces: the only ones whose service accounts are honoured; empty: all that the release uses.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    release: str | None = None
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfiguration:
    """An issuing CA: `csr_signer.ca.issuer.load` says what each must be; certificates are file names here.

    Attributes:
        key_version: full resource name of the CryptoKeyVersion.
        certificate: PEM file: the issuing CA first, then its chain.
        trust_bundle: PEM file: what relying parties trust.
        protection_level: the least that is accepted of the key.
        signature_hash: for a raw RSA key, which fixes no hash of its own; an error for every other.
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
        profile: what requests are judged by.
        issuer: who signs.
        approve: false where another approver decides and the function only signs.
        lifetime: the most that a request may name, at most the profile's maximum; absent: the profile's maximum.
        deferral_limit: CSR age at which what is still missing is refused.
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
    """How to reach Cloud KMS; absent: its public endpoint.

    Attributes:
        endpoint: another TLS endpoint, for example a regional one or Private Service Connect.
        unsafe_plaintext_endpoint: HOST:PORT of a double on the loopback address, for tests and the sandbox.
    """

    __pydantic_config__: ClassVar = STRICT
    endpoint: str | None = None
    unsafe_plaintext_endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The document as written."""

    __pydantic_config__: ClassVar = STRICT
    clusters: Mapping[str, ClusterConfiguration]
    signers: tuple[SignerConfiguration, ...]
    kms: KmsConfiguration = field(default_factory=KmsConfiguration)
