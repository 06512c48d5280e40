"""The rules for each field of the configuration document. Every violation is a field error (`field_error`)."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Final
from urllib.parse import urlsplit

from csr_signer import field_error
from csr_signer.configuration.schema import ClusterConfiguration, KmsConfiguration, SignerConfiguration
from csr_signer.document import as_written
from csr_signer.rfc1123 import IS_DNS_NAME
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


def is_loopback(endpoint: str) -> bool:
    """Tells whether HOST:PORT is on the loopback address."""
    return bool(_LOOPBACK.fullmatch(endpoint)) and int(endpoint.rpartition(":")[2]) <= LAST_PORT


def cluster_violations(cluster: ClusterConfiguration) -> Iterator[str]:
    """Yields the violations of one cluster, with paths relative to it."""
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


def kms_violations(kms: KmsConfiguration) -> Iterator[str]:
    """Yields the violations of `kms`, with paths relative to it."""
    plaintext = kms.unsafe_plaintext_endpoint
    if plaintext is None:
        if kms.endpoint is not None and not KMS_HOSTS.fullmatch(kms.endpoint):
            must = "must be a host below googleapis.com, because the function's token goes there"
            yield field_error.invalid("endpoint", kms.endpoint, must)
    elif kms.endpoint is not None:
        yield field_error.forbidden("endpoint", "must not be set beside unsafe_plaintext_endpoint")
    elif not is_loopback(plaintext):
        yield field_error.invalid("unsafe_plaintext_endpoint", plaintext, "must be a loopback HOST:PORT")


def signer_violations(signer: SignerConfiguration, clusters: Mapping[str, ClusterConfiguration]) -> Iterator[str]:
    """Yields the violations of one signer, with paths relative to it."""
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
