"""Step 6, decide: whether a request becomes a certificate, and which one.

It is a pure function of CSR, request, attestation, signer and time. All `rules` run, and a refusal has all violations.
Only `decide` makes a `Permit`, and only a `Permit` becomes a certificate.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from csr_signer import field_error
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import Address
from csr_signer.policy.attestation import Attestation
from csr_signer.policy.profile import Component
from csr_signer.policy.rules import COMPONENT_RULES, REQUEST_RULES, SPEC_RULES, RequestContext, find_row
from csr_signer.policy.signer import Signer
from csr_signer.request.pkcs10 import CertificationRequest
from csr_signer.request.public_key import PublicKey, weakness
from csr_signer.violation import Violation, ordered, quote

BACKDATE: Final = timedelta(minutes=5)
"""notBefore is this long before the CSR's creation, for clocks that lag, as in kube-controller-manager's signer."""
DEFERRAL_RETRY: Final = 2
"""Seconds until the exporter should resend a deferred item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The exact content of a certificate. Only `decide` makes one.

    Attributes:
        csr_uid, cluster: inputs of the serial number.
        component: the profile's row, for audit records.
        common_name, dns_names, ip_addresses, extended_key_usage, public_key: fields of the certificate.
        not_before, not_after: its validity, UTC, whole seconds, inclusive.
        unconfirmed_addresses: requested addresses that are neither certified nor visible as the pod's, for audit
            records.
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
    unconfirmed_addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refusal of the request.

    Attributes:
        reason: CamelCase, the condition's reason.
        violations: all violations.
        too_late: whether time is the only violation; the CSR then becomes Failed.
    """

    reason: str
    violations: tuple[Violation, ...]
    too_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """A deferral, because a fact about this item is not visible yet.

    Attributes:
        missing: the missing fact, for the exporter's log and for the later refusal.
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
    """Returns the decision, and merges the violations of parsing and attesting with those of the rules.

    A refusal has all violations, with one exception: the check for weak keys runs only if there is no other violation.
    """
    identity, row = attestation.identity, None
    violations = [*attestation.violations, *_broken(SPEC_RULES, csr, signer)]
    if identity is not None:
        row, found = find_row(csr.name, identity, signer.profile)
        violations += found
    if isinstance(request, Violation):
        return _refusal([*violations, request])
    violations += [*request.violations, *_broken(REQUEST_RULES, request, signer)]
    if row is not None and identity is not None:
        context = RequestContext(request=request, row=row, identity=identity, signer=signer)
        violations += _broken(COMPONENT_RULES, context)
    if violations or row is None or request.public_key is None:
        return _refusal(violations)
    unconfirmed = tuple(address for address in request.extensions.ip_addresses if address not in attestation.addresses)
    if unconfirmed and row.addresses == "pod":
        return _defer(csr, unconfirmed, signer, now)
    # Costs up to 75 ms of CPU for RSA-8192, so it is skipped for requests that are refused or deferred anyway.
    weak = weakness(request.public_key)
    if weak is not None:
        return _refusal([weak])
    return _permit(
        csr=csr,
        request=request,
        row=row,
        public_key=request.public_key,
        unconfirmed=unconfirmed,
        signer=signer,
        now=now,
    )


def _broken(rules: Iterable[Callable[..., Iterator[Violation]]], *subject: object) -> Iterator[Violation]:
    for rule in rules:
        yield from rule(*subject)


def _defer(
    csr: CertificateSigningRequest, missing: tuple[Address, ...], signer: Signer, now: datetime
) -> Refusal | Deferral:
    text = f"addresses {quote(', '.join(map(str, missing)))} are not visible as the pod's"
    if now - csr.created >= signer.deferral_limit:
        seconds = f"{signer.deferral_limit.total_seconds():.0f} seconds"
        must = f"must be visible as the pod's within {seconds}"
        message = field_error.invalid("spec.request.ipAddresses", list(map(str, missing)), must)
        return _refusal([Violation(code="pod.address_missing", message=message)])
    return Deferral(missing=text, retry_after=DEFERRAL_RETRY)


def _permit(
    *,
    csr: CertificateSigningRequest,
    request: CertificationRequest,
    row: Component,
    public_key: PublicKey,
    unconfirmed: tuple[Address, ...],
    signer: Signer,
    now: datetime,
) -> Permit | Refusal:
    lifetime = _lifetime(csr, signer)
    not_before = max(csr.created - BACKDATE, signer.issuer.not_before)
    not_after = min(csr.created + lifetime, signer.issuer.not_after)
    left = not_after - now
    if left < lifetime * signer.profile.lifetime.floor or not_before >= not_after:
        message = (
            f"lifetime: Invalid value: {max(left, timedelta(0)).total_seconds():.0f} of"
            f" {lifetime.total_seconds():.0f} seconds are left: must be {signer.profile.lifetime.floor:.0%} or more;"
            f" the issuer's chain ends {signer.issuer.not_after:%Y-%m-%d}"
        )
        late = Violation(code="lifetime.too_late", message=message)
        return Refusal(reason=late.reason, violations=(late,), too_late=True)
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
        unconfirmed_addresses=unconfirmed,
    )


def _lifetime(csr: CertificateSigningRequest, signer: Signer) -> timedelta:
    """Returns the requested lifetime (`expirationSeconds`) within the limits of profile and configuration."""
    bounds = signer.profile.lifetime
    if csr.expiration_seconds is None:
        return min(bounds.default, signer.lifetime)
    # Compares numbers, because a timedelta cannot hold every number of JSON.
    least, most = (int(bound.total_seconds()) for bound in (bounds.minimum, min(bounds.maximum, signer.lifetime)))
    return timedelta(seconds=min(max(csr.expiration_seconds, least), most))


def _refusal(violations: Iterable[Violation]) -> Refusal:
    every = ordered(violations)
    # Without a row there is nothing to judge by, so the request is refused.
    return Refusal(reason=every[0].reason if every else "RequesterNotAllowed", violations=every)
