"""The issuer: CA certificate, chain and key version, checked before anything is signed with them.

`Issuer` is what the operator configured; `confirm` proves that the key in KMS is the CA certificate's, which gives the
signature algorithm. Nothing here talks to KMS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ObjectIdentifier

from csr_signer.errors import ConfigurationError

Digest = type[hashes.SHA256] | type[hashes.SHA384] | type[hashes.SHA512]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """What a key version of one Cloud KMS algorithm signs with.

    Attributes:
        name: of the CryptoKeyVersionAlgorithm, for example `EC_SIGN_P256_SHA256`.
        identifier: of the certificate's AlgorithmIdentifier (RFC 4055 §5, RFC 5758 §3.2).
        digest: the hash, fixed by the algorithm.
        rsa: RSA PKCS#1 v1.5, whose parameters are NULL; ECDSA has none.
    """

    name: str
    identifier: ObjectIdentifier
    digest: Digest
    rsa: bool


def _algorithms(*rows: tuple[str, str, Digest, bool]) -> Mapping[str, SignatureAlgorithm]:
    return MappingProxyType(
        {
            name: SignatureAlgorithm(name=name, identifier=ObjectIdentifier(number), digest=digest, rsa=is_rsa)
            for name, number, digest, is_rsa in rows
        }
    )


SIGNATURE_ALGORITHMS: Final = _algorithms(
    ("RSA_SIGN_PKCS1_2048_SHA256", "1.2.840.113549.1.1.11", hashes.SHA256, True),
    ("RSA_SIGN_PKCS1_3072_SHA256", "1.2.840.113549.1.1.11", hashes.SHA256, True),
    ("RSA_SIGN_PKCS1_4096_SHA256", "1.2.840.113549.1.1.11", hashes.SHA256, True),
    ("RSA_SIGN_PKCS1_4096_SHA512", "1.2.840.113549.1.1.13", hashes.SHA512, True),
    ("EC_SIGN_P256_SHA256", "1.2.840.10045.4.3.2", hashes.SHA256, False),
    ("EC_SIGN_P384_SHA384", "1.2.840.10045.4.3.3", hashes.SHA384, False),
)
"""Key version algorithms that sign certificates here; the documentation of Cloud KMS has more, all others are
refused."""

PROTECTION_LEVELS: Final = ("SOFTWARE", "HSM", "HSM_SINGLE_TENANT")
"""Protection levels that can be asked for, weakest first; external keys are out of scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsPublicKey:
    """What GetPublicKey says of a key version, its checksums verified.

    Attributes:
        pem: SubjectPublicKeyInfo.
        algorithm: name of its CryptoKeyVersionAlgorithm.
        protection_level: name of its ProtectionLevel.
    """

    pem: bytes
    algorithm: str
    protection_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An issuing CA as configured.

    Attributes:
        key_version: full resource name of the CryptoKeyVersion.
        certificates: the issuing CA first, then its chain.
        trust_bundle: what relying parties trust.
        protection_level: the least that is accepted of the key.
    """

    key_version: str
    certificates: tuple[x509.Certificate, ...]
    trust_bundle: tuple[x509.Certificate, ...]
    protection_level: str

    @property
    def certificate(self) -> x509.Certificate:
        """The issuing CA's certificate, pinned: signatures are verified with its key."""
        return self.certificates[0]

    @property
    def not_before(self) -> datetime:
        """The latest notBefore of the chain, UTC."""
        return max(certificate.not_valid_before_utc for certificate in self.certificates)

    @property
    def not_after(self) -> datetime:
        """The earliest notAfter of the chain, UTC."""
        return min(certificate.not_valid_after_utc for certificate in self.certificates)

    @property
    def key_identifier(self) -> bytes:
        """The issuing CA's subject key identifier: the certificate's AKI (RFC 5280 §4.2.1.1)."""
        return self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest

    @property
    def public_keys(self) -> frozenset[bytes]:
        """SubjectPublicKeyInfo of every CA of chain and trust bundle: no requester may hold one of them."""
        return frozenset(_spki(certificate) for certificate in (*self.certificates, *self.trust_bundle))

    def chain_pem(self) -> bytes:
        """What follows a leaf: the issuing CA and its chain, without self-signed roots, PEM."""
        return b"".join(
            certificate.public_bytes(serialization.Encoding.PEM)
            for certificate in self.certificates
            if certificate.subject != certificate.issuer
        )

    def issued(self, certificate_pem: bytes) -> x509.Certificate | None:
        """The first certificate of a PEM text where this issuer signed it, else None: it is someone else's."""
        try:
            certificate = x509.load_pem_x509_certificates(certificate_pem)[0]
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, IndexError, UnsupportedAlgorithm, InvalidSignature):
            return None
        return certificate


def load(*, key_version: str, certificate: bytes, trust_bundle: bytes, protection_level: str) -> Issuer:
    """An issuer from PEM texts.

    Args:
        key_version: `projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N`.
        certificate: the issuing CA first, then its chain in order.
        trust_bundle: what relying parties trust.
        protection_level: the least that is accepted of the key.

    Raises:
        ConfigurationError: a certificate is unreadable, no CA, out of order, or not in the trust bundle.
    """
    issuer = Issuer(
        key_version=key_version,
        certificates=_certificates("certificate", certificate),
        trust_bundle=_certificates("trust_bundle", trust_bundle),
        protection_level=protection_level,
    )
    for index, ca in enumerate(issuer.certificates):
        for complaint in _complaints(ca, path_length=0 if index == 0 else None):
            raise ConfigurationError(f"issuer.certificate: {ca.subject.rfc4514_string()!r}: {complaint}")
    for below, above in zip(issuer.certificates, issuer.certificates[1:], strict=False):
        if not _issued_by(below, above):
            raise ConfigurationError(
                f"issuer.certificate: {below.subject.rfc4514_string()!r} is not issued by the next in the file,"
                f" {above.subject.rfc4514_string()!r}; order is the issuing CA first, then its chain"
            )
    last = issuer.certificates[-1]
    if last not in issuer.trust_bundle and not any(_issued_by(last, root) for root in issuer.trust_bundle):
        raise ConfigurationError(
            f"issuer.trust_bundle: neither holds nor issued {last.subject.rfc4514_string()!r},"
            " so relying parties would refuse what is signed"
        )
    return issuer


def confirm(issuer: Issuer, key: KmsPublicKey) -> SignatureAlgorithm:
    """The algorithm to sign with, once KMS's key is proved to be the CA certificate's.

    Raises:
        ConfigurationError: another key, an algorithm that signs no certificates here, or too weak a protection.
    """
    algorithm = SIGNATURE_ALGORITHMS.get(key.algorithm)
    if algorithm is None:
        raise ConfigurationError(
            f"key version {issuer.key_version}: algorithm {key.algorithm} is not supported, use one of"
            f" {', '.join(SIGNATURE_ALGORITHMS)}"
        )
    if not protects(key.protection_level, issuer.protection_level):
        raise ConfigurationError(
            f"key version {issuer.key_version}: protection level {key.protection_level},"
            f" configured is at least {issuer.protection_level}"
        )
    if _der_of_pem(key.pem) != _spki(issuer.certificate):
        raise ConfigurationError(
            f"key version {issuer.key_version}: its public key is not that of the CA certificate"
            f" {issuer.certificate.subject.rfc4514_string()!r}: configure the certificate of this key version"
        )
    return algorithm


def protects(got: str, least: str) -> bool:
    """Whether a protection level is at least another; unknown ones protect nothing."""
    return got in PROTECTION_LEVELS and PROTECTION_LEVELS.index(got) >= PROTECTION_LEVELS.index(least)


def verify(issuer: Issuer, algorithm: SignatureAlgorithm, *, signature: bytes, data: bytes) -> bool:
    """Whether a signature over data is by the pinned CA certificate's key."""
    key = issuer.certificate.public_key()
    digest = algorithm.digest()
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm.rsa:
            key.verify(signature, data, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and not algorithm.rsa:
            key.verify(signature, data, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _certificates(key: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise ConfigurationError(f"issuer.{key}: no PEM certificates: {error}") from error


def _complaints(ca: x509.Certificate, *, path_length: int | None) -> list[str]:
    """What keeps a certificate from being a CA here (RFC 5280 §4.2.1.9, §4.2.1.3, §4.2.1.2)."""
    complaints = []
    try:
        extensions = {type(extension.value): extension.value for extension in ca.extensions}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return [f"its extensions cannot be read: {error}"]
    constraints = extensions.get(x509.BasicConstraints)
    if not isinstance(constraints, x509.BasicConstraints) or not constraints.ca:
        complaints.append("basic constraints are not CA:TRUE")
    elif path_length is not None and constraints.path_length != path_length:
        complaints.append(f"path length is {constraints.path_length}, allowed is {path_length}: it issues leaves only")
    usage = extensions.get(x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage) or not usage.key_cert_sign:
        complaints.append("key usage has no keyCertSign")
    if x509.SubjectKeyIdentifier not in extensions:
        complaints.append("has no subject key identifier")
    return complaints


def _issued_by(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def _spki(certificate: x509.Certificate) -> bytes:
    return _der(certificate.public_key())


def _der_of_pem(pem: bytes) -> bytes | None:
    """None for what is no key that pyca knows, and so not the CA certificate's."""
    try:
        return _der(serialization.load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _der(key: object) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]
