"""Status objects: how the API server words that it refuses a request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.api import Json
    from sandbox.kubernetes.resources import Resource

_CODES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Expired": 410,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "InternalError": 500,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One rule that an object breaks.

    Attributes:
        reason: `FieldValueInvalid` or `FieldValueForbidden`.
        message: says what is wrong, after the field.
        field: path of the field.
    """

    reason: str
    message: str
    field: str


class StatusError(Exception):
    """A request that the API server answers with a Status of kind failure.

    Args:
        reason: machine-readable; it decides the HTTP status.
        message: for people.
        details: the object that the Status is about.
    """

    def __init__(self, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = _CODES[reason]
        self._reason = reason
        self._details = details or {}

    @property
    def body(self) -> Json:
        """Returns the Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self._reason,
            "details": self._details,
            "code": self.code,
        }


def not_found(resource: Resource, name: str) -> StatusError:
    """Returns 404: the object does not exist."""
    return _about("NotFound", resource, name, f"{resource.qualified} {json.dumps(name)} not found")


def already_exists(resource: Resource, name: str) -> StatusError:
    """Returns 409: another object has the name."""
    return _about("AlreadyExists", resource, name, f"{resource.qualified} {json.dumps(name)} already exists")


def modified(resource: Resource, name: str) -> StatusError:
    """Returns 409: the stored version is not the one that the client read."""
    message = "the object has been modified; please apply your changes to the latest version and try again"
    return _conflict(resource, name, message)


def other_uid(resource: Resource, name: str, *, wanted: str, found: str) -> StatusError:
    """Returns 409: the object of the name is not the one that the client read."""
    message = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    return _conflict(resource, name, message)


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> StatusError:
    """Returns 422: the object breaks rules of its kind, all of which are named."""
    message = ", ".join(f"{cause.field}: {cause.message}" for cause in causes)
    details = {
        "name": name,
        "group": resource.group,
        "kind": resource.kind,
        "causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes],
    }
    return StatusError("Invalid", f"{resource.kind} {json.dumps(name)} is invalid: {message}", details)


def _conflict(resource: Resource, name: str, message: str) -> StatusError:
    text = f"Operation cannot be fulfilled on {resource.qualified} {json.dumps(name)}: {message}"
    return _about("Conflict", resource, name, text)


def _about(reason: str, resource: Resource, name: str, message: str) -> StatusError:
    group = {"group": resource.group} if resource.group else {}
    return StatusError(reason, message, {"name": name, **group, "kind": resource.plural})
