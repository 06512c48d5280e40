"""Step 6, decide: whether a request becomes a certificate, and which.

A pure function of CSR, request, attestation, signer and now. All rules run and all violations are reported; only
`decide` makes a `Permit`, and only a `Permit` can be built into a certificate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from csr_signer.attestation import Attestation, PodIdentity
from csr_signer.csr import CertificateSigningRequest
from csr_signer.der import COMMON_NAME
from csr_signer.issuer import Issuer
from csr_signer.pkcs10 import CertificationRequest
from csr_signer.profile import PLACEHOLDER, Component, Profile
from csr_signer.public_key import PublicKey
from csr_signer.violation import Violation, quote

Address = IPv4Address | IPv6Address

BACKDATE: Final = timedelta(minutes=5)
"""notBefore lies this long before the CSR's creation, for clocks that lag (as kube-controller-manager's signer
does)."""
DEFERRAL_RETRY: Final = 2
"""Seconds after which a deferred item should be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One configured (cluster, signerName, profile, issuer): everything that a decision depends on.

    Attributes:
        cluster: the cluster's key in the configuration; part of the serial number.
        cluster_domain: the domain of its service names.
        signer_name: `spec.signerName` that it serves.
        approve: whether it approves by itself.
        profile: the rows of its release.
        lifetime: the configuration's cap of the lifetime; it can only lower the profile's.
        deferral_limit: CSR age at which what is still missing is refused.
        issuer: who signs.
        configuration_digest: hex SHA-256 over everything that a certificate follows from.
    """

    cluster: str
    cluster_domain: str
    signer_name: str
    approve: bool
    profile: Profile
    lifetime: timedelta
    deferral_limit: timedelta
    issuer: Issuer
    configuration_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What may be certified, to the byte. Only `decide` makes one.

    Attributes:
        csr_uid, cluster: part of the serial number.
        component: the profile's row, for audit records.
        common_name, dns_names, ip_addresses, extended_key_usage, public_key: what the certificate says.
        not_before, not_after: its validity, UTC, whole seconds, inclusive.
    """

    csr_uid: str
    cluster: str
    component: str
    common_name: str
    dns_names: tuple[str, ...]
    ip_addresses: tuple[Address, ...]
    extended_key_usage: tuple[str, ...]
    public_key: PublicKey
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Never to be certified.

    Attributes:
        reason: CamelCase, the condition's reason.
        violations: every rule that was broken.
        too_late: nothing was wrong but the time: ends as Failed.
    """

    reason: str
    violations: tuple[Violation, ...]
    too_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """Not to be judged yet: something of this item is not visible.

    Attributes:
        missing: what, for the exporter's log and, at the end, for the refusal.
        retry_after: seconds.
    """

    missing: str
    retry_after: int


Decision = Permit | Refusal | Deferral


def decide(
    *,
    csr: CertificateSigningRequest,
    request: CertificationRequest | Violation,
    attestation: Attestation,
    signer: Signer,
    now: datetime,
) -> Decision:
    """The decision. Violations of parsing and attesting are merged with those of the profile."""
    violations = [*attestation.violations, *_check_usages(csr, signer.profile)]
    if isinstance(request, Violation):
        return _refusal([request, *violations])
    violations += [*request.violations, *_check_request(request, signer)]
    row = None
    missing: list[Address] = []
    if attestation.identity is not None:
        row, complaints = _find_component(csr, attestation.identity, signer.profile)
        violations += complaints
    if row is not None and attestation.identity is not None:
        violations += _check_names(request, row, attestation.identity, signer)
        if attestation.pod is not None:
            visible = attestation.pod.addresses
            complaints, missing = _check_addresses(request, row, visible)
            violations += complaints
    if violations or row is None or request.public_key is None:
        return _refusal(violations)
    if missing:
        return _defer(csr, missing, signer, now)
    return _permit(csr=csr, request=request, row=row, public_key=request.public_key, signer=signer, now=now)


def _check_usages(csr: CertificateSigningRequest, profile: Profile) -> Iterator[Violation]:
    beyond = sorted(set(csr.usages) - set(profile.usages))
    if beyond or not csr.usages:
        yield _not_allowed("usages.not_allowed", beyond or "none", profile.usages)


def _check_request(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Rules that need the profile but no component."""
    profile, extensions = signer.profile, request.extensions
    if extensions.ca:
        yield Violation(code="basic_constraints.ca", message="a CA certificate is requested, allowed is CA:FALSE")
    for code, requested in (
        ("key_usage.not_allowed", extensions.key_usages),
        ("extended_key_usage.not_allowed", extensions.extended_key_usages),
    ):
        beyond = sorted(set(requested) - set(profile.usages))
        if beyond:
            yield _not_allowed(code, beyond, profile.usages)
    for kind, value in request.subject:
        allowed = profile.subject.get(kind, "no such attribute")
        if kind != COMMON_NAME.dotted_string and value != allowed:
            yield Violation(
                code="subject.attribute",
                message=f"got {kind}={quote(value)}, allowed is {quote(allowed)}",
            )
    if request.public_key is not None and request.public_key.subject_public_key_info in signer.issuer.public_keys:
        yield Violation(code="public_key.issuer", message="the requested key is an issuer's own")
    for name in (*request.common_names, *extensions.dns_names):
        if name.startswith("system:") or "*" in name:
            yield Violation(code="name.reserved", message=f"got {quote(name)}")


