"""The issuer: CA certificate, chain and key version, checked before the first signature.

`Issuer` has the operator's configuration. `confirm` checks that the key in KMS belongs to the CA certificate, and
returns the signature algorithm. This module neither calls KMS nor reads a clock.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes

from csr_signer.ca import chain, checks
from csr_signer.ca.algorithm import (
    SignatureAlgorithm,
    algorithm_for,
    kind_of,
    public_key_of,
    subject_public_key_info,
    verifies,
)
from csr_signer.errors import ConfigurationError
from csr_signer.violation import bounded

PROTECTION_LEVELS: Final = ("SOFTWARE", "HSM", "HSM_SINGLE_TENANT")
"""Protection levels that a configuration may require, weakest first; external keys are unsupported."""
DEFAULT_LIFETIME: Final = timedelta(days=365)
"""The default lifetime of certificates without a profile."""
_ANNOUNCED: Final = timedelta(days=90)
_LAST_DAYS: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsPublicKey:
    """The answer of GetPublicKey, with verified checksums.

    Attributes:
        pem: SubjectPublicKeyInfo.
        algorithm: name of its CryptoKeyVersionAlgorithm.
        protection_level: name of its ProtectionLevel.
        key: the key in `pem`, parsed once; None if pyca/cryptography does not support it.
    """

    pem: bytes
    algorithm: str
    protection_level: str
    key: PublicKeyTypes | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", public_key_of(self.pem))


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A configured issuing CA. Only `load` makes one, so all its fields are checked.

    Attributes:
        key_version: full resource name of the CryptoKeyVersion.
        certificates: the issuing CA first, then its chain.
        trust_bundle: the CAs that relying parties trust.
        protection_level: the key's lowest allowed protection level.
        signature_hash: the hash for a raw RSA key; None for every other key.
        path: `certificates`, followed by the trust bundle's anchor if they do not contain it (`chain.path_of`).
        not_before: the latest notBefore of the path, UTC.
        not_after: the earliest notAfter of the path, UTC.
        key_identifier: the issuing CA's subject key identifier, the leaf's AKI (RFC 5280 §4.2.1.1).
        public_keys: SubjectPublicKeyInfo of every CA in path and trust bundle, which no requester may hold.
        subject: the issuing CA's subject, DER, which is the leaf's issuer.
        public_key: the issuing CA's public key; the function verifies signatures with this pinned key.
        chain_pem: the PEM that follows a leaf: the issuing CA and its chain, without self-signed roots.
    """

    key_version: str
    certificates: tuple[x509.Certificate, ...]
    trust_bundle: tuple[x509.Certificate, ...]
    protection_level: str
    signature_hash: str | None
    path: tuple[x509.Certificate, ...]
    not_before: datetime
    not_after: datetime
    key_identifier: bytes
    public_keys: frozenset[bytes]
    subject: bytes
    public_key: CertificatePublicKeyTypes
    chain_pem: bytes

    @property
    def certificate(self) -> x509.Certificate:
        """Returns the issuing CA's certificate."""
        return self.certificates[0]

    def issued(self, certificate_pem: bytes) -> x509.Certificate | None:
        """Returns the first certificate of a PEM text, if this issuer or another in the trust bundle signed it.

        During a rotation, the trust bundle contains both CAs. None: another issuer signed it.
        """
        try:
            certificate = x509.load_pem_x509_certificates(certificate_pem)[0]
        except (ValueError, IndexError):
            return None
        known = (self.certificate, *self.trust_bundle)
        return certificate if any(checks.issued_by(certificate, ca) for ca in known) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """A CA that expires soon, or is not valid yet.

    Attributes:
        severity: WARNING, or ERROR if the CA already shortens or prevents certificates.
        message: names the CA, the date and the effect.
        certificate: its subject, bounded.
        not_after: its end, UTC.
    """

    severity: str
    message: str
    certificate: str
    not_after: datetime


def load(
    *,
    key_version: str,
    certificate: bytes,
    trust_bundle: bytes,
    protection_level: str,
    signature_hash: str | None = None,
    purposes: Collection[str] = ("serverAuth", "clientAuth"),
) -> Issuer:
    """Parses and checks an issuer from PEM texts.

    It does not check whether a CA is valid now, because a running function would not notice a later expiry. Instead, no
    certificate outlives a CA, `warnings` reports an expiry in time, and the function refuses requests that are too
    late.

    Args:
        key_version: `projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N`.
        certificate: the issuing CA first, then its chain in order.
        trust_bundle: the CAs that relying parties trust; during a rotation, it has more than one.
        protection_level: the key's lowest allowed protection level.
        signature_hash: the hash for a raw RSA key.
        purposes: extended key usages that the profile certifies.

    Raises:
        ConfigurationError: a certificate is unreadable, no CA, out of order or not in the trust bundle, or a relying
            party would refuse its leaves. The message names each violation.
    """
    certificates = chain.certificates("certificate", certificate)
    anchors = chain.certificates("trust_bundle", trust_bundle)
    path = chain.path_of(certificates, anchors, purposes=purposes)
    _refuse("certificate", chain.violations(path, purposes=purposes))
    _refuse("trust_bundle", filter(None, map(checks.anchor_violation, anchors)))
    return Issuer(
        key_version=key_version,
        certificates=certificates,
        trust_bundle=anchors,
        protection_level=protection_level,
        signature_hash=signature_hash,
        path=path,
        not_before=max(ca.not_valid_before_utc for ca in path),
        not_after=min(ca.not_valid_after_utc for ca in path),
        key_identifier=checks.own_key(certificates[0]) or b"",
        public_keys=frozenset(_spki(ca) for ca in (*path, *anchors)),
        subject=certificates[0].subject.public_bytes(),
        public_key=certificates[0].public_key(),
        # It keeps a self-issued certificate that a root's old key signed for its new key: verification needs it.
        chain_pem=b"".join(
            ca.public_bytes(serialization.Encoding.PEM) for ca in certificates if not checks.self_signed(ca)
        ),
    )


