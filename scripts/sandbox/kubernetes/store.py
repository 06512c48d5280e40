"""Versioned objects with their history: what etcd and the watch cache are to the API server.

One thread only (the server's event loop) touches a store, so it has no lock.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.kubernetes import status
from sandbox.kubernetes.managed_fields import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox.api import Json
    from sandbox.kubernetes.resource import Resource

# Changes that a collection remembers; older ones count as compacted.
_HISTORY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stored version of an object; nobody changes `object`.

    Attributes:
        encoded: the object as JSON, without kind and apiVersion.
    """

    key: str
    version: int
    object: Json
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a collection: created (nothing before), modified, or deleted (nothing after).

    Attributes:
        last: for a deletion, the last state with the deletion's version.
    """

    version: int
    before: Entry | None
    after: Entry | None
    last: Entry | None = None


@dataclass(slots=True, kw_only=True)
class Collection:
    """All objects of one resource.

    Attributes:
        entries: the present state by key.
        history: what led to it, oldest first, since `compacted`.
        compacted: the version before which nothing is known.
        listeners: told of every change, at once.
    """

    resource: Resource
    entries: dict[str, Entry] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    compacted: int = 0
    listeners: set[Callable[[Change], None]] = field(default_factory=set)

    def at(self, version: int) -> dict[str, Entry] | None:
        """The state as of a version; None where that is forgotten."""
        if version < self.compacted:
            return None
        state = dict(self.entries)
        for change in reversed(self.history):
            if change.version <= version:
                break
            if change.before is not None:
                state[change.before.key] = change.before
            elif change.after is not None:
                del state[change.after.key]
        return state

    def since(self, version: int) -> list[Change] | None:
        """The changes after a version; None where they are forgotten."""
        if version < self.compacted:
            return None
        return [change for change in self.history if change.version > version]

    def record(self, change: Change) -> None:
        """Remember a change and tell everyone who listens."""
        self.history.append(change)
        if len(self.history) > _HISTORY:
            self.compacted = self.history.popleft().version
        for listener in tuple(self.listeners):
            listener(change)


class Store:
    """The objects of all resources under one version counter."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.version = 1
        self._collections = {resource.plural: Collection(resource=resource) for resource in resources}

    def collection(self, resource: Resource) -> Collection:
        """The objects of a resource."""
        return self._collections[resource.plural]

    def find(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """One object, or None."""
        return self.collection(resource).entries.get(key_of(namespace, name))

    def put(self, resource: Resource, new: Json) -> Entry:
        """Create or replace an object; its metadata gets the next version."""
        collection = self.collection(resource)
        key = key_of(new["metadata"].get("namespace", ""), new["metadata"]["name"])
        entry = _entry(key, new, self.version + 1)
        _check_size(entry)
        self.version += 1
        before = collection.entries.get(key)
        collection.entries[key] = entry
        collection.record(Change(version=entry.version, before=before, after=entry))
        return entry

    def remove(self, resource: Resource, key: str, last_state: Json) -> Entry:
        """Delete an object; returns its last state, with the version of the deletion."""
        collection = self.collection(resource)
        before = collection.entries.pop(key)
        self.version += 1
        last = _entry(key, last_state, self.version)
        collection.record(Change(version=self.version, before=before, after=None, last=last))
        return last

    def compact(self) -> None:
        """Forget everything but the present state."""
        for collection in self._collections.values():
            collection.history.clear()
            collection.compacted = self.version


def key_of(namespace: str, name: str) -> str:
    """Where an object is stored; lists come in the order of its bytes."""
    return f"/{namespace}/{name}" if namespace else f"/{name}"


def _entry(key: str, new: Json, version: int) -> Entry:
    stored = {**new, "metadata": {**new["metadata"], "resourceVersion": str(version)}}
    return Entry(key=key, version=version, object=stored, encoded=encode(stored))


_HOLE = secrets.token_hex()  # nobody can write it
# Go's encoding/json does so, for the sake of HTML: six bytes in place of one.
_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def encode(value: object) -> bytes:
    """JSON without blanks, escaped as the API server does."""
    verbatim: list[str] = []

    def leave_hole(part: object) -> str:
        if not isinstance(part, Verbatim):
            raise TypeError(f"{type(part).__name__} is no JSON")
        verbatim.append(part.text)
        return _HOLE

    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=leave_hole)
    for part in verbatim:
        text = text.replace(f'"{_HOLE}"', part, 1)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text.encode()


# As measured on kube-apiserver 1.37.2: what it sends to etcd may have 2 MiB, where base64 is plain bytes.
_STORED_BYTES = 2 << 20


def _check_size(entry: Entry) -> None:
    spec, state = entry.object.get("spec") or {}, entry.object.get("status") or {}
    base64_characters = len(spec.get("request") or "") + len(state.get("certificate") or "")
    escaped = sum(entry.encoded.count(escape.encode()) for escape in _ESCAPES.values())
    size = len(entry.encoded) - base64_characters // 4 - 5 * escaped
    if size > _STORED_BYTES:
        message = f"trying to send message larger than max ({size} vs. {_STORED_BYTES})"
        raise status.internal(f"rpc error: code = ResourceExhausted desc = {message}")
