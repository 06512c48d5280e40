"""What the double knows of a resource: its names, its document, and the rules of its kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.kubernetes import status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.api import Json
    from sandbox.kubernetes.authentication import User
    from sandbox.kubernetes.schema import Decoder
    from sandbox.kubernetes.status import Cause

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_BYTES = 253


class Rules:
    """What a kind adds to the rules of all kinds; every method may change `new`, which nobody else holds yet."""

    def check_name(self, name: str) -> str | None:
        """Say what is wrong with a name: by default it must be a DNS subdomain."""
        if is_subdomain(name):
            return None
        return (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )

    def create(self, new: Json, user: User) -> Sequence[Cause]:  # noqa: ARG002 - for the kinds that need them
        """Complete and check an object before it is stored for the first time."""
        return ()

    def update(self, subresource: str, old: Json, new: Json) -> Sequence[Cause]:
        """Put back what this endpoint must not change, then check the rest.

        By default the main resource keeps the status, and every subresource the spec.
        """
        kept = "spec" if subresource else "status"
        new.pop(kept, None)
        if kept in old:
            new[kept] = old[kept]
        return ()

    def grace_seconds(self, stored: Json, asked: int | None) -> int:  # noqa: ARG002 - for pods
        """How long a deleted object stays: by default not at all."""
        return 0

    def lingers(self, stored: Json) -> bool:
        """Whether a deleted object stays until somebody lets it go."""
        return bool(stored["metadata"].get("finalizers"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of one API group.

    Attributes:
        group: empty for the core group.
        selectable: what field selectors may name, with how to read it; ``metadata.name`` is always there.
        answers_object: DELETE answers the object and not a Status.
    """

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    namespaced: bool = False
    subresources: tuple[str, ...] = ()
    document: Decoder
    rules: Rules = field(default_factory=Rules)
    selectable: Mapping[str, Callable[[Json], str]] = field(default_factory=dict)
    answers_object: bool = False

    @property
    def api_version(self) -> str:
        """The group and version as objects carry them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The plural with its group, as messages carry it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """The kind with its group, as messages carry it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


def path_segment_violation(name: str) -> str | None:
    """Say why a name cannot be one segment of a path, the least that every kind asks of names."""
    if name in {".", ".."}:
        return f"may not be '{name}'"
    for character in "/%":
        if character in name:
            return f"may not contain '{character}'"
    return None


def check_metadata(resource: Resource, metadata: Json) -> list[Cause]:
    """Check the part of an object that is the same for all kinds."""
    causes: list[Cause] = []
    name = metadata.get("name", "")
    if not name:
        causes.append(status.required("metadata.name", "name or generateName is required"))
    elif violation := resource.rules.check_name(name):
        causes.append(status.invalid_value("metadata.name", status.quote(name), violation))
    return causes


def is_subdomain(name: str) -> bool:
    """Whether a name is a lower-case DNS subdomain of at most 253 bytes."""
    return len(name) <= _SUBDOMAIN_BYTES and _SUBDOMAIN.fullmatch(name) is not None