def _find_component(
    csr: CertificateSigningRequest, identity: PodIdentity, profile: Profile
) -> tuple[Component | None, list[Violation]]:
    """The row of the requester's service account and CSR name.

    Where the account has a row but the name is none of its, the account's first row judges the rest of the request.
    """
    account = f"{identity.namespace}/{identity.service_account}"
    rows = [row for row in profile.components if account in row.service_accounts]
    if not rows:
        known = sorted({known for row in profile.components for known in row.service_accounts})
        return None, [_not_allowed("requester.service_account", account, known)]
    allowed = {_fill(rule.name, identity): row for row in reversed(rows) for rule in row.request_names}
    row = allowed.get(csr.name)
    if row is not None:
        return row, []
    return rows[0], [_not_allowed("request_name.not_allowed", csr.name, sorted(allowed))]


def _check_names(
    request: CertificationRequest, row: Component, identity: PodIdentity, signer: Signer
) -> Iterator[Violation]:
    common_name = _fill(row.common_name, identity, signer.cluster_domain)
    if request.common_names != (common_name,):
        yield _not_allowed("subject.common_name", list(request.common_names), common_name)
    rules = {_fill(rule.name, identity, signer.cluster_domain): rule for rule in row.dns_names}
    requested = request.extensions.dns_names
    for name in sorted(set(requested) - set(rules)):
        yield _not_allowed("san.dns.not_allowed", name, list(rules))
    if len(set(requested)) != len(requested):
        yield _not_allowed("san.dns.not_allowed", "a name twice", "each once")
    absent = [name for name, rule in rules.items() if not rule.optional and name not in requested]
    if absent:
        yield Violation(code="san.dns.missing", message=f"required are also {quote(absent)}")


def _check_addresses(
    request: CertificationRequest, row: Component, visible: frozenset[Address]
) -> tuple[list[Violation], list[Address]]:
    """Foreign addresses as violations, and those that the row certifies but that are not visible yet."""
    requested = request.extensions.ip_addresses
    # Of a family of which nothing is visible yet nothing can be said.
    families = {address.version for address in visible}
    foreign = [address for address in requested if address.version in families and address not in visible]
    foreign += [address for address in requested if not _certifiable(address) and address not in foreign]
    complaints = [
        _not_allowed("san.ip.not_allowed", str(address), sorted(str(known) for known in visible)) for address in foreign
    ]
    late = [address for address in requested if address not in visible and address not in foreign]
    return complaints, late if row.addresses == "pod" else []


def _certifiable(address: Address) -> bool:
    """Never these, whoever claims them: they name no pod."""
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (isinstance(address, IPv6Address) and address.ipv4_mapped is not None)
    )


def _defer(csr: CertificateSigningRequest, missing: list[Address], signer: Signer, now: datetime) -> Decision:
    text = f"addresses {quote(', '.join(map(str, missing)))} are not visible as the pod's"
    if now - csr.created >= signer.deferral_limit:
        message = f"{text} after {signer.deferral_limit.total_seconds():.0f} seconds"
        return _refusal([Violation(code="pod.address_missing", message=message)])
    return Deferral(missing=text, retry_after=DEFERRAL_RETRY)


def _permit(
    *,
    csr: CertificateSigningRequest,
    request: CertificationRequest,
    row: Component,
    public_key: PublicKey,
    signer: Signer,
    now: datetime,
) -> Decision:
    lifetime = _lifetime(csr, signer)
    not_before = max(csr.created - BACKDATE, signer.issuer.not_before)
    not_after = min(csr.created + lifetime, signer.issuer.not_after)
    left = not_after - now
    if left < lifetime * signer.profile.lifetime.floor or not_before >= not_after:
        message = (
            f"{max(left, timedelta(0)).total_seconds():.0f} of {lifetime.total_seconds():.0f} seconds are left,"
            f" allowed is {signer.profile.lifetime.floor:.0%} or more;"
            f" the issuer's chain ends {signer.issuer.not_after:%Y-%m-%d}"
        )
        late = Violation(code="lifetime.too_late", message=message)
        return Refusal(reason="TooLate", violations=(late,), too_late=True)
    return Permit(
        csr_uid=csr.uid,
        cluster=signer.cluster,
        component=row.name,
        common_name=request.common_names[0],
        dns_names=request.extensions.dns_names,
        ip_addresses=request.extensions.ip_addresses if row.addresses == "pod" else (),
        extended_key_usage=row.extended_key_usage,
        public_key=public_key,
        not_before=not_before,
        not_after=not_after,
    )


def _lifetime(csr: CertificateSigningRequest, signer: Signer) -> timedelta:
    """`expirationSeconds` is a wish: honoured within the profile's bounds and below the configuration's cap."""
    bounds = signer.profile.lifetime
    wish = bounds.default if csr.expiration_seconds is None else timedelta(seconds=csr.expiration_seconds)
    return min(max(wish, bounds.minimum), bounds.maximum, signer.lifetime)


def _fill(pattern: str, identity: PodIdentity, cluster_domain: str = "") -> str:
    # One pass, so that no value can bring another placeholder; the values' characters are checked by `identify`.
    values = {
        "{pod}": identity.pod_name,
        "{namespace}": identity.namespace,
        "{cluster_domain}": cluster_domain,
    }
    return PLACEHOLDER.sub(lambda hole: values[hole[0]], pattern)


def _refusal(violations: list[Violation]) -> Refusal:
    return Refusal(reason=_reason(violations), violations=tuple(violations))


def _reason(violations: list[Violation]) -> str:
    """A stable CamelCase reason for the first violation's kind, for people who sort conditions by it."""
    kind = violations[0].code.partition(".")[0] if violations else "policy"
    return {"pod": "PodNotProven", "requester": "RequesterNotAllowed"}.get(kind, "RequestNotAllowed")


def _not_allowed(code: str, got: object, allowed: object) -> Violation:
    return Violation(code=code, message=f"got {quote(got)}, allowed {quote(allowed)}")
