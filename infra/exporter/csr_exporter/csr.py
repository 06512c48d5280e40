"""The CertificateSigningRequest as the API server shows it, reduced to what the exporter keeps.

Nothing of `spec.request` or of the certificate is kept: the function reads the CSR itself. Of the requester there is a
digest, by which its CSRs are counted.
"""

import enum
import hashlib
import re
import sys
import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

# The function refuses longer names (it could not quote them in a URL), so they are counted and not kept.
LONGEST_NAME = 512
_TRACE = re.compile(r"(?!0{32})[0-9a-f]{32}")
# Kubernetes names the pod to which a service account token is bound.
_POD_UID = "authentication.kubernetes.io/pod-uid"
Mask: TypeAlias = "dict[str, Mask] | list[Mask] | None"
"""Which fields of a JSON document are read.

The named members of an object, the only entry's fields of each element of a list; None: a scalar. A value of another
type than its mask is kept as a scalar, or as an object or a list without content.
"""
FIELDS: dict[str, Mask] = {
    "metadata": dict.fromkeys(("uid", "name", "resourceVersion", "creationTimestamp", "deletionTimestamp")),
    "spec": {"signerName": None, "username": None, "extra": {_POD_UID: [None]}},
    "status": {"conditions": [{"type": None}], "certificate": None},
}
"""All that is read of the API object; nothing else is ever held."""


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
    """Which CSR: all that is kept of it in memory, and more than an event says.

    `creation_timestamp` is RFC 3339 text as the API server wrote it; versions are opaque. `requester` is a digest of
    who filed it, which is never sent.
    """

    uid: str
    name: str
    resource_version: str
    signer_name: str
    creation_timestamp: str
    requester: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A CSR as the API server shows it.

    Attributes:
        reference: which CSR.
        stage: None where nothing is left to do for it.
        issued: whether it has a certificate.
        is_new: whether a watch shows it for the first time (ADDED).
    """

    reference: Reference
    stage: Stage | None
    issued: bool = False
    is_new: bool = False


def from_api(document: object) -> Seen:
    """Reads an API object of kind CertificateSigningRequest, reduced to `FIELDS`.

    Raises:
        MalformedError: a field that is needed is missing or of the wrong type.
    """
    metadata = _object(document, "metadata")
    spec = _object(document, "spec")
    reference = Reference(
        uid=_text(metadata, "uid"),
        name=_text(metadata, "name"),
        resource_version=_text(metadata, "resourceVersion"),
        # Thousands of CSRs share these two.
        signer_name=sys.intern(_text(spec, "signerName")),
        creation_timestamp=sys.intern(_text(metadata, "creationTimestamp")),
        requester=requester_of(spec),
    )
    status = _object(document, "status", optional=True)
    return Seen(reference=reference, stage=_stage(metadata, status), issued=bool(status.get("certificate")))


def requester_of(spec: dict[str, object]) -> str:
    """A digest of who filed the CSR: of the pod where its token was bound to one, else of the user name alone."""
    username, extra = spec.get("username"), spec.get("extra")
    pods = extra.get(_POD_UID) if isinstance(extra, dict) else None
    pod = pods[0] if isinstance(pods, list) and len(pods) == 1 and isinstance(pods[0], str) else ""
    # No length is trusted; NUL is in neither part of an honest API server's.
    text = f"{username if isinstance(username, str) else ''}\0{pod}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def is_sendable(name: str) -> bool:
    """Whether the function would accept the name: at most 512 bytes, no control character, valid Unicode."""
    if name.isascii() and name.isprintable():
        return len(name) <= LONGEST_NAME
    if len(name) > LONGEST_NAME or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return False
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in name)


def event_id(uid: str, stage: Stage, resend: int) -> str:
    """The id of an event: it follows from the CSR's uid, its stage, and how often that was deliberately repeated."""
    return f"{uid}/{stage.value}" + (f"/r{resend}" if resend else "")


def trace_of(uid: str) -> str:
    """The trace (W3C Trace Context) of all that is done about a CSR: its uid, which is a UUID, without dashes."""
    trace = uid.replace("-", "")
    return trace if _TRACE.fullmatch(trace) else hashlib.sha256(uid.encode("utf-8", "replace")).hexdigest()[:32]


def span_of(event_id: str) -> str:
    """The span of one event; retries share it, as they share the id."""
    return hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()[:16]


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
