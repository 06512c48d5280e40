"""What several CAs together must keep to stand in one bundle that Calico's components trust."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from csr_signer import der
from csr_signer.ca import checks
from csr_signer.ca.algorithm import subject_public_key_info


def refusals(bundle: Sequence[x509.Certificate]) -> Iterator[str]:
    """What breaks, or confuses, somebody who trusts this bundle.

    The operator reads the first certificate alone, its common name among it; common names that start as its own CA's
    do it takes for its own; two CAs of one name cannot be told apart (facts of tigera/operator and its issue 4913).
    """
    unreadable = [
        violation for each in bundle if (violation := unreadable_names(each) or checks.anchor_violation(each))
    ]
    yield from unreadable
    if unreadable:
        return
    if not _common_names(bundle[0]):
        yield f"{checks.name_of(bundle[0])}: has no common name, by which Calico tells CAs apart"
    for certificate in bundle:
        if any(name.startswith(checks.OPERATORS_PREFIX) for name in _common_names(certificate)):
            yield (
                f"{checks.name_of(certificate)}: the common name starts with {checks.OPERATORS_PREFIX}, the"
                " operator would take it for its own CA"
            )
    keys: dict[x509.Name, bytes] = {}
    for certificate in bundle:
        key = subject_public_key_info(certificate.public_key())
        if keys.setdefault(certificate.subject, key) != key:
            yield f"{checks.name_of(certificate)}: two CAs with different keys have this name: must be one"


def doubts(bundle: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    """What may be meant and may be a mistake; for a bundle that is not refused."""
    for certificate in bundle:
        if not checks.self_signed(certificate):
            yield (
                f"{checks.name_of(certificate)}: is not self-signed: Go accepts it as a trust anchor, OpenSSL does"
                " not unless it is told to; wanted is the root"
            )
        starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not starts <= now <= ends:
            yield f"{checks.name_of(certificate)}: is valid from {starts:%Y-%m-%d} to {ends:%Y-%m-%d}, not now"


def unreadable_names(certificate: x509.Certificate) -> str | None:
    """That subject or issuer cannot be read, without which a certificate has no place among others."""
    try:
        der.attempt(lambda: (certificate.subject, certificate.issuer))
    except ValueError as error:
        return f"{checks.name_of(certificate)}: its names cannot be read: {error}"
    return None


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
