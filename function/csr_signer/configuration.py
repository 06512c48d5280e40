"""The configuration document: all settings of a deployment, in one file that Terraform renders.

It contains no secret. `load` returns checked values, or raises one `ConfigurationError` with the key, the value and the
rule. Paths in the document are relative to its folder.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes

from csr_signer import field_error
from csr_signer.ca import issuer
from csr_signer.ca.issuer import Issuer
from csr_signer.document import STRICT, Duration, Network, as_written, read
from csr_signer.errors import ConfigurationError
from csr_signer.issuance.certificate import TEMPLATE
from csr_signer.policy import profile
from csr_signer.policy.profile import PLACEHOLDER, Profile
from csr_signer.policy.signer import Signer
from csr_signer.rfc1123 import IS_DNS_NAME, IS_LABEL
from csr_signer.violation import quote

KEY_VERSION: Final = re.compile(
    r"projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+"
    r"/cryptoKeyVersions/[1-9][0-9]*"
)
# spec.signerName: kubernetes pkg/apis/certificates/validation ValidateCertificateSigningRequestSignerName.
SIGNER_NAME: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+/[A-Za-z0-9._:/-]{1,317}")
LAST_PORT: Final = 65535
LONGEST_DEFERRAL: Final = timedelta(hours=1)
RESERVED_DOMAINS: Final = ("kubernetes.io", "k8s.io")
# Google's own front ends. Only they get a Google access token, and only they need no pinned CA.
_GOOGLE_HOSTS: Final = re.compile(r"(?:[a-z0-9-]+\.)+gke\.goog|connectgateway\.googleapis\.com")
# The possible private addresses of a GKE control plane: RFC 1918 and RFC 6598.
_PRIVATE_NETWORKS: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
_SERVICE_ACCOUNT: Final = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.-]+\.iam\.gserviceaccount\.com")
KMS_HOSTS: Final = re.compile(r"(?:[a-z0-9-]+\.)+googleapis\.com")
_LOOPBACK: Final = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}")


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
    """The document before its references are loaded."""

    __pydantic_config__: ClassVar = STRICT
    clusters: Mapping[str, ClusterConfiguration]
    signers: tuple[SignerConfiguration, ...]
    kms: KmsConfiguration = field(default_factory=KmsConfiguration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The checked document with its profiles and issuers.

    Attributes:
        clusters: clusters by key, with absolute file names.
        signers: signers by cluster key and signerName.
        kms: the endpoint of Cloud KMS.
    """

    clusters: Mapping[str, ClusterConfiguration]
    signers: Mapping[tuple[str, str], Signer]
    kms: KmsConfiguration


def load(path: Path) -> Configuration:
    """Reads and checks a configuration document.

    Raises:
        ConfigurationError: the message names the field and the rule.
    """
    document = read(Document, path)
    folder = path.parent
    for key, cluster in document.clusters.items():
        if not IS_LABEL.fullmatch(key):
            must = "must be lower-case letters, digits and hyphens"
            raise ConfigurationError(field_error.invalid("clusters", key, must))
        _refuse(f"clusters.{key}", _cluster_violations(cluster))
    sources = [cluster.source for cluster in document.clusters.values()]
    twice = next((source for index, source in enumerate(sources) if source in sources[:index]), None)
    if twice is not None:
        message = field_error.duplicate("clusters.*.source", twice)
        raise ConfigurationError(
            f"{message}: give each cluster its own source, because events name their cluster by it"
        )
    _refuse("kms", _kms_violations(document.kms))
    if not document.signers:
        raise ConfigurationError(field_error.required("signers", "must have at least one item"))
    signers: dict[tuple[str, str], Signer] = {}
    for index, signer in enumerate(document.signers):
        where = f"signers[{index}]"
        _refuse(where, _signer_violations(signer, document.clusters))
        identity = (signer.cluster, signer.signer_name)
        if identity in signers:
            message = field_error.duplicate(f"{where}.signer_name", signer.signer_name)
            raise ConfigurationError(f"{message}: cluster {quote(signer.cluster)} has it already")
        try:
            signers[identity] = _signer(signer, document.clusters[signer.cluster], folder)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error
    _refuse_shared_keys(document.clusters, signers)
    return Configuration(
        clusters=MappingProxyType({key: _resolve(key, cluster, folder) for key, cluster in document.clusters.items()}),
        signers=MappingProxyType(signers),
        kms=document.kms,
    )


def is_loopback(endpoint: str) -> bool:
    """Tells whether HOST:PORT is on the loopback address."""
    return bool(_LOOPBACK.fullmatch(endpoint)) and int(endpoint.rpartition(":")[2]) <= LAST_PORT


