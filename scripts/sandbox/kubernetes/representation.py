"""How stored objects are shown: whole, or only their metadata (PartialObjectMetadata)."""

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
_WATCH_END = {"k8s.io/initial-events-end": "true"}


class Representation:
    """Objects of one resource, whole; list elements have no kind."""

    def __init__(self, resource: Resource) -> None:
        self._type = {"kind": resource.kind, "apiVersion": resource.api_version}
        self._head = encode(self._type)[:-1] + b","
        self._empty = resource.document({}, "")

    def one(self, entry: Entry) -> bytes:
        """An object as the body of an answer or of an event."""
        return self._head + entry.encoded[1:]

    def element(self, entry: Entry) -> bytes:
        """An object inside a list."""
        return entry.encoded

    def many(self, entries: Iterable[Entry], metadata: Json) -> bytes:
        """A list."""
        head = {
            "kind": f"{self._type['kind']}List",
            "apiVersion": self._type["apiVersion"],
            "metadata": metadata,
        }
        return encode(head)[:-1] + b',"items":[' + b",".join(map(self.element, entries)) + b"]}\n"

    def bookmark(self, version: int, *, ends_initial_events: bool = False) -> bytes:
        """The object of a BOOKMARK event: what is empty, and a version."""
        annotations = {"annotations": _WATCH_END} if ends_initial_events else {}
        metadata = {"resourceVersion": str(version), **annotations}
        return encode({**self._type, **self._empty, "metadata": metadata})


class MetadataOnly(Representation):
    """The same as PartialObjectMetadata, for whom the objects are too big."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self._type = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        self._empty = {}

    def one(self, entry: Entry) -> bytes:
        """Kind, version and metadata."""
        return encode({**self._type, "metadata": entry.object["metadata"]})

    def element(self, entry: Entry) -> bytes:
        """In lists too the elements have their kind."""
        return self.one(entry)


def accepted(resource: Resource, accept: str) -> Representation:
    """Choose by the Accept header.

    Raises:
        status.StatusError: 406, nothing of it is served here.
    """
    for each in (accept or "*/*").split(","):
        media_type, *parameters = (part.strip() for part in each.split(";"))
        if media_type not in _JSON_TYPES:
            continue
        if any(parameter.startswith("as=PartialObjectMetadata") for parameter in parameters):
            return MetadataOnly(resource)
        if not any(parameter.startswith("as=") for parameter in parameters):
            return Representation(resource)
    raise status.not_acceptable()
