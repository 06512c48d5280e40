"""The core resources that a signer's world needs: namespaces, nodes, pods, service accounts, events."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from sandbox.kubernetes import schema, status
from sandbox.kubernetes.resource import Resource, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.api import Json
    from sandbox.kubernetes.authentication import User
    from sandbox.kubernetes.schema import Decoder
    from sandbox.kubernetes.status import Cause

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_FINISHED = frozenset({"Succeeded", "Failed"})
_GRACE_SECONDS = 30


_OBJECT = schema.map_of(schema.anything)


def _document(spec: Decoder = _OBJECT, state: Decoder = _OBJECT) -> Decoder:
    fields = {"metadata": schema.OBJECT_META, "spec": spec, "status": state}
    return schema.struct(fields, defaults={"metadata": {}}, extensible=True)


class NamespaceRules(Rules):
    """Namespaces are active until they are deleted; nobody ends a terminating one, as without a controller."""

    def check_name(self, name: str) -> str | None:
        """One DNS label."""
        return None if _LABEL.fullmatch(name) else "a lowercase RFC 1123 label must be given"

    def create(self, new: Json, user: User) -> Sequence[Cause]:  # noqa: ARG002 - who asks does not matter
        """Add what a namespace is born with."""
        labels = new["metadata"].get("labels", {})
        new["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": new["metadata"].get("name", "")}
        new["spec"] = {"finalizers": ["kubernetes"]}
        new["status"] = {"phase": "Active"}
        return ()

    def lingers(self, stored: Json) -> bool:  # noqa: ARG002 - always
        """Its contents would have to go first."""
        return True


class NodeRules(Rules):
    """Nodes have the status that they are created with, as a kubelet does."""


class PodRules(Rules):
    """Pods without scheduler and kubelet: pending, and on the node that their creator names."""

    def create(self, new: Json, user: User) -> Sequence[Cause]:  # noqa: ARG002 - who asks does not matter
        """Complete the service account and the state."""
        spec = new.setdefault("spec", {})
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec |= {"serviceAccountName": account, "serviceAccount": account}
        spec.setdefault("terminationGracePeriodSeconds", _GRACE_SECONDS)
        new["metadata"]["generation"] = 1
        new["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
        return () if spec.get("containers") else [status.required("spec.containers")]

    def update(self, subresource: str, old: Json, new: Json) -> Sequence[Cause]:
        """The spec is fixed; of addresses, ``podIP`` decides where it and ``podIPs`` differ."""
        if not subresource:
            changed = new.get("spec") != old["spec"]
            super().update(subresource, old, new)
            message = "pod updates may not change fields other than a few"
            return [status.forbidden_change("spec", message)] if changed else ()
        super().update(subresource, old, new)
        state = new.setdefault("status", {})
        addresses = [each.get("ip") for each in state.get("podIPs", [])]
        if "podIP" in state and addresses[:1] != [state["podIP"]]:
            state["podIPs"] = [{"ip": state["podIP"]}]
        elif addresses and "podIP" not in state:
            state["podIP"] = addresses[0]
        return ()

    def grace_seconds(self, stored: Json, asked: int | None) -> int:
        """A pod on a node stays for its kubelet to end it, unless it is finished or nobody is to wait."""
        if "nodeName" not in stored["spec"] or stored.get("status", {}).get("phase") in _FINISHED:
            return 0
        return int(stored["spec"]["terminationGracePeriodSeconds"]) if asked is None else max(0, asked)

    def lingers(self, stored: Json) -> bool:
        """Until its grace period is made 0, or a finalizer is there."""
        return stored["metadata"].get("deletionGracePeriodSeconds", 0) > 0 or super().lingers(stored)


class EventRules(Rules):
    """Events are in the namespace of what they are about."""

    def create(self, new: Json, user: User) -> Sequence[Cause]:  # noqa: ARG002 - who asks does not matter
        """Check the namespaces."""
        about = new.get("involvedObject", {}).get("namespace", "")
        namespace = new["metadata"]["namespace"]
        if namespace == (about or "default"):
            return ()
        return [status.invalid_value("involvedObject.namespace", status.quote(about), "does not match event.namespace")]


_POD_SPEC = schema.struct(
    {
        "serviceAccountName": schema.text,
        "serviceAccount": schema.text,
        "nodeName": schema.text,
        "containers": schema.list_of(schema.map_of(schema.anything)),
        "terminationGracePeriodSeconds": schema.int64,
    },
    extensible=True,
)
_ADDRESS = schema.struct({"ip": schema.text})
_POD_STATUS = schema.struct(
    {"phase": schema.text, "podIP": schema.text, "podIPs": schema.list_of(_ADDRESS)}, extensible=True
)
_REFERENCE = schema.struct({"kind": schema.text, "namespace": schema.text, "name": schema.text}, extensible=True)
_EVENT = schema.struct(
    {"metadata": schema.OBJECT_META, "involvedObject": _REFERENCE},
    defaults={"metadata": {}, "involvedObject": {}},
    extensible=True,
)

NAMESPACES = Resource(
    plural="namespaces", kind="Namespace", document=_document(), rules=NamespaceRules(), answers_object=True
)
NODES = Resource(plural="nodes", kind="Node", subresources=("status",), document=_document(), rules=NodeRules())
PODS = Resource(
    plural="pods",
    kind="Pod",
    namespaced=True,
    subresources=("status",),
    document=_document(_POD_SPEC, _POD_STATUS),
    rules=PodRules(),
    selectable={
        "spec.nodeName": lambda pod: str(pod["spec"].get("nodeName", "")),
        "spec.serviceAccountName": lambda pod: str(pod["spec"]["serviceAccountName"]),
    },
    answers_object=True,
)
SERVICE_ACCOUNTS = Resource(
    plural="serviceaccounts",
    kind="ServiceAccount",
    namespaced=True,
    subresources=("token",),
    document=_document(),
    answers_object=True,
)
EVENTS = Resource(
    plural="events",
    kind="Event",
    namespaced=True,
    document=_EVENT,
    rules=EventRules(),
    selectable={
        "involvedObject.name": lambda event: str(event["involvedObject"].get("name", "")),
        "involvedObject.uid": lambda event: str(event["involvedObject"].get("uid", "")),
    },
)
RESOURCES = (NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, EVENTS)


def deletion_time(grace_seconds: int) -> str:
    """The deletionTimestamp of an object that is deleted now."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=grace_seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
