"""Checks whether relying parties accept leaves under a CA certificate (RFC 5280 §4.2).

Relying parties differ. If OpenSSL, Go, Java or pyca would refuse a CA, these checks refuse it at load, before the first
TLS connection fails. They ignore time: `issuer.warnings` checks it, and no certificate outlives a CA.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer import der
from csr_signer.ca.algorithm import SIGNATURE_HASHES, kind_of
from csr_signer.violation import quote

T = TypeVar("T", bound=x509.ExtensionType)

SMALLEST_RSA: Final = 2048
LONGEST_KEY_IDENTIFIER: Final = 64
"""Bytes, as many as SHA-512 has. RFC 5280 §4.2.1.2 has no limit, but every certificate contains the identifier."""
CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")
OPERATORS_PREFIX: Final = "tigera-operator-signer"
"""The tigera operator treats a Secret as its own if its issuer's common name starts with this."""

_PURPOSES: Final = {
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
}
# Critical extensions that every relying party knows. Policy constraints are missing on purpose: a leaf has no policies,
# so a path that requires policies is invalid.
_KNOWN_CRITICAL: Final = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.NameConstraints,
    x509.CertificatePolicies,
)
# Kinds of names in constraints that do not affect our leaves, or that the function checks for each leaf. Go refuses a
# critical extension with another kind. A directory name would exclude our subjects, which have only a common name.
_KNOWN_CONSTRAINTS: Final = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_UNVERIFIABLE: Final = (*_UNREADABLE, InvalidSignature)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A CA certificate and its place in a path.

    Attributes:
        certificate: the CA certificate.
        below: the number of CAs below it.
        purposes: extended key usages of the leaves.
    """

    certificate: x509.Certificate
    below: int
    purposes: Collection[str]


def name_of(certificate: x509.Certificate) -> str:
    """Returns a certificate's name for messages: its subject, or its serial number if the subject is unreadable."""
    try:
        return quote(certificate.subject.rfc4514_string())
    except (ValueError, TypeError):
        return f"number {der.hexadecimal(certificate.serial_number)}"


def anchor_violation(certificate: x509.Certificate) -> str | None:
    """Returns why a certificate of a trust bundle cannot be an anchor, or None. Old and foreign CAs are allowed."""
    try:
        certificate.public_key(), certificate.subject
        constraints = extension(certificate, x509.BasicConstraints)
    except _UNREADABLE as error:
        return f"{name_of(certificate)}: must be readable: {error}"
    if constraints is None or not constraints.ca:
        return f"{name_of(certificate)}: must have basic constraints CA:TRUE, because a trust bundle holds CAs only"
    wrong = _weak_key(certificate) or (None if self_signed(certificate) else weak_signature(certificate))
    return None if wrong is None else f"{name_of(certificate)}: {wrong}"


