"""Messages as Kubernetes' field errors (apimachinery `field.Error`): `PATH: Invalid value: "x": must be ...`.

A path names what the reader can look at: a field of the CSR, of the pod or of the configuration document, or below
`spec.request` a part of the CertificationRequest.
"""

from collections.abc import Iterable

from csr_signer.violation import quote


def invalid(path: str, value: object, must: str) -> str:
    """Returns that a value is not what it must be."""
    return f"{path}: Invalid value: {quote(value)}: {must}"


def malformed(path: str, must: str) -> str:
    """Returns that a value is not what it must be, without the value: it is too large, or nothing that can be shown."""
    return f"{path}: Invalid value: {must}"


def unsupported(path: str, values: Iterable[str], supported: Iterable[str]) -> str:
    """Returns that values are not among the supported ones."""
    named = ", ".join(map(quote, supported))
    shown = list(values)
    return f"{path}: Unsupported value: {quote(shown[0] if len(shown) == 1 else shown)}: supported values: {named}"


def required(path: str, must: str) -> str:
    """Returns that a value is absent."""
    return f"{path}: Required value: {must}"


def forbidden(path: str, why: str) -> str:
    """Returns that there must be no such value."""
    return f"{path}: Forbidden: {why}"


def duplicate(path: str, value: object) -> str:
    """Returns that a value may stand once only."""
    return f"{path}: Duplicate value: {quote(value)}"


def not_found(path: str, value: object, detail: str) -> str:
    """Returns that what a value names does not exist."""
    return f"{path}: Not found: {quote(value)}: {detail}"


def too_long(path: str, most: int) -> str:
    """Returns that a value has too many bytes."""
    return f"{path}: Too long: must have at most {most} bytes"


def too_many(path: str, got: int, most: int) -> str:
    """Returns that a list has too many items."""
    return f"{path}: Too many: {got}: must have at most {most} {'item' if most == 1 else 'items'}"
