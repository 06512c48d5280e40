"""Rules for a bundle of CAs that Calico's components trust."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from csr_signer import der
from csr_signer.ca import checks
from csr_signer.ca.algorithm import subject_public_key_info


def violations(bundle: Sequence[x509.Certificate]) -> Iterator[str]:
    """Returns why relying parties cannot use this bundle.

    The operator reads only the first certificate, and its common name. It treats a CA as its own if the common name
    starts like its own CA's. Relying parties confuse two CAs of one name (tigera/operator, and its issue 4913).
    """
    unreadable = [
        violation for each in bundle if (violation := unreadable_names(each) or checks.anchor_violation(each))
    ]
    yield from unreadable
    if unreadable:
        return
    if not _common_names(bundle[0]):
        yield f"{checks.name_of(bundle[0])}: Required value: a common name, because Calico tells CAs apart by it"
    for certificate in bundle:
        if any(name.startswith(checks.OPERATORS_PREFIX) for name in _common_names(certificate)):
            yield (
                f"{checks.name_of(certificate)}: Forbidden: a common name that starts with {checks.OPERATORS_PREFIX},"
                " because the operator would treat the CA as its own"
            )
    keys: dict[x509.Name, bytes] = {}
    for certificate in bundle:
        key = subject_public_key_info(certificate.public_key())
        if keys.setdefault(certificate.subject, key) != key:
            yield f"{checks.name_of(certificate)}: Duplicate value: two CAs with different keys have this name"


def warnings(bundle: Sequence[x509.Certificate]) -> Iterator[str]:
    """Returns possible mistakes in a bundle without violations."""
    for certificate in bundle:
        if not checks.self_signed(certificate):
            yield (
                f"{checks.name_of(certificate)}: not self-signed: should be the root, because OpenSSL by default"
                " accepts only roots as trust anchors"
            )


def date_violations(bundle: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    """Returns which CAs are expired or not valid yet: peers refuse every certificate below them."""
    for certificate in bundle:
        starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if starts <= now <= ends:
            continue
        remedy = (
            "check this machine's clock, or wait until the CA is valid"
            if now < starts
            else "drop it from the files if it is the old root of a rotation; if it signs, make its successor first, as"
            " docs/rotation.md says"
        )
        yield (
            f"{checks.name_of(certificate)}: Invalid value: valid from {starts:%Y-%m-%d} to {ends:%Y-%m-%d}: must be"
            f" valid now, because peers refuse every certificate below it: {remedy}"
        )


def unreadable_names(certificate: x509.Certificate) -> str | None:
    """Returns a violation if a certificate's subject or issuer is unreadable."""
    try:
        der.attempt(lambda: (certificate.subject, certificate.issuer))
    except ValueError as error:
        return f"{checks.name_of(certificate)}: Invalid value: must have a readable subject and issuer: {error}"
    return None


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
