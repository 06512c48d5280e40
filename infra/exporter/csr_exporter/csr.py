"""The CertificateSigningRequest as the API server shows it, reduced to what the exporter keeps.

The exporter keeps nothing of `spec.request` and of the certificate: the function reads the CSR itself. It keeps a
digest of the requester, by which it counts CSRs.
"""

import enum
import hashlib
import re
import sys
import unicodedata
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

# The function refuses longer names: it could not quote them in a URL.
LONGEST_NAME = 512
_TRACE = re.compile(r"(?!0{32})[0-9a-f]{32}")
# Kubernetes names the pod to which a service account token is bound.
_POD_UID = "authentication.kubernetes.io/pod-uid"
Json = TypeVar("Json", str, dict[str, object], list[object])
Mask: TypeAlias = "dict[str, Mask] | list[Mask] | None"
"""Which fields of a JSON document the exporter keeps.

The named members of an object, the only entry's fields of each element of a list; None: a scalar. A value of another
type than its mask is kept as a scalar, or as an object or a list without content.
"""
FIELDS: dict[str, Mask] = {
    "metadata": dict.fromkeys(("uid", "name", "resourceVersion", "creationTimestamp", "deletionTimestamp")),
    "spec": {"signerName": None, "username": None, "extra": {_POD_UID: [None]}},
    "status": {"conditions": [{"type": None}], "certificate": None},
}
"""The fields of the API object that the exporter keeps while it reads it."""


class Stage(enum.Enum):
    """How far a CSR has come that may still get a certificate."""

    PENDING = "pending"
    """No condition yet."""
    APPROVED = "approved"
    """Approved; not yet issued or Failed."""


class MalformedError(Exception):
    """The API server sent something that the exporter does not understand. It concludes nothing from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Which CSR.

    Attributes:
        uid, name, resource_version, signer_name: as in the API object.
        creation_timestamp: RFC 3339 text, as the API server wrote it.
        requester: digest of the requester; events do not contain it.
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
    """

    reference: Reference
    stage: Stage | None
    issued: bool = False


def from_api(document: object) -> Seen:
    """Reads an API object of kind CertificateSigningRequest.

    Raises:
        MalformedError: a required field is missing or of the wrong type.
    """
    metadata, spec = field_of(document, "metadata", dict), field_of(document, "spec", dict)
    reference = Reference(
        uid=field_of(metadata, "uid", str),
        name=field_of(metadata, "name", str),
        resource_version=field_of(metadata, "resourceVersion", str),
        # Thousands of CSRs share these two.
        signer_name=sys.intern(field_of(spec, "signerName", str)),
        creation_timestamp=sys.intern(field_of(metadata, "creationTimestamp", str)),
        requester=requester_of(spec),
    )
    status = field_of(document, "status", dict, {})
    return Seen(reference=reference, stage=_stage(metadata, status), issued=bool(status.get("certificate")))


def field_of(document: object, key: str, kind: type[Json], default: Json | None = None) -> Json:
    """Returns a field of a JSON object.

    Raises:
        MalformedError: it is missing or empty and has no default, or is of the wrong type.
    """
    value = document.get(key) if isinstance(document, dict) else None
    if value is None and default is not None:
        return default
    if isinstance(value, kind) and (value or kind is not str or default is not None):
        return value
    raise MalformedError(f"{key}: Invalid value: {type(value).__name__}: must be {kind.__name__}")


def requester_of(spec: dict[str, object]) -> str:
    """Returns a digest of the requester: of the pod if the token was bound to one, else of the user name alone."""
    username, extra = spec.get("username"), spec.get("extra")
    pods = extra.get(_POD_UID) if isinstance(extra, dict) else None
    pod = pods[0] if isinstance(pods, list) and len(pods) == 1 and isinstance(pods[0], str) else ""
    # The text may have any length. NUL is in neither part of an honest API server's.
    text = f"{username if isinstance(username, str) else ''}\0{pod}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def is_sendable(name: str) -> bool:
    """Returns whether the function accepts the name: at most 512 bytes, no control character, valid Unicode."""
    if name.isascii() and name.isprintable():
        return len(name) <= LONGEST_NAME
    if len(name) > LONGEST_NAME or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return False
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in name)


def event_id(uid: str, stage: Stage, resend: int) -> str:
    """Returns the id of an event. It follows from the CSR's uid, its stage and the number of resends."""
    return f"{uid}/{stage.value}" + (f"/r{resend}" if resend else "")


def trace_of(uid: str) -> str:
    """Returns the trace id (W3C Trace Context) of a CSR: its uid, a UUID, without dashes."""
    trace = uid.replace("-", "")
    return trace if _TRACE.fullmatch(trace) else hashlib.sha256(uid.encode("utf-8", "replace")).hexdigest()[:32]


def span_of(event_id: str) -> str:
    """Returns the span id of an event. Retries share it, as they share the event id."""
    return hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()[:16]


def _stage(metadata: dict[str, object], status: dict[str, object]) -> Stage | None:
    """Kubernetes never removes Approved, Denied and Failed, and never replaces a certificate."""
    conditions = {field_of(condition, "type", str) for condition in field_of(status, "conditions", list, [])}
    if metadata.get("deletionTimestamp") or status.get("certificate") or conditions & {"Denied", "Failed"}:
        return None
    return Stage.APPROVED if "Approved" in conditions else Stage.PENDING
