"""Versioned objects with their history: what etcd and the watch cache are to the API server.

Only the server's event loop touches a store, so it needs no lock.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.kubernetes.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox.api import Json
    from sandbox.kubernetes.resources import Resource

_HISTORY = 10_000  # changes that a collection remembers
# Go's encoding/json escapes these for the sake of HTML: six bytes in place of one.
_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One stored version of an object, which never changes.

    Attributes:
        key: where the object is stored; lists come in the order of keys.
        encoded: the object as JSON, without kind and apiVersion, as the elements of a list are.
    """

    key: str
    version: int
    object: Json
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step in a collection's history.

    Attributes:
        before: None if the object was created.
        after: of a deletion, the last state with the deletion's version.
    """

    before: StoredVersion | None
    after: StoredVersion
    deleted: bool = False


class Collection:
    """All objects of one resource.

    Attributes:
        entries: the present state by key.
        listeners: called with every change.
    """

    def __init__(self, resource: Resource) -> None:
        self.entries: dict[str, StoredVersion] = {}
        self.listeners: set[Callable[[Change], None]] = set()
        self._history: deque[Change] = deque()
        self._compacted = 0
        self._kind: Json = {"kind": resource.kind, "apiVersion": resource.api_version}
        self._head = encode(self._kind)[:-1] + b","
        self._blank = resource.blank

    def since(self, version: int) -> list[Change]:
        """Returns the changes after a version.

        Raises:
            StatusError: 410, they are forgotten.
        """
        if version < self._compacted:
            raise StatusError("Expired", f"too old resource version: {version} ({self._compacted})")
        return [change for change in self._history if change.after.version > version]

    def at(self, version: int) -> dict[str, StoredVersion]:
        """Returns the state as of a version; raises as `since`."""
        state = dict(self.entries)
        for change in reversed(self.since(version)):
            if change.before is not None:
                state[change.before.key] = change.before
            else:
                del state[change.after.key]
        return state

    def record(self, change: Change) -> None:
        """Remembers a change and tells the listeners."""
        self._history.append(change)
        if len(self._history) > _HISTORY:
            self._compacted = self._history.popleft().after.version
        for listener in tuple(self.listeners):
            listener(change)

    def compact(self, version: int) -> None:
        """Forgets the history before a version."""
        self._history.clear()
        self._compacted = version

    def show(self, entry: StoredVersion) -> bytes:
        """Returns an object as an answer or an event has it, with its kind."""
        return self._head + entry.encoded[1:]

    def show_list(self, entries: Iterable[StoredVersion], metadata: Json) -> bytes:
        """Returns a list as an answer has it."""
        head = encode({**self._kind, "kind": f"{self._kind['kind']}List", "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(entry.encoded for entry in entries) + b"]}"

    def show_bookmark(self, version: int) -> bytes:
        """Returns the object of a bookmark event, which has a version and no content."""
        return encode({**self._kind, "metadata": {"resourceVersion": str(version)}, **self._blank})


class Store:
    """The objects of all resources under one version counter."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.version = 1
        self._collections = {resource.plural: Collection(resource) for resource in resources}

    def collection(self, resource: Resource) -> Collection:
        """Returns the objects of a resource."""
        return self._collections[resource.plural]

    def find(self, resource: Resource, namespace: str, name: str) -> StoredVersion | None:
        """Returns one object, or None."""
        return self.collection(resource).entries.get(_key(namespace, name))

    def put(self, resource: Resource, new: Json) -> StoredVersion:
        """Creates or replaces an object, which gets the next version."""
        collection, entry = self.collection(resource), self._entry(new)
        before = collection.entries.get(entry.key)
        collection.entries[entry.key] = entry
        collection.record(Change(before=before, after=entry))
        return entry

    def remove(self, resource: Resource, entry: StoredVersion) -> None:
        """Deletes an object."""
        collection = self.collection(resource)
        del collection.entries[entry.key]
        collection.record(Change(before=entry, after=self._entry(entry.object), deleted=True))

    def compact(self) -> None:
        """Forgets everything but the present state."""
        for collection in self._collections.values():
            collection.compact(self.version)

    def _entry(self, new: Json) -> StoredVersion:
        metadata = new["metadata"]
        version = self.version + 1
        stored = {**new, "metadata": {**metadata, "resourceVersion": str(version)}}
        key = _key(metadata.get("namespace", ""), metadata["name"])
        entry = StoredVersion(key=key, version=version, object=stored, encoded=encode(stored))
        self.version = version
        return entry


def encode(value: object) -> bytes:
    """Returns JSON without blanks, escaped as by the API server.

    Raises:
        ValueError: a text holds half of a surrogate pair.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text.encode()


def _key(namespace: str, name: str) -> str:
    return f"/{namespace}/{name}" if namespace else f"/{name}"
