"""Bodies of requests, read as objects of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kubernetes import schema, status

if TYPE_CHECKING:
    from sandbox.api import Json
    from sandbox.kubernetes.resource import Resource

_DELETE_OPTIONS = schema.struct(
    {
        "gracePeriodSeconds": schema.int64,
        "preconditions": schema.struct({"uid": schema.text, "resourceVersion": schema.text}),
    }
)


def decode(resource: Resource, body: object) -> Json:
    """Read an object of a resource's kind; kind and apiVersion may be absent.

    Raises:
        status.StatusError: 400.
    """
    if not isinstance(body, dict):
        message = f"the object provided is unrecognized (must be of type {resource.kind}): json parse error"
        raise status.bad_request(message)
    kind, version = body.get("kind") or resource.kind, body.get("apiVersion") or resource.api_version
    if (kind, version) != (resource.kind, resource.api_version):
        message = f'{kind} in version "{version}" cannot be handled as a {resource.kind}: no such kind here'
        raise status.bad_request(message)
    document = {key: value for key, value in body.items() if key not in {"kind", "apiVersion"}}
    return _decode_document(resource.document, document, resource.kind, resource.version)


def delete_options(body: object) -> Json:
    """Read a DeleteOptions.

    Raises:
        status.StatusError: 400.
    """
    return _decode_document(_DELETE_OPTIONS, body, "DeleteOptions", "v1")


def _decode_document(decoder: schema.Decoder, document: object, kind: str, version: str) -> Json:
    try:
        decoded = decoder(document, "")
    except schema.DecodeError as error:
        message = f'{kind} in version "{version}" cannot be handled as a {kind}: {error}'
        raise status.bad_request(message) from error
    assert isinstance(decoded, dict)  # noqa: S101 - mypy's: documents are structs
    return decoded


def merge(target: object, patch: object) -> object:
    """Apply a JSON merge patch (RFC 7396); `target` itself stays as it is."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged
