"""The checks of `ca verify`: compares certificates, KMS and the cluster's Installation by the function's own rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509

from csr_signer.ca import checks, issuer
from csr_signer.ca.issuer import Issuer, KmsPublicKey
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote
from signerctl import files
from signerctl.ca import trust
from signerctl.installation import SLOW, CertificateManagement, pair_violation

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    Attributes:
        level: `ok`; `warning`: the operator should look at it; `error`: a violation, the function or a peer refuses it.
        check: The name of the check.
        message: The fact that was checked, or the violation.
    """

    level: Level
    check: str
    message: str


def check_key(ca: Issuer, answer: KmsPublicKey) -> str:
    """Checks that KMS's key is the CA's own, protected as required and of a supported algorithm; says what it is.

    Args:
        ca: The issuer.
        answer: KMS gives the public key of an enabled key version only.

    Raises:
        ConfigurationError: As `issuer.confirm`.
    """
    algorithm = issuer.confirm(ca, answer)
    return (
        f"{ca.key_version} is enabled, {answer.algorithm} with {algorithm.digest.name}, {answer.protection_level};"
        f" {checks.name_of(ca.certificate)} holds its public key"
    )


def check_dates(ca: Issuer, now: datetime, lifetime: timedelta) -> Iterator[CheckResult]:
    """Checks the validity of the chain, with the messages that the function logs."""
    warnings = issuer.warnings(ca, now, lifetime=lifetime)
    for expiry in warnings:
        level: Level = "error" if expiry.severity == "ERROR" else "warning"
        yield CheckResult(level=level, check="dates", message=expiry.message)
    if not warnings:
        days = (ca.not_after - now).days
        message = f"every CA of the chain is valid until {ca.not_after:%Y-%m-%d}, {days} days"
        yield CheckResult(level="ok", check="dates", message=message)


def show_chain(ca: Issuer) -> CheckResult:
    """Returns the chain to the trust anchor; loading the files has already verified it."""
    names = " issued by ".join(map(checks.name_of, ca.path))
    anchor = "it is its own trust anchor" if len(ca.path) == 1 else "the last is the trust anchor"
    return CheckResult(level="ok", check="chain", message=f"{names}; {anchor}")


def check_bundle(check: str, bundle: tuple[x509.Certificate, ...], ca: Issuer, now: datetime) -> Iterator[CheckResult]:
    """Checks that relying parties can use a trust bundle, and that the operator reads the right CA from it."""
    violations = list(trust.violations(bundle))
    for violation in violations:
        yield CheckResult(level="error", check=check, message=violation)
    if violations:
        return
    for warning in (*trust.warnings(bundle), *trust.date_violations(bundle, now)):
        yield CheckResult(level="warning", check=check, message=warning)
    if bundle[0] != ca.path[-1]:
        yield CheckResult(
            level="warning",
            check=check,
            message=(
                f"{checks.name_of(bundle[0])} is first: should be {checks.name_of(ca.path[-1])}, the anchor of the CA"
                " that signs now, because the operator reads only the first"
            ),
        )


def check_installation(
    management: CertificateManagement, ca: Issuer, now: datetime, *, signer_name: str | None
) -> Iterator[CheckResult]:
    """Checks that the cluster's Calico asks this signer, and accepts its certificates.

    Args:
        management: From the Installation.
        ca: The issuer of the function's configuration.
        now: UTC.
        signer_name: The function's signerName; None if it is unknown.
    """
    yield _check_signer(management, signer_name)
    yield _check_algorithms(management)
    yield from _check_ca_cert(management, ca, now)


def _check_algorithms(management: CertificateManagement) -> CheckResult:
    check = "installation algorithms"
    violation = pair_violation(management)
    if violation:
        return CheckResult(level="error", check=check, message=violation)
    key_algorithm = management.key_algorithm or "the default key"
    signature_algorithm = management.signature_algorithm or "the default signature"
    if management.key_algorithm in SLOW:
        message = f"{key_algorithm} is slow: init containers rarely generate such a key in Calico's 90 seconds"
        return CheckResult(level="warning", check=check, message=message)
    return CheckResult(level="ok", check=check, message=f"{key_algorithm} matches {signature_algorithm}")


def _check_signer(management: CertificateManagement, signer_name: str | None) -> CheckResult:
    check, got = "installation signer", quote(management.signer_name)
    if signer_name is None:
        message = f"signerName is {got}; use --signer-name to compare it"
        return CheckResult(level="ok", check=check, message=message)
    if management.signer_name != signer_name:
        message = f"signerName: Invalid value: {got}: must be {quote(signer_name)}, which the function serves"
        return CheckResult(level="error", check=check, message=message)
    return CheckResult(level="ok", check=check, message=f"signerName is {got}, as in the function's configuration")


def _check_ca_cert(management: CertificateManagement, ca: Issuer, now: datetime) -> Iterator[CheckResult]:
    check = "installation caCert"
    try:
        # Peers accept the function's certificates if the function can load caCert as its trust bundle.
        loaded = issuer.load(
            key_version=ca.key_version,
            certificate=files.pem(ca.certificates),
            trust_bundle=management.ca_cert,
            protection_level=ca.protection_level,
            signature_hash=ca.signature_hash,
        )
    except ConfigurationError as error:
        message = f"Calico would refuse the function's certificates: {error}".replace("issuer.trust_bundle", "caCert")
        yield CheckResult(level="error", check=check, message=message)
        return
    message = f"Calico accepts the function's certificates through {checks.name_of(loaded.path[-1])}"
    yield CheckResult(level="ok", check=check, message=message)
    yield from check_bundle(check, loaded.trust_bundle, loaded, now)
    for certificate in loaded.trust_bundle:
        if certificate not in ca.trust_bundle:
            message = f"{checks.name_of(certificate)} is in caCert, but not in the configured trust bundle"
            yield CheckResult(level="warning", check=check, message=message)
    for certificate in ca.trust_bundle:
        if certificate not in loaded.trust_bundle:
            message = f"{checks.name_of(certificate)} is in the configured trust bundle, but not in caCert"
            yield CheckResult(level="warning", check=check, message=message)
