"""What `ca verify` finds: the function's own checks, asked of files, KMS and the cluster's Installation."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509

from csr_signer.ca import checks, issuer
from csr_signer.ca.issuer import Issuer
from csr_signer.errors import ConfigurationError, SignerError
from signerctl import files, trust
from signerctl.installation import SLOW, CertificateManagement, pair_violation
from signerctl.key import KmsOptions

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `error`: the function or a peer refuses it; `warning`: worth a look.
        check: what was looked at.
        message: what was found, and what is wanted.
    """

    level: Level
    check: str
    message: str


def of_key(ca: Issuer, kms: KmsOptions) -> Finding:
    """Whether KMS's key is the CA certificate's, enabled, strong enough, and of an algorithm that signs here."""
    try:
        answer = kms.ask(ca.key_version, lambda key: key.public_key())
        algorithm = issuer.confirm(ca, answer)
    except SignerError as error:
        return Finding(level="error", check="key", message=str(error))
    return Finding(
        level="ok",
        check="key",
        message=(
            f"{ca.key_version} is enabled, {answer.algorithm} with {algorithm.digest.name}, {answer.protection_level};"
            f" its key is that of {checks.name_of(ca.certificate)}"
        ),
    )


def of_dates(ca: Issuer, now: datetime, lifetime: timedelta) -> Iterator[Finding]:
    """What ends, as the function would log it."""
    found = issuer.warnings(ca, now, lifetime=lifetime)
    for expiry in found:
        yield Finding(level="error" if expiry.severity == "ERROR" else "warning", check="dates", message=expiry.message)
    if not found:
        days = (ca.not_after - now).days
        yield Finding(
            level="ok",
            check="dates",
            message=f"every CA of the chain is valid until {ca.not_after:%Y-%m-%d}, {days} days",
        )


def of_chain(ca: Issuer) -> Finding:
    """The way to the trust anchor, which loading the files has proved."""
    names = " issued by ".join(map(checks.name_of, ca.path))
    anchored = "it is itself the trust anchor" if len(ca.path) == 1 else "the last is the trust anchor"
    return Finding(level="ok", check="chain", message=f"{names}; {anchored}")


def of_bundle(check: str, bundle: tuple[x509.Certificate, ...], ca: Issuer, now: datetime) -> Iterator[Finding]:
    """What relying parties make of the CAs that they are told to trust."""
    refusals = list(trust.refusals(bundle))
    for refusal in refusals:
        yield Finding(level="error", check=check, message=refusal)
    if refusals:
        return
    for doubt in trust.doubts(bundle, now):
        yield Finding(level="warning", check=check, message=doubt)
    if bundle[0] != ca.path[-1]:
        yield Finding(
            level="warning",
            check=check,
            message=(
                f"{checks.name_of(bundle[0])} is first, but must be the CA that signs now,"
                f" {checks.name_of(ca.path[-1])}: the operator reads only the first"
            ),
        )


def of_installation(
    management: CertificateManagement, ca: Issuer, now: datetime, *, signer_name: str | None
) -> Iterator[Finding]:
    """Whether the cluster's Calico asks this signer, and accepts what it issues.

    Args:
        management: of the Installation.
        ca: of the function's configuration.
        now: UTC.
        signer_name: that the function serves; None where that is not known.
    """
    yield from _signer(management, signer_name)
    violation = pair_violation(management)
    if violation:
        yield Finding(level="error", check="installation algorithms", message=violation)
    elif management.key_algorithm in SLOW:
        message = f"{management.key_algorithm} rarely finishes within Calico's 90 seconds on the init container's CPU"
        yield Finding(level="warning", check="installation algorithms", message=message)
    else:
        message = (
            f"{management.key_algorithm or 'the default key'} with"
            f" {management.signature_algorithm or 'the default signature'} go together"
        )
        yield Finding(level="ok", check="installation algorithms", message=message)
    yield from _ca_cert(management, ca, now)


def _signer(management: CertificateManagement, signer_name: str | None) -> Iterator[Finding]:
    got = management.signer_name
    if signer_name is None:
        yield Finding(level="ok", check="installation signer", message=f"signerName is {got!r}; not compared")
    elif got != signer_name:
        message = f"signerName: got {got!r}, the function serves {signer_name!r}: no signer answers Calico's requests"
        yield Finding(level="error", check="installation signer", message=message)
    else:
        yield Finding(level="ok", check="installation signer", message=f"signerName is {got!r}, as the function's")


def _ca_cert(management: CertificateManagement, ca: Issuer, now: datetime) -> Iterator[Finding]:
    check = "installation caCert"
    try:
        # As if the cluster's bundle were the configured one: whether peers accept what the function signs.
        there = issuer.load(
            key_version=ca.key_version,
            certificate=files.pem(ca.certificates),
            trust_bundle=management.ca_cert,
            protection_level=ca.protection_level,
            signature_hash=ca.signature_hash,
        )
    except ConfigurationError as error:
        message = f"Calico would refuse what the function signs: {error}".replace("issuer.trust_bundle", "caCert")
        yield Finding(level="error", check=check, message=message)
        return
    yield Finding(
        level="ok",
        check=check,
        message=f"Calico accepts what the function signs, by {checks.name_of(there.path[-1])}",
    )
    yield from of_bundle(check, there.trust_bundle, there, now)
    for certificate in there.trust_bundle:
        if certificate not in ca.trust_bundle:
            message = f"{checks.name_of(certificate)} is in caCert, but not in the configured trust bundle"
            yield Finding(level="warning", check=check, message=message)
    for certificate in ca.trust_bundle:
        if certificate not in there.trust_bundle:
            message = f"{checks.name_of(certificate)} is in the configured trust bundle, but not in caCert"
            yield Finding(level="warning", check=check, message=message)
