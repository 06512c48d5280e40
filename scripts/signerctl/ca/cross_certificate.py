"""A cross-certificate: a trusted root certifies a new CA's subject, key and key identifier.

The root needs a path length of 1 or more, because the new CA is below it (RFC 5280 §4.2.1.9).
"""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from csr_signer.ca import checks
from csr_signer.ca.algorithm import SignatureAlgorithm, subject_public_key_info
from signerctl.ca.certificate import BACKDATE, CaTemplate

PURPOSE: Final = "signerctl=ca-cross-sign"
_PURPOSES: Final = ("serverAuth", "clientAuth")


def signing_violations(signing: x509.Certificate, now: datetime) -> list[str]:
    """Returns why a root cannot sign a cross-certificate; an empty list if it can."""
    violations = checks.violations(signing, below=1, purposes=_PURPOSES)
    if any("path length is 0" in violation for violation in violations):
        violations.append(
            "a root with path length 0 must not issue CA certificates (RFC 5280, 4.2.1.9): publish both roots in"
            " caCert before you switch (`ca bundle`)"
        )
    if violations:
        return violations
    # The signature proves it: any certificate can name itself as its issuer.
    if not checks.issued_by(signing, signing):
        violations.append("Invalid value: not self-signed: must be the root that relying parties trust")
    if not signing.not_valid_before_utc <= now < signing.not_valid_after_utc:
        violations.append(_not_valid(signing))
    return violations


def new_violations(new: x509.Certificate, signing: x509.Certificate, now: datetime) -> list[str]:
    """Returns why a CA cannot get a cross-certificate: the function could not use it, or it is the root itself."""
    violations = checks.violations(new, below=0, purposes=_PURPOSES)
    if violations:
        return violations
    if not checks.issued_by(new, new):
        violations.append(
            "Invalid value: not self-signed: must be the certificate that `ca create` made with the new key version"
        )
    common_names = [str(each.value) for each in new.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(common_names) != 1:
        violations.append(f"subject: Invalid value: {len(common_names)} common names: must have one")
    if any(name.startswith("system:") for name in common_names):
        violations.append("subject: Forbidden: a common name that starts with system:, because Kubernetes reserves it")
    if subject_public_key_info(new.public_key()) == subject_public_key_info(signing.public_key()):
        violations.append("key: Invalid value: the trusted root's key: must be the key of a new key version")
    if new.subject == signing.subject:
        violations.append("subject: Invalid value: the trusted root's name: must have a new common name")
    if checks.extension(new, x509.NameConstraints) is not None and not _permitted_dns_names(new):
        violations.append("name constraints: Unsupported value: supported values: permitted DNS names")
    if not new.not_valid_before_utc <= now < new.not_valid_after_utc:
        violations.append(_not_valid(new))
    return violations


def template(
    signing: x509.Certificate, new: x509.Certificate, algorithm: SignatureAlgorithm, now: datetime
) -> CaTemplate:
    """Returns the template of a cross-certificate for CAs without violations; it ends when the first of them ends.

    Args:
        signing: The trusted root.
        new: The CA that it certifies.
        algorithm: The algorithm of the trusted root's key.
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
    """Returns the permitted DNS names; empty if there are none, or if the CA has other constraints too."""
    constraints = checks.extension(ca, x509.NameConstraints)
    if constraints is None or constraints.excluded_subtrees:
        return ()
    names = constraints.permitted_subtrees or []
    dns_names = tuple(name.value for name in names if isinstance(name, x509.DNSName))
    return dns_names if len(dns_names) == len(names) else ()


def _key_identifier(ca: x509.Certificate) -> bytes:
    return ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def _not_valid(ca: x509.Certificate) -> str:
    return (
        f"validity: Invalid value: {ca.not_valid_before_utc:%Y-%m-%d} to {ca.not_valid_after_utc:%Y-%m-%d}: must"
        " include today"
    )
