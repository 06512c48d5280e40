"""The CertificateSigningRequest at the API server."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from csr_signer.errors import ItemError
from csr_signer.objects import json_fields
from csr_signer.objects.json_fields import METADATA, OF_OBJECT, OTHERS, Mask
from csr_signer.violation import quote

APPROVED = "Approved"
DENIED = "Denied"
FAILED = "Failed"
_FIELDS: Final[dict[str, Mask]] = {
    "metadata": {**METADATA, "resourceVersion": None, "creationTimestamp": None},
    "spec": {
        "signerName": None,
        "request": None,
        "usages": [None],
        "expirationSeconds": None,
        "username": None,
        "uid": None,
        "groups": [None],
        "extra": {OTHERS: [None]},
    },
    "status": {"conditions": [{OTHERS: None}], "certificate": None},
}
_YEARS = range(1970, 9900)  # adding or subtracting a lifetime must also give a valid date


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """The identity that the API server recorded at creation; no client can set or change it.

    Attributes:
        username, uid: the authenticated user's.
        groups: the user's groups.
        extra: more facts about the credential: values by key.
    """

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSigningRequest:
    """A `certificates.k8s.io/v1` CertificateSigningRequest at one resourceVersion.

    Attributes:
        size: bytes of the API server's JSON.
        name, uid, resource_version: of its metadata.
        created: creationTimestamp, UTC, whole seconds; no client can set this time.
        deleting: whether a deletionTimestamp is set.
        signer_name, usages, expiration_seconds: of its spec, as requested; at most OF_OBJECT.items usages.
        request: `spec.request`, the PEM text as bytes, unverified; of a longer one, the first 48 KiB.
        requester: the requester.
        conditions: types of the conditions with status True. The function ignores their times, because an approver
            can set them to any year.
        approval: message of the Approved condition of any approver; empty without one.
        certificate: `status.certificate`, empty until issued.
        stored_conditions: all conditions, for writing them back; only the package `cluster` reads them.
    """

    size: int
    name: str
    uid: str
    resource_version: str
    created: datetime
    deleting: bool
    signer_name: str
    request: bytes
    usages: tuple[str, ...]
    expiration_seconds: int | None
    requester: Requester
    conditions: frozenset[str]
    approval: str
    certificate: bytes
    stored_conditions: tuple[Mapping[str, Any], ...]

    @classmethod
    def from_api(cls, document: bytes, *, name: str) -> "CertificateSigningRequest":
        """Parses the API server's JSON.

        Args:
            document: the API server's answer.
            name: the requested name.

        Raises:
            UnavailableError: the answer is another object.
            ItemError: the object is unreadable.
        """
        api = json_fields.read(document, "CertificateSigningRequest", _FIELDS, name=name)
        try:
            return cls._from_object(api, size=len(document))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ItemError(f"the CertificateSigningRequest cannot be read: {quote(str(error))}") from error

    @classmethod
    def _from_object(cls, api: dict[str, Any], *, size: int) -> "CertificateSigningRequest":
        metadata, spec, status = api["metadata"], api["spec"], api.get("status") or {}
        stored = _uncut(status.get("conditions") or ())
        conditions = {
            condition["type"]: condition.get("message") or ""
            for condition in stored
            if condition.get("status") == "True"
        }
        return cls(
            size=size,
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=_version(metadata["resourceVersion"]),
            created=_moment(metadata["creationTimestamp"]),
            deleting=metadata.get("deletionTimestamp") is not None,
            signer_name=spec["signerName"],
            request=base64.b64decode(spec["request"], validate=True),
            usages=tuple(spec.get("usages") or ()),
            expiration_seconds=_whole_number(spec.get("expirationSeconds")),
            requester=Requester(
                username=_text(spec["username"]),
                uid=_text(spec.get("uid", "")),
                groups=tuple(spec.get("groups") or ()),
                extra={key: tuple(values or ()) for key, values in (spec.get("extra") or {}).items()},
            ),
            conditions=frozenset(conditions),
            approval=conditions.get(APPROVED, ""),
            certificate=base64.b64decode(status.get("certificate") or "", validate=True),
            stored_conditions=stored,
        )


def _uncut(conditions: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Refuses conditions that reach a bound: a condition beyond the bound may be Denied, and a write would remove it.

    No requester can write conditions. An approver or a signer can, and may also end the CSR.
    """
    texts = (text for condition in conditions for text in condition.values() if isinstance(text, str))
    if len(conditions) >= OF_OBJECT.items or any(len(text) >= OF_OBJECT.text for text in texts):
        raise ValueError(
            f"status.conditions: Too many: must have less than {OF_OBJECT.items} items, with texts of less than"
            f" {OF_OBJECT.text} characters"
        )
    return tuple(conditions)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value


def _version(value: object) -> str:
    """Validates a resourceVersion for records, whose size Cloud Logging limits."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,128}", value):
        raise ValueError("metadata.resourceVersion: Invalid value: must have 1 to 128 printable ASCII characters")
    return value


def _whole_number(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise TypeError(f"{type(value).__name__} where a number belongs")
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.year not in _YEARS:
        raise ValueError(f"creationTimestamp {text!r} has no zone or lies outside the years of certificates")
    return moment
