"""How stored objects are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kubernetes import status
from sandbox.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.api import Json
    from sandbox.kubernetes.resource import Resource
    from sandbox.kubernetes.store import Entry

_JSON_TYPES = frozenset({"application/json", "application/*", "*/*"})


class Representation:
    """Objects of one resource; list elements have no kind."""

    def __init__(self, resource: Resource) -> None:
        self._type = {"kind": resource.kind, "apiVersion": resource.api_version}
        self._head = encode(self._type)[:-1] + b","
        self._empty = resource.document({}, "")

    def one(self, entry: Entry) -> bytes:
        """An object as the body of an answer or of an event."""
        return self._head + entry.encoded[1:]

    def many(self, entries: Iterable[Entry], metadata: Json) -> bytes:
        """A list."""
        head = {
            "kind": f"{self._type['kind']}List",
            "apiVersion": self._type["apiVersion"],
            "metadata": metadata,
        }
        return encode(head)[:-1] + b',"items":[' + b",".join(entry.encoded for entry in entries) + b"]}\n"

    def bookmark(self, version: int) -> bytes:
        """The object of a BOOKMARK event: what is empty, and a version."""
        return encode({**self._type, **self._empty, "metadata": {"resourceVersion": str(version)}})


def accepted(resource: Resource, accept: str) -> Representation:
    """Choose by the Accept header.

    Raises:
        status.StatusError: 406, nothing of it is served here.
    """
    for each in (accept or "*/*").split(","):
        media_type, *parameters = (part.strip() for part in each.split(";"))
        if media_type in _JSON_TYPES and not any(parameter.startswith("as=") for parameter in parameters):
            return Representation(resource)
    raise status.not_acceptable()