def issued_by(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    """Tells whether `upper` issued `lower`, by name and signature; key identifiers prove nothing."""
    try:
        lower.verify_directly_issued_by(upper)
    except _UNVERIFIABLE:
        return False
    return True


def weak_signature(certificate: x509.Certificate) -> str | None:
    """Returns the violation of a certificate's signature hash, or None."""
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    if isinstance(digest, tuple(SIGNATURE_HASHES.values())):
        return None
    got = "unknown" if digest is None else digest.name
    return f"must be signed with one of {', '.join(SIGNATURE_HASHES)}, not {got}"


def _weak_key(certificate: x509.Certificate) -> str | None:
    key = certificate.public_key()
    large = isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA
    known = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES
    if large or known:
        return None
    return f"its key must be RSA of {SMALLEST_RSA} bits or more, {', '.join(CURVES)}, not {kind_of(key)}"


def self_signed(certificate: x509.Certificate) -> bool:
    """Tells whether a certificate is a root: it names itself as its issuer, and its own key.

    The signature of an old root may be unverifiable, because its hash is obsolete.
    """
    try:
        if certificate.subject != certificate.issuer:
            return False
        named = named_key(certificate)
        if named is not None and named == own_key(certificate):
            return True
        return issued_by(certificate, certificate) or (named is None and weak_signature(certificate) is not None)
    except _UNREADABLE:
        return False


def extension(certificate: x509.Certificate | x509.CertificateSigningRequest, kind: type[T]) -> T | None:
    """Returns an extension's value, or None if the certificate or request does not have it."""
    return next((each.value for each in certificate.extensions if isinstance(each.value, kind)), None)


def own_key(certificate: x509.Certificate) -> bytes | None:
    """Returns the subject key identifier, or None."""
    identifier = extension(certificate, x509.SubjectKeyIdentifier)
    return None if identifier is None else identifier.digest


def named_key(certificate: x509.Certificate) -> bytes | None:
    """Returns the authority key identifier's key identifier, or None."""
    identifier = extension(certificate, x509.AuthorityKeyIdentifier)
    return None if identifier is None else identifier.key_identifier


def violations(certificate: x509.Certificate, *, below: int, purposes: Collection[str]) -> list[str]:
    """Returns all violations of a CA certificate at its place in a path.

    Args:
        certificate: the CA certificate.
        below: the number of CAs below it: 0 for the issuing CA.
        purposes: extended key usages that leaves will have: `serverAuth`, `clientAuth`.
    """
    try:
        certificate.public_key(), certificate.subject, certificate.issuer, list(certificate.extensions)
    except _UNREADABLE as error:
        return [f"{name_of(certificate)}: must be readable: {error}"]
    place = _Place(certificate=certificate, below=below, purposes=purposes)
    return [f"{name_of(certificate)}: {violation}" for check in _CHECKS for violation in check(place)]


def _check_names(place: _Place) -> Iterator[str]:
    values = [str(each.value) for each in place.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not values and not place.below:
        yield "must have a common name in its subject, because Calico tells CAs apart by it"
    if any(value.startswith(OPERATORS_PREFIX) for value in values):
        yield f"its common name must not start with {OPERATORS_PREFIX}, which the operator takes for its own CA"


def _check_basic_constraints(place: _Place) -> Iterator[str]:
    constraints = extension(place.certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        yield "must have basic constraints CA:TRUE"
    elif not place.certificate.extensions.get_extension_for_class(x509.BasicConstraints).critical:
        yield "its basic constraints must be critical (RFC 5280 §4.2.1.9)"
    elif not place.below and constraints.path_length != 0:
        yield f"path length is {constraints.path_length}, must be 0, because it issues leaves only"
    elif constraints.path_length is not None and constraints.path_length < place.below:
        yield f"path length is {constraints.path_length}, must be {place.below} or more, the number of CAs below it"


def _check_key_usage(place: _Place) -> Iterator[str]:
    usage = extension(place.certificate, x509.KeyUsage)
    if usage is None:
        yield "must have a key usage with keyCertSign (RFC 5280 §4.2.1.3)"
    elif not usage.key_cert_sign:
        yield "its key usage must have keyCertSign"


def _check_extended_key_usage(place: _Place) -> Iterator[str]:
    # No RFC defines it for a CA, but Go, OpenSSL, Java and pyca all apply it to the certificates below.
    usage = extension(place.certificate, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage:
        return
    missing = [purpose for purpose in sorted(place.purposes) if _PURPOSES[purpose] not in usage]
    if missing:
        yield (
            f"its extended key usage must have {', '.join(missing)} too, which the profile certifies, or"
            " anyExtendedKeyUsage; or it must have no such extension"
        )


def _check_key_identifiers(place: _Place) -> Iterator[str]:
    own, named = own_key(place.certificate), named_key(place.certificate)
    if own is None:
        yield "must have a subject key identifier"
    elif not 1 <= len(own) <= LONGEST_KEY_IDENTIFIER:
        yield f"its subject key identifier must have 1 to {LONGEST_KEY_IDENTIFIER} bytes, not {len(own)}"
    elif self_signed(place.certificate):
        if named not in (None, own):
            yield "its authority key identifier must be its own subject key identifier, because it is self-signed"
    elif named is None:
        yield "must have an authority key identifier, because it is not self-signed (RFC 5280 §4.2.1.1)"


def _check_critical(place: _Place) -> Iterator[str]:
    for each in place.certificate.extensions:
        if each.critical and not isinstance(each.value, _KNOWN_CRITICAL):
            yield (
                f"extension {each.oid.dotted_string} must not be critical; supported are"
                f" {', '.join(kind.__name__ for kind in _KNOWN_CRITICAL)}"
            )


def _check_name_constraints(place: _Place) -> Iterator[str]:
    constraints = extension(place.certificate, x509.NameConstraints)
    if constraints is None:
        return
    subtrees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    foreign = sorted({type(each).__name__ for each in subtrees if not isinstance(each, _KNOWN_CONSTRAINTS)})
    if foreign:
        yield (
            f"its name constraints must be of kind {', '.join(kind.__name__ for kind in _KNOWN_CONSTRAINTS)},"
            f" not {', '.join(foreign)}"
        )


def _check_key(place: _Place) -> Iterator[str]:
    violation = _weak_key(place.certificate)
    if violation is not None:
        yield violation


def _check_signature(place: _Place) -> Iterator[str]:
    # Relying parties do not verify a self-signed anchor's signature: they trust it because it is in the bundle.
    violation = None if self_signed(place.certificate) else weak_signature(place.certificate)
    if violation is not None:
        yield violation


_CHECKS: Final[tuple[Callable[[_Place], Iterator[str]], ...]] = (
    _check_names,
    _check_basic_constraints,
    _check_key_usage,
    _check_extended_key_usage,
    _check_key_identifiers,
    _check_critical,
    _check_name_constraints,
    _check_key,
    _check_signature,
)
"""Each checks one certificate of a path. All of them run, and `violations` returns all their results."""
