"""Formats messages as Kubernetes' field errors (apimachinery `field.Error`): `PATH: Invalid value: "x": must be ...`.

A path names a field of the CSR, of the pod or of the configuration document. Below `spec.request`, it names a part of
the CertificationRequest.
"""

from collections.abc import Iterable

from csr_signer.violation import quote


def invalid(path: str, value: object, must: str) -> str:
    """Returns the message for a value that breaks a rule."""
    return f"{path}: Invalid value: {quote(value)}: {must}"


def malformed(path: str, must: str) -> str:
    """Returns the message for a value that breaks a rule and is too large or unsuitable to show."""
    return f"{path}: Invalid value: {must}"


def unsupported(path: str, values: Iterable[str], supported: Iterable[str]) -> str:
    """Returns the message for unsupported values."""
    named = ", ".join(map(quote, supported))
    shown = list(values)
    return f"{path}: Unsupported value: {quote(shown[0] if len(shown) == 1 else shown)}: supported values: {named}"


def required(path: str, must: str) -> str:
    """Returns the message for an absent value."""
    return f"{path}: Required value: {must}"


def forbidden(path: str, why: str) -> str:
    """Returns the message for a value that must not exist."""
    return f"{path}: Forbidden: {why}"


def duplicate(path: str, value: object) -> str:
    """Returns the message for a value that may occur only once."""
    return f"{path}: Duplicate value: {quote(value)}"


def not_found(path: str, value: object, detail: str) -> str:
    """Returns the message for a value that names a missing thing."""
    return f"{path}: Not found: {quote(value)}: {detail}"


def too_long(path: str, most: int) -> str:
    """Returns the message for a value with too many bytes."""
    return f"{path}: Too long: must have at most {most} bytes"


def too_many(path: str, got: int, most: int) -> str:
    """Returns the message for a list with too many items."""
    return f"{path}: Too many: {got}: must have at most {most} {'item' if most == 1 else 'items'}"
