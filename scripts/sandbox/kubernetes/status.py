"""Refusals as the API server words them: errors that are Status objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.api import Json
    from sandbox.kubernetes.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One reason of several why an object is invalid."""

    reason: str
    message: str
    field: str


class StatusError(Exception):
    """A request that is answered with a Status object of kind failure.

    Attributes:
        code: the HTTP status.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Json | None = None,
        metadata: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self._reason = reason
        self._details = details
        self._metadata = metadata

    @property
    def body(self) -> Json:
        """The Status object."""
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": self._metadata or {}}
        body |= {"status": "Failure", "message": str(self)}
        if self._reason:
            body["reason"] = self._reason
        if self._details is not None:
            body["details"] = self._details
        return body | {"code": self.code}


def quote(text: str) -> str:
    """Text in double quotes, with what is not printable escaped."""
    return json.dumps(text, ensure_ascii=False)


def required(field: str, message: str = "") -> Cause:
    """A field that must not be empty."""
    return Cause(reason="FieldValueRequired", field=field, message="Required value" + (message and f": {message}"))


def invalid_value(field: str, value: str, message: str) -> Cause:
    """A field's value that breaks a rule; `value` is shown as it is."""
    return Cause(reason="FieldValueInvalid", field=field, message=f"Invalid value: {value}: {message}")


def forbidden_change(field: str, message: str) -> Cause:
    """A change that this endpoint does not allow."""
    return Cause(reason="FieldValueForbidden", field=field, message=f"Forbidden: {message}")


def duplicate(field: str, value: str) -> Cause:
    """A value that is there already."""
    return Cause(reason="FieldValueDuplicate", field=field, message=f"Duplicate value: {quote(value)}")


def not_supported(field: str, value: str, supported: Sequence[str]) -> Cause:
    """A value outside a closed set."""
    choices = ", ".join(quote(each) for each in sorted(supported))
    message = f"Unsupported value: {quote(value)}: supported values: {choices}"
    return Cause(reason="FieldValueNotSupported", field=field, message=message)


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> StatusError:
    """422: the object breaks rules of its kind; all of them are named."""
    listed = [f"{cause.field}: {cause.message}" for cause in causes]
    text = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details = _details(resource, name, resource.kind)
    details["causes"] = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    message = f"{resource.qualified_kind} {quote(name)} is invalid: {text}"
    return StatusError(422, "Invalid", message, details=details)


def not_found(resource: Resource, name: str) -> StatusError:
    """404: no such object."""
    message = f"{resource.qualified} {quote(name)} not found"
    return StatusError(404, "NotFound", message, details=_details(resource, name, resource.plural))


def no_such_path() -> StatusError:
    """404: no such resource in a group that exists."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: Resource, name: str, *, deleting: bool) -> StatusError:
    """409: the name is taken, perhaps by an object that finalizers keep."""
    message = f"{resource.qualified} {quote(name)} already exists"
    if deleting:
        message = f"object is being deleted: {message}"
    return StatusError(409, "AlreadyExists", message, details=_details(resource, name, resource.plural))


def conflict(resource: Resource, name: str, message: str) -> StatusError:
    """409: a precondition or a version does not hold."""
    text = f"Operation cannot be fulfilled on {resource.qualified} {quote(name)}: {message}"
    return StatusError(409, "Conflict", text, details=_details(resource, name, resource.plural))


def precondition_failed(resource: Resource, name: str, message: str) -> StatusError:
    """409: what a deletion or a token was to hold for does not hold."""
    text = f"Operation cannot be fulfilled on {resource.qualified_kind} {quote(name)}: {message}"
    return StatusError(409, "Conflict", text, details=_details(resource, name, resource.kind))


def modified(resource: Resource, name: str) -> StatusError:
    """409: another version is stored by now."""
    message = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, message)


def other_uid(resource: Resource, name: str, *, wanted: str, found: str) -> StatusError:
    """409: another object has the name by now."""
    message = (
        f"StorageError: invalid object, Code: 4, Key: /registry/{resource.plural}/{name}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    )
    return conflict(resource, name, message)


def bad_request(message: str) -> StatusError:
    """400."""
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    """401: no identity, or one that does not hold."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, message: str) -> StatusError:
    """403."""
    text = f"{resource.qualified} {quote(name)} is forbidden: {message}"
    return StatusError(403, "Forbidden", text, details=_details(resource, name, resource.plural))


def method_not_allowed() -> StatusError:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, details={})


def not_acceptable() -> StatusError:
    """406."""
    message = "406: Not Acceptable\n\nAvailable representations: application/json"
    return StatusError(406, "NotAcceptable", message, details={})


def expired(message: str, *, continue_token: str | None = None) -> StatusError:
    """410: the version that was asked for is forgotten."""
    metadata = None if continue_token is None else {"continue": continue_token}
    return StatusError(410, "Expired", message, metadata=metadata)


def body_too_large(limit: int) -> StatusError:
    """413."""
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def unsupported_media_type(accepted: str) -> StatusError:
    """415."""
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return StatusError(415, "UnsupportedMediaType", message)


def internal(message: str) -> StatusError:
    """500: what the API server answers where it did not think of a better status."""
    return StatusError(500, "", message)


def version_too_large(wanted: int, current: int) -> StatusError:
    """504: a version that is not reached yet."""
    details: Json = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return StatusError(504, "Timeout", message, details=details)


def _details(resource: Resource, name: str, kind: str) -> Json:
    details: Json = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return details | {"kind": kind}
