"""A cross-certificate: a new CA's subject, key and key identifier under the name of a root that is trusted already.

RFC 5280 §4.2.1.9: only a root whose path length is 1 or more can do that, since the new CA stands below it.
"""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from csr_signer.ca import checks
from csr_signer.ca.algorithm import SignatureAlgorithm, subject_public_key_info
from signerctl.ca_certificate import BACKDATE, CaTemplate

PURPOSE: Final = "signerctl=ca-cross-sign"
_PURPOSES: Final = ("serverAuth", "clientAuth")


def signing_violations(signing: x509.Certificate, now: datetime) -> list[str]:
    """What keeps a CA from vouching for another."""
    violations = checks.violations(signing, below=1, purposes=_PURPOSES)
    if any("path length is 0" in violation for violation in violations):
        violations.append(
            "such a root must not issue CA certificates (RFC 5280, 4.2.1.9), and OpenSSL and Go refuse such chains;"
            " instead, publish both roots in caCert before you switch (`ca bundle`)"
        )
    if violations:
        return violations
    # Really verified: whoever is named as its own issuer has proved nothing yet.
    if not checks.issued_by(signing, signing):
        violations.append("is not self-signed: must be the root that relying parties trust")
    if not signing.not_valid_before_utc <= now < signing.not_valid_after_utc:
        violations.append(_not_valid(signing))
    return violations


def new_violations(new: x509.Certificate, signing: x509.Certificate, now: datetime) -> list[str]:
    """What keeps a CA from being vouched for: the function could not sign with it, or it is the root itself."""
    violations = checks.violations(new, below=0, purposes=_PURPOSES)
    if violations:
        return violations
    if not checks.issued_by(new, new):
        violations.append("is not self-signed: must be the certificate that `ca create` made with the new key version")
    common_names = [str(each.value) for each in new.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(common_names) != 1:
        violations.append(f"has {len(common_names)} common names: must have one")
    if any(name.startswith("system:") for name in common_names):
        violations.append("the common name must not start with system:, which Kubernetes reserves")
    if subject_public_key_info(new.public_key()) == subject_public_key_info(signing.public_key()):
        violations.append("holds the key of the trusted root: must hold the key of a new key version")
    if new.subject == signing.subject:
        violations.append("has the name of the trusted root: must have a new common name")
    if checks.extension(new, x509.NameConstraints) is not None and not _permitted_dns_names(new):
        violations.append("has name constraints that are not copied: must have permitted DNS names only")
    if not new.not_valid_before_utc <= now < new.not_valid_after_utc:
        violations.append(_not_valid(new))
    return violations


def template(
    signing: x509.Certificate, new: x509.Certificate, algorithm: SignatureAlgorithm, now: datetime
) -> CaTemplate:
    """The cross-certificate of two CAs without violations, valid from now on for as long as both are.

    Args:
        signing: the trusted root.
        new: the CA that it vouches for.
        algorithm: of the trusted root's key.
        now: UTC, whole seconds.
    """
    return CaTemplate(
        purpose=PURPOSE,
        subject=new.subject,
        issuer=signing.subject,
        not_before=max(now - BACKDATE, signing.not_valid_before_utc, new.not_valid_before_utc),
        not_after=min(signing.not_valid_after_utc, new.not_valid_after_utc),
        subject_public_key_info=subject_public_key_info(new.public_key()),
        algorithm=algorithm,
        path_length=0,
        permitted_dns_names=_permitted_dns_names(new),
        subject_key_identifier=_key_identifier(new),
        authority_key_identifier=_key_identifier(signing),
    )


def _permitted_dns_names(ca: x509.Certificate) -> tuple[str, ...]:
    """Empty where there are none, or anything else beside them."""
    constraints = checks.extension(ca, x509.NameConstraints)
    if constraints is None or constraints.excluded_subtrees:
        return ()
    names = constraints.permitted_subtrees or []
    dns_names = tuple(name.value for name in names if isinstance(name, x509.DNSName))
    return dns_names if len(dns_names) == len(names) else ()


def _key_identifier(ca: x509.Certificate) -> bytes:
    return ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def _not_valid(ca: x509.Certificate) -> str:
    return f"is valid from {ca.not_valid_before_utc:%Y-%m-%d} to {ca.not_valid_after_utc:%Y-%m-%d}: must be valid now"
