"""The resources of the core group that a signer's cluster needs, and what all resources have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.api import Json
    from sandbox.kubernetes.authentication import User
    from sandbox.kubernetes.status import Cause

_GRACE_SECONDS = 30


def keep_other_part(subresource: str, old: Json, new: Json) -> Sequence[Cause]:
    """Puts back the status in a write to the object, and the spec in a write to a subresource."""
    kept = "spec" if subresource else "status"
    new.pop(kept, None)
    if kept in old:
        new[kept] = old[kept]
    return ()


def accept(new: Json, user: User) -> None:
    """Leaves a new object as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of one API group.

    Attributes:
        group: empty for the core group.
        selectable: what a field selector may name besides `metadata.name`, and how to read it.
        blank: the fields that an object without content has besides its metadata.
        complete: fills in what the API server decides about a new object.
        update: puts back what an endpoint must not change, and returns the rules that the rest breaks.
        grace_seconds: how long a deleted object stays, by the object and the wish of the client that deletes it.
    """

    group: str = ""
    plural: str
    kind: str
    namespaced: bool = False
    subresources: frozenset[str] = frozenset()
    selectable: Mapping[str, Callable[[Json], str]] = field(default_factory=dict)
    blank: Mapping[str, object] = field(default_factory=dict)
    complete: Callable[[Json, User], None] = accept
    update: Callable[[str, Json, Json], Sequence[Cause]] = keep_other_part
    grace_seconds: Callable[[Json, int | None], int] = lambda _stored, _wished: 0

    @property
    def api_version(self) -> str:
        """Returns the group and version as objects carry them."""
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def qualified(self) -> str:
        """Returns the plural with its group, as messages carry it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _complete_pod(new: Json, user: User) -> None:  # noqa: ARG001 - one signature for all resources
    """Makes a new pod pending, without an address."""
    new["spec"].setdefault("serviceAccountName", "default")
    new["status"] = {"phase": "Pending"}


def _pod_grace_seconds(stored: Json, wished: int | None) -> int:
    """Lets a pod on a node terminate, for ever as there is no kubelet, unless the client wishes no grace period."""
    if "nodeName" not in stored["spec"]:
        return 0
    return int(stored["spec"].get("terminationGracePeriodSeconds", _GRACE_SECONDS)) if wished is None else wished


def _involved(field: str) -> Callable[[Json], str]:
    return lambda event: str(event["involvedObject"].get(field, ""))


NAMESPACES = Resource(plural="namespaces", kind="Namespace")
NODES = Resource(plural="nodes", kind="Node", subresources=frozenset({"status"}))
PODS = Resource(
    plural="pods",
    kind="Pod",
    namespaced=True,
    subresources=frozenset({"status"}),
    selectable={"spec.serviceAccountName": lambda pod: str(pod["spec"]["serviceAccountName"])},
    complete=_complete_pod,
    grace_seconds=_pod_grace_seconds,
)
SERVICE_ACCOUNTS = Resource(
    plural="serviceaccounts", kind="ServiceAccount", namespaced=True, subresources=frozenset({"token"})
)
EVENTS = Resource(
    plural="events",
    kind="Event",
    namespaced=True,
    selectable={f"involvedObject.{field}": _involved(field) for field in ("kind", "name", "uid")},
)
SECRETS = Resource(plural="secrets", kind="Secret", namespaced=True)
CORE = (NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, SECRETS, EVENTS)
