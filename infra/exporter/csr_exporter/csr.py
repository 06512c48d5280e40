"""The CertificateSigningRequest as the API server shows it, reduced to what the exporter keeps.

Nothing of `spec.request`, of the requester or of the certificate is kept: the function reads the CSR itself.
"""

from __future__ import annotations

import enum
import unicodedata
from dataclasses import dataclass

# The function refuses longer names (it could not quote them in a URL), so they are counted and not kept.
LONGEST_NAME = 512


class Stage(enum.Enum):
    """How far a CSR has come that may still get a certificate."""

    PENDING = "pending"
    """No condition yet."""
    APPROVED = "approved"
    """Approved, and neither issued nor Failed."""


class MalformedError(Exception):
    """The API server sent something that is not understood; nothing may be concluded from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Which CSR: all that is kept of it in memory, and all that an event says.

    `creation_timestamp` is RFC 3339 text as the API server wrote it; versions are opaque.
    """

    uid: str
    name: str
    resource_version: str
    signer_name: str
    creation_timestamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A CSR as it was seen; `stage` is None where nothing is left to do for it."""

    reference: Reference
    stage: Stage | None


def from_api(document: object) -> Seen:
    """Reads an API object of kind CertificateSigningRequest.

    Raises:
        MalformedError: a field that is needed is missing or of the wrong type.
    """
    metadata = _object(document, "metadata")
    spec = _object(document, "spec")
    reference = Reference(
        uid=_text(metadata, "uid"),
        name=_text(metadata, "name"),
        resource_version=_text(metadata, "resourceVersion"),
        signer_name=_text(spec, "signerName"),
        creation_timestamp=_text(metadata, "creationTimestamp"),
    )
    return Seen(reference=reference, stage=_stage(metadata, _object(document, "status", optional=True)))


def is_sendable(name: str) -> bool:
    """Whether the function would accept the name: at most 512 bytes, no control character, valid Unicode."""
    if len(name) > LONGEST_NAME or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return False
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in name)


def _stage(metadata: dict[str, object], status: dict[str, object]) -> Stage | None:
    """Approved, Denied and Failed are never taken back, and a certificate is never replaced."""
    conditions = {_text(condition, "type") for condition in _list(status, "conditions")}
    if metadata.get("deletionTimestamp") or status.get("certificate") or conditions & {"Denied", "Failed"}:
        return None
    return Stage.APPROVED if "Approved" in conditions else Stage.PENDING


def _object(document: object, key: str, *, optional: bool = False) -> dict[str, object]:
    value = document.get(key) if isinstance(document, dict) else None
    if isinstance(value, dict):
        return value
    if optional and value is None:
        return {}
    raise MalformedError(f"CertificateSigningRequest: {key} is {type(value).__name__}, allowed is an object")


def _list(document: dict[str, object], key: str) -> list[object]:
    value = document.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise MalformedError(f"CertificateSigningRequest: {key} is {type(value).__name__}, allowed is a list")


def _text(document: object, key: str) -> str:
    value = document.get(key) if isinstance(document, dict) else None
    if isinstance(value, str) and value:
        return value
    raise MalformedError(f"CertificateSigningRequest: {key} is {type(value).__name__}, allowed is text")
