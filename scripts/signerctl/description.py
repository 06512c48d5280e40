"""Describes certificates and requests, for people and as JSON; an unreadable field hides no other field."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from csr_signer import der
from csr_signer.ca import checks
from csr_signer.ca.algorithm import subject_public_key_info
from csr_signer.errors import SignerError
from signerctl.interface.program import CommandError
from signerctl.key import KmsOptions, key_of, parsed

Described = x509.Certificate | x509.CertificateSigningRequest
_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}
_SIGNATURES = {
    SignatureAlgorithmOID.RSA_WITH_SHA256: "sha256WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "sha384WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "sha512WithRSAEncryption",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ecdsa-with-SHA256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ecdsa-with-SHA384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ecdsa-with-SHA512",
}
_SHOWN = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.NameConstraints,
    x509.SubjectKeyIdentifier,
    x509.SubjectAlternativeName,
)
"""The extensions of a request that have a field of their own."""
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def described(certificate: x509.Certificate, now: datetime) -> dict[str, object]:
    """Returns a certificate's fields in JSON's types.

    Args:
        certificate: Any certificate.
        now: UTC; `days_left` counts from it.
    """
    readers: dict[str, Callable[[], object]] = {
        "subject": lambda: _name(certificate.subject),
        "issuer": lambda: _name(certificate.issuer),
        "self_signed": lambda: checks.self_signed(certificate),
        "serial_number": lambda: der.hexadecimal(certificate.serial_number),
        "public_key": lambda: public_key_name(certificate),
        "signature_algorithm": lambda: _signature(certificate),
        "not_before": lambda: _time(certificate.not_valid_before_utc),
        "not_after": lambda: _time(certificate.not_valid_after_utc),
        "days_left": lambda: (certificate.not_valid_after_utc - now).days,
        "ca": lambda: _ca(certificate),
        "path_length": lambda: _path_length(certificate),
        "key_usage": lambda: _key_usage(certificate),
        "extended_key_usage": lambda: _extended_key_usage(certificate),
        "name_constraints": lambda: _name_constraints(certificate),
        "subject_key_identifier": lambda: _key_identifier(certificate),
        "authority_key_identifier": lambda: _authority_key_identifier(certificate),
        "sha256": lambda: certificate.fingerprint(hashes.SHA256()).hex(),
    }
    return {name: _read(reader) for name, reader in readers.items()}


def request_described(request: x509.CertificateSigningRequest) -> dict[str, object]:
    """Returns the fields of a certification request (PKCS #10) in JSON's types; the extensions are what it asks for."""
    readers: dict[str, Callable[[], object]] = {
        "subject": lambda: _name(request.subject),
        "public_key": lambda: public_key_name(request),
        "signature_algorithm": lambda: _signature(request),
        "signature_valid": lambda: request.is_signature_valid,
        "ca": lambda: _ca(request),
        "path_length": lambda: _path_length(request),
        "key_usage": lambda: _key_usage(request),
        "extended_key_usage": lambda: _extended_key_usage(request),
        "name_constraints": lambda: _name_constraints(request),
        "subject_alternative_names": lambda: _alternative_names(request),
        "subject_key_identifier": lambda: _key_identifier(request),
        "other_extensions": lambda: _other_extensions(request),
        "sha256": lambda: hashlib.sha256(request.public_bytes(Encoding.DER)).hexdigest(),
    }
    return {name: _read(reader) for name, reader in readers.items()}


def key_described(kms: KmsOptions, key_version: str, found: Sequence[Described]) -> dict[str, object]:
    """Returns GetPublicKey's facts about a key version, and the names of certificates and requests with its key."""
    try:
        answer = kms.ask(key_version, lambda key: key.public_key())
        held = subject_public_key_info(parsed(answer.pem))
    except (SignerError, CommandError) as error:
        return {"key_version": key_version, "state": f"cannot read the public key: {error}"}
    return {
        "key_version": key_version,
        "state": "enabled",
        "algorithm": answer.algorithm,
        "protection_level": answer.protection_level,
        "held_by": [_holder(each) for each in found if key_of(each) == held],
    }


def rows(facts: dict[str, object]) -> list[tuple[str, str]]:
    """Returns a description as rows of a table, without absent fields."""
    shown = dict(facts)
    if facts.get("ca") is True and facts.get("path_length") is None:
        shown["path_length"] = "not limited"
    return [(name.replace("_", " "), _text(value)) for name, value in shown.items() if value not in (None, [])]


def public_key_name(certificate: Described) -> str:
    """Returns the name of a public key, for example `RSA 2048` or `ECDSA P-256`."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"
    return type(key).__name__.removesuffix("PublicKey")


def _read(reader: Callable[[], object]) -> object:
    try:
        return der.attempt(reader)
    except ValueError as error:
        return f"unreadable: {error}"


def _holder(holder: Described) -> str:
    if isinstance(holder, x509.Certificate):
        return checks.name_of(holder)
    return f"the request for {_read(lambda: _name(holder.subject))}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _signature(certificate: Described) -> str:
    number = certificate.signature_algorithm_oid
    return _SIGNATURES.get(number, number.dotted_string)


def _ca(certificate: Described) -> bool:
    constraints = checks.extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _path_length(certificate: Described) -> int | None:
    constraints = checks.extension(certificate, x509.BasicConstraints)
    return None if constraints is None else constraints.path_length


def _key_usage(certificate: Described) -> list[str]:
    usage = checks.extension(certificate, x509.KeyUsage)
    return [] if usage is None else [name for name in _KEY_USAGES if getattr(usage, name)]


def _extended_key_usage(certificate: Described) -> list[str]:
    usage = checks.extension(certificate, x509.ExtendedKeyUsage)
    return [_PURPOSES.get(purpose, purpose.dotted_string) for purpose in usage or ()]


def _name_constraints(certificate: Described) -> list[str]:
    constraints = checks.extension(certificate, x509.NameConstraints)
    if constraints is None:
        return []
    return [
        *_subtrees("permitted", constraints.permitted_subtrees),
        *_subtrees("excluded", constraints.excluded_subtrees),
    ]


def _subtrees(word: str, names: Sequence[x509.GeneralName] | None) -> Iterator[str]:
    return (f"{word} {type(name).__name__} {name.value}" for name in names or ())


def _alternative_names(request: x509.CertificateSigningRequest) -> list[str]:
    names = checks.extension(request, x509.SubjectAlternativeName)
    return [f"{type(name).__name__} {name.value}" for name in names or ()]


def _other_extensions(request: x509.CertificateSigningRequest) -> list[str]:
    return [each.oid.dotted_string for each in request.extensions if not isinstance(each.value, _SHOWN)]


def _key_identifier(certificate: Described) -> str | None:
    identifier = checks.extension(certificate, x509.SubjectKeyIdentifier)
    return None if identifier is None else identifier.digest.hex()


def _authority_key_identifier(certificate: x509.Certificate) -> str | None:
    identifier = checks.extension(certificate, x509.AuthorityKeyIdentifier)
    return None if identifier is None or identifier.key_identifier is None else identifier.key_identifier.hex()