def _refuse(where: str, violations: Iterable[str]) -> None:
    found = [f"{where}.{violation}" for violation in violations]
    if found:
        raise ConfigurationError("; ".join(found))


def _cluster_violations(cluster: ClusterConfiguration) -> Iterator[str]:
    ways = cluster.authentication
    given = [each.name for each in dataclasses.fields(ways) if getattr(ways, each.name) is not None]
    if not cluster.source:
        yield field_error.required("source", "must be the source of the cluster's events")
    if not IS_DNS_NAME.fullmatch(cluster.cluster_domain):
        yield field_error.invalid("cluster_domain", cluster.cluster_domain, "must be a DNS name in lower case")
    if len(given) != 1:
        must = "must be one of google_access_token, google_id_token, kubeconfig"
        path = "authentication"
        yield field_error.invalid(path, given, must) if given else field_error.required(path, must)
    token = ways.google_access_token
    if token is not None and not _SERVICE_ACCOUNT.fullmatch(token.service_account):
        path = "authentication.google_access_token.service_account"
        yield field_error.invalid(path, token.service_account, "must be NAME@PROJECT.iam.gserviceaccount.com")
    if ways.kubeconfig is None:
        yield from _server_violations(cluster)
    else:
        for name in ("server", "certificate_authority"):
            if getattr(cluster, name) is not None:
                yield field_error.forbidden(name, "the kubeconfig already sets it")


def _server_violations(cluster: ClusterConfiguration) -> Iterator[str]:
    must = "must be an https URL without user, query or fragment"
    if cluster.server is None:
        yield field_error.required("server", must)
        return
    host = _host(cluster.server)
    if host is None:
        yield field_error.invalid("server", cluster.server, must)
    else:
        yield from _host_violations(cluster, host)


def _host(server: str) -> str | None:
    """Returns the host of an https URL; None for other text, or if the URL has more than host, port and path."""
    try:
        url = urlsplit(server)
        port = url.port  # raises for an invalid port
    except ValueError:
        return None
    if url.scheme != "https" or port == 0 or url.query or url.fragment or url.username is not None:
        return None
    return url.hostname or None


def _host_violations(cluster: ClusterConfiguration, host: str) -> Iterator[str]:
    if _GOOGLE_HOSTS.fullmatch(host):
        return
    token = cluster.authentication.google_access_token
    if token is not None and not (token.private_endpoint and _is_private(host)):
        must = (
            "must be a host *.gke.goog or connectgateway.googleapis.com, because a Google access token goes there; with"
            " authentication.google_access_token.private_endpoint: true, also the private IPv4 address of a GKE control"
            " plane"
        )
        yield field_error.invalid("server", cluster.server, must)
    if cluster.certificate_authority is None:
        must = (
            "the system's roots are trusted for *.gke.goog and connectgateway.googleapis.com only,"
            f" not for {quote(host)}"
        )
        yield field_error.required("certificate_authority", must)


def _is_private(host: str) -> bool:
    try:
        address = IPv4Address(host)
    except AddressValueError:
        return False
    return any(address in network for network in _PRIVATE_NETWORKS)


def _kms_violations(kms: KmsConfiguration) -> Iterator[str]:
    plaintext = kms.unsafe_plaintext_endpoint
    if plaintext is None:
        if kms.endpoint is not None and not KMS_HOSTS.fullmatch(kms.endpoint):
            must = "must be a host below googleapis.com, because the function's token goes there"
            yield field_error.invalid("endpoint", kms.endpoint, must)
    elif kms.endpoint is not None:
        yield field_error.forbidden("endpoint", "must not be set beside unsafe_plaintext_endpoint")
    elif not is_loopback(plaintext):
        yield field_error.invalid("unsafe_plaintext_endpoint", plaintext, "must be a loopback HOST:PORT")


def _signer_violations(signer: SignerConfiguration, clusters: Mapping[str, ClusterConfiguration]) -> Iterator[str]:
    domain = signer.signer_name.partition("/")[0]
    if signer.cluster not in clusters:
        yield field_error.unsupported("cluster", [signer.cluster], sorted(clusters))
    if not SIGNER_NAME.fullmatch(signer.signer_name):
        yield field_error.invalid("signer_name", signer.signer_name, "must be DOMAIN/NAME with a dot in DOMAIN")
    if any(domain == reserved or domain.endswith(f".{reserved}") for reserved in RESERVED_DOMAINS):
        yield field_error.invalid("signer_name", signer.signer_name, "must not be one of Kubernetes' own")
    if signer.deferral_limit > LONGEST_DEFERRAL:
        got, most = as_written(signer.deferral_limit), as_written(LONGEST_DEFERRAL)
        yield f"deferral_limit: Invalid value: {got}: must be at most {most}"
    if not KEY_VERSION.fullmatch(signer.issuer.key_version):
        must = "must be projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N"
        yield field_error.invalid("issuer.key_version", signer.issuer.key_version, must)


