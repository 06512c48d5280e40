"""Reads and checks a configuration document and its files: profiles, certificates, CA files.

`load` returns checked values, or raises one `ConfigurationError` with the field, the value and the rule. Paths in the
document are relative to its folder.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives import hashes

from csr_signer import field_error
from csr_signer.ca import chain, checks, issuer
from csr_signer.ca.issuer import Issuer
from csr_signer.configuration import validation
from csr_signer.configuration.schema import ClusterConfiguration, Document, KmsConfiguration, SignerConfiguration
from csr_signer.document import as_written, read
from csr_signer.errors import ConfigurationError
from csr_signer.issuance.certificate import TEMPLATE
from csr_signer.policy import profile
from csr_signer.policy.profile import PLACEHOLDER, Component, Profile
from csr_signer.policy.signer import Signer
from csr_signer.rfc1123 import IS_LABEL
from csr_signer.violation import quote

MAX_CLUSTERS: Final = 16
"""Each cluster has its share of the process's memory and concurrent requests, and all share one CPU. Terraform computes
memory and concurrency from their number (infra/function.tf)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The checked document with its profiles and issuers.

    Attributes:
        clusters: clusters by key, with absolute file names.
        signers: signers by cluster key and signerName.
        kms: the endpoint of Cloud KMS.
        release_warnings: by cluster key and signerName: why a profile may not fit its release.
    """

    clusters: Mapping[str, ClusterConfiguration]
    signers: Mapping[tuple[str, str], Signer]
    kms: KmsConfiguration
    release_warnings: Mapping[tuple[str, str], str]


def load(path: Path) -> Configuration:
    """Reads and checks a configuration document.

    Raises:
        ConfigurationError: the message names the field and the rule.
    """
    document = read(Document, path)
    folder = path.parent
    if len(document.clusters) > MAX_CLUSTERS:
        message = field_error.too_many("clusters", len(document.clusters), MAX_CLUSTERS)
        raise ConfigurationError(f"{message}: they share one process; deploy another function for further clusters")
    for key, cluster in document.clusters.items():
        if not IS_LABEL.fullmatch(key):
            must = "must be lower-case letters, digits and hyphens"
            raise ConfigurationError(field_error.invalid("clusters", key, must))
        _refuse(f"clusters.{key}", validation.cluster_violations(cluster))
    sources = [cluster.source for cluster in document.clusters.values()]
    twice = next((source for index, source in enumerate(sources) if source in sources[:index]), None)
    if twice is not None:
        message = field_error.duplicate("clusters.*.source", twice)
        raise ConfigurationError(
            f"{message}: give each cluster its own source, because events name their cluster by it"
        )
    _refuse("kms", validation.kms_violations(document.kms))
    if not document.signers:
        raise ConfigurationError(field_error.required("signers", "must have at least one item"))
    signers: dict[tuple[str, str], Signer] = {}
    warnings: dict[tuple[str, str], str] = {}
    for index, signer in enumerate(document.signers):
        where = f"signers[{index}]"
        _refuse(where, validation.signer_violations(signer, document.clusters))
        identity = (signer.cluster, signer.signer_name)
        if identity in signers:
            message = field_error.duplicate(f"{where}.signer_name", signer.signer_name)
            raise ConfigurationError(f"{message}: cluster {quote(signer.cluster)} has it already")
        try:
            signers[identity] = _signer(signer, document.clusters[signer.cluster], folder)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error
        warning = signers[identity].profile.release_warning(signer.profile.release)
        if warning is not None:
            warnings[identity] = f"{where}.{warning}"
    _refuse_shared_cas(document, signers.values())
    return Configuration(
        clusters=MappingProxyType({key: _resolve(key, cluster, folder) for key, cluster in document.clusters.items()}),
        signers=MappingProxyType(signers),
        kms=document.kms,
        release_warnings=MappingProxyType(warnings),
    )


def _refuse(where: str, violations: Iterable[str]) -> None:
    found = [f"{where}.{violation}" for violation in violations]
    if found:
        raise ConfigurationError("; ".join(found))


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
    rows = _permitted(rows, ca, cluster.cluster_domain)
    issuer.refuse_names(ca, [name for row in rows.components for name in _names(row, cluster.cluster_domain)])
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


def _permitted(rows: Profile, ca: Issuer, cluster_domain: str) -> Profile:
    """Returns the profile without the optional rows that the CA may not certify: it may be older than these rows."""
    kept = [
        row
        for row in rows.components
        if not (row.optional and chain.not_permitted(ca.path, dns_names=_names(row, cluster_domain)))
    ]
    return dataclasses.replace(rows, components=tuple(kept) or rows.components)


def _names(row: Component, cluster_domain: str) -> list[str]:
    """Returns the row's DNS names, with example values for placeholders."""
    return [
        PLACEHOLDER.sub(lambda hole: cluster_domain if hole[0] == "{cluster_domain}" else "any", rule.name)
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


def _refuse_shared_cas(document: Document, signers: Iterable[Signer]) -> None:
    """Refuses two signers whose relying parties would accept both signers' certificates.

    Calico trusts a CA and a common name. So an owner of one cluster could impersonate the other's components, and a
    requester of one profile could get a certificate with a name that the other profile gives to another requester.
    """
    for (one, first), (other, second) in combinations(zip(document.signers, signers, strict=True), 2):
        if not _share_trust(first.issuer, second.issuer):
            continue
        clusters = sorted({one.cluster, other.cluster})
        if len(clusters) > 1 and not all(document.clusters[name].shared_trust_domain for name in clusters):
            raise ConfigurationError(
                f"signers: Forbidden: clusters {' and '.join(map(quote, clusters))} share a key version or CA;"
                " give each its own, or set shared_trust_domain: true on both"
            )
        # Another release gives names to other service accounts. Clusters of one trust domain may have several releases.
        if one.profile.name != other.profile.name or (len(clusters) == 1 and _reference(one) != _reference(other)):
            both = [f"{quote(each.signer_name)} ({quote(each.profile.name)})" for each in (one, other)]
            raise ConfigurationError(
                f"signers: Forbidden: {' and '.join(both)} share a key version or CA, and have different profiles,"
                " releases or namespaces: a relying party that trusts the CA accepts the certificates of both; give"
                " each its own CA"
            )


def _reference(signer: SignerConfiguration) -> tuple[str, str | None, frozenset[str]]:
    """Returns what selects the rows of a profile; the order of namespaces does not."""
    return signer.profile.name, signer.profile.release, frozenset(signer.profile.namespaces)


def _share_trust(one: Issuer, other: Issuer) -> bool:
    """Tells whether two issuers have a key or CA in common, or whether a CA of one issued a CA of the other."""
    cas, others = ({*issuer.path, *issuer.trust_bundle} for issuer in (one, other))
    return (
        one.key_version == other.key_version
        or not one.public_keys.isdisjoint(other.public_keys)
        or any(checks.issued_by(a, b) or checks.issued_by(b, a) for a, b in product(cas, others))
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