def refuse_names(issuer: Issuer, dns_names: Collection[str]) -> None:
    """Refuses an issuer if its CAs' name constraints do not permit all names of a profile.

    Raises:
        ConfigurationError: the message has the names and the CA.
    """
    refused = chain.not_permitted(issuer.path, dns_names=dns_names)
    if refused:
        raise ConfigurationError(
            f"issuer.certificate: Forbidden: name constraints do not permit {', '.join(refused)}, which the profile"
            " certifies"
        )


def confirm(issuer: Issuer, key: KmsPublicKey) -> SignatureAlgorithm:
    """Checks that KMS's key belongs to the CA certificate, and returns the signature algorithm.

    Raises:
        ConfigurationError: the key differs, the algorithm is unsupported, or the protection level is too low.
    """
    where = f"key version {issuer.key_version}"
    try:
        algorithm = algorithm_for(key.algorithm, issuer.signature_hash)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if not protects(key.protection_level, issuer.protection_level):
        raise ConfigurationError(
            f"{where}: protection level is {key.protection_level}, must be at least {issuer.protection_level}:"
            f" {_protection_remedy(key.protection_level)}"
        )
    ca = checks.name_of(issuer.certificate)
    if key.key is None or subject_public_key_info(key.key) != subject_public_key_info(issuer.public_key):
        raise ConfigurationError(
            f"{where}: its public key must be that of the CA certificate {ca}:"
            " configure the certificate of this key version"
        )
    kind = kind_of(issuer.public_key)
    if kind != algorithm.key:
        raise ConfigurationError(
            f"{where}: algorithm {algorithm.name} is for {algorithm.key} keys, the key of {ca} is {kind}"
        )
    return algorithm


def protects(got: str, least: str) -> bool:
    """Tells whether a protection level is at least the required one; an unknown level is not."""
    return got in PROTECTION_LEVELS and PROTECTION_LEVELS.index(got) >= PROTECTION_LEVELS.index(least)


def verify(issuer: Issuer, algorithm: SignatureAlgorithm, *, signature: bytes, data: bytes) -> bool:
    """Tells whether the pinned CA key made a signature over data."""
    return verifies(issuer.public_key, algorithm, signature=signature, data=data)


def warnings(issuer: Issuer, now: datetime, *, lifetime: timedelta = DEFAULT_LIFETIME) -> tuple[Expiry, ...]:
    """Returns the CAs of the path that need rotation, or already shorten certificates.

    It is an ERROR if certificates no longer get their whole lifetime, in the last 30 days of a CA, or if a CA is not
    valid yet. In the 90 days before that, it is a WARNING, because a rotation takes planning.

    Args:
        issuer: the issuer.
        now: UTC.
        lifetime: the default lifetime of certificates.
    """
    return tuple(found for ca in issuer.path if (found := _expiry(ca, now, lifetime)) is not None)


def _expiry(ca: x509.Certificate, now: datetime, lifetime: timedelta) -> Expiry | None:
    name, ends = checks.name_of(ca), ca.not_valid_after_utc
    left = ends - now
    bites = max(lifetime, _LAST_DAYS)
    if now < ca.not_valid_before_utc:
        severity, what = "ERROR", f"is not valid before {ca.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
    elif left < timedelta(0):
        severity, what = "ERROR", f"ended {ends:%Y-%m-%d}: the function cannot issue certificates"
    elif left <= bites:
        cut = f": certificates get less than their {_words(lifetime)}" if left <= lifetime else ""
        severity, what = "ERROR", f"ends {ends:%Y-%m-%d}, in {_words(left)}{cut}"
    elif left <= bites + _ANNOUNCED:
        cut = f"from {ends - lifetime:%Y-%m-%d} on, certificates get a shorter lifetime"
        severity, what = "WARNING", f"ends {ends:%Y-%m-%d}: {cut}"
    else:
        return None
    return Expiry(
        severity=severity,
        message=f"CA {name} {what}; rotate the issuing CA",
        certificate=bounded(ca.subject.rfc4514_string()),
        not_after=ends,
    )


def _words(span: timedelta) -> str:
    return f"{span.days} days" if span.days else f"{span.seconds // 3600} hours"


def _protection_remedy(got: str) -> str:
    if got.startswith("EXTERNAL"):
        return "keys outside Cloud KMS are not supported, use a key of protection level HSM"
    return "use a key of that level, or lower issuer.protection_level"


def _refuse(key: str, violations: Iterable[str]) -> None:
    found = "; ".join(violations)
    if found:
        raise ConfigurationError(f"issuer.{key}: Invalid value: {found}")


def _spki(certificate: x509.Certificate) -> bytes:
    return subject_public_key_info(certificate.public_key())