def _signer(signer: SignerConfiguration, cluster: ClusterConfiguration, folder: Path) -> Signer:
    rows = profile.load(
        signer.profile.name, release=signer.profile.release, namespaces=signer.profile.namespaces, folder=folder
    )
    bounds = rows.lifetime
    lifetime = bounds.maximum if signer.lifetime is None else signer.lifetime
    if not bounds.minimum <= lifetime <= bounds.maximum:
        raise ConfigurationError(
            f"lifetime: Invalid value: {as_written(lifetime)}: must be from {as_written(bounds.minimum)} to"
            f" {as_written(bounds.maximum)}, the profile's bounds; for other bounds, use a profile of your own"
        )
    signer = dataclasses.replace(signer, lifetime=lifetime)
    ca = issuer.load(
        key_version=signer.issuer.key_version,
        certificate=_file("issuer.certificate", folder / signer.issuer.certificate),
        trust_bundle=_file("issuer.trust_bundle", folder / signer.issuer.trust_bundle),
        protection_level=signer.issuer.protection_level,
        signature_hash=signer.issuer.signature_hash,
        purposes={purpose for row in rows.components for purpose in row.extended_key_usage},
    )
    issuer.refuse_names(ca, _certified_names(rows, cluster.cluster_domain))
    return Signer(
        cluster=signer.cluster,
        cluster_domain=cluster.cluster_domain,
        address_ranges=cluster.address_ranges,
        credential_id=cluster.credential_id == "required",
        signer_name=signer.signer_name,
        approve=signer.approve,
        profile=rows,
        lifetime=lifetime,
        deferral_limit=signer.deferral_limit,
        issuer=ca,
        configuration_digest=_digest(signer, cluster, rows, ca),
    )


def _certified_names(rows: Profile, cluster_domain: str) -> list[str]:
    """Returns the profile's DNS names, with example values for placeholders."""
    return [
        PLACEHOLDER.sub(lambda hole: cluster_domain if hole[0] == "{cluster_domain}" else "any", rule.name)
        for row in rows.components
        for rule in row.dns_names
    ]


def _digest(signer: SignerConfiguration, cluster: ClusterConfiguration, rows: Profile, ca: Issuer) -> str:
    """Returns the SHA-256 of all settings that affect a certificate, without file names."""
    fingerprints = [
        [certificate.fingerprint(hashes.SHA256()).hex() for certificate in group]
        for group in (ca.certificates, ca.trust_bundle)
    ]
    facts = [
        TEMPLATE,
        signer.cluster,
        cluster.cluster_domain,
        [str(network) for network in cluster.address_ranges],
        cluster.credential_id,
        signer.signer_name,
        signer.approve,
        ca.key_version,
    ]
    facts += [ca.protection_level, ca.signature_hash, str(signer.lifetime), dataclasses.asdict(rows), fingerprints]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _refuse_shared_keys(
    clusters: Mapping[str, ClusterConfiguration], signers: Mapping[tuple[str, str], Signer]
) -> None:
    """Refuses clusters that share a CA.

    Calico trusts CA and name, so an owner of one cluster could impersonate the other's components.
    """
    owners: dict[object, str] = {}
    for (cluster, _), signer in signers.items():
        for secret in (signer.issuer.key_version, *signer.issuer.public_keys):
            owner = owners.setdefault(secret, cluster)
            if owner != cluster and not (clusters[owner].shared_trust_domain and clusters[cluster].shared_trust_domain):
                raise ConfigurationError(
                    f"signers: Forbidden: clusters {quote(owner)} and {quote(cluster)} share a key version or CA;"
                    " give each its own, or set shared_trust_domain: true on both"
                )


def _resolve(key: str, cluster: ClusterConfiguration, folder: Path) -> ClusterConfiguration:
    ways = cluster.authentication
    if ways.kubeconfig is not None:
        return dataclasses.replace(
            cluster, authentication=dataclasses.replace(ways, kubeconfig=str(folder / ways.kubeconfig))
        )
    if cluster.certificate_authority is None:
        return cluster
    path = folder / cluster.certificate_authority
    _file(f"clusters.{key}.certificate_authority", path)
    return dataclasses.replace(cluster, certificate_authority=str(path))


def _file(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the name contains NUL
        message = field_error.invalid(key, path.name, f"must be a file that can be read: {_why(error)}")
        raise ConfigurationError(message) from error


def _why(error: OSError | ValueError) -> str:
    """Returns the reason without the path, which would reveal the location of the function's files."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
