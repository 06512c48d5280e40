"""What renewal reads of the API server's objects: pods, and the CSRs that pods filed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from csr_signer.objects.json_fields import Mask
from signerctl import objects

Json = Mapping[str, Any]

POD: Final[dict[str, Mask]] = {
    "metadata": {
        **dict.fromkeys(("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")),
        "ownerReferences": [dict.fromkeys(("controller", "kind", "name", "uid"))],
    },
    "spec": {
        **dict.fromkeys(("serviceAccountName", "nodeName")),
        "os": {"name": None},
        "nodeSelector": {"kubernetes.io/os": None},
    },
    "status": {"phase": None, "conditions": [dict.fromkeys(("type", "status"))]},
}
"""The fields of a pod that this module reads. Other pods can fill the rest of the status with megabytes."""

_POD_UID: Final = "authentication.kubernetes.io/pod-uid"
"""The API server sets it from the pod-bound token of the requester, so a requester cannot choose it."""
_UNREPLACED: Final = ("Node", "Job")
"""A static pod, which eviction does not restart; and a pod that ends by itself."""
_RUNNING: Final = ("Pending", "Running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The controller that replaces a pod."""

    kind: str
    name: str
    uid: str

    @property
    def is_daemon_set(self) -> bool:
        """Whether it is a DaemonSet, whose replacement runs on the same node."""
        return self.kind == "DaemonSet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        uid: Its uid.
        account: Its service account, NAMESPACE/NAME.
        owner: Its controller; None if no controller replaces the pod after an eviction.
        node: Its node; empty before the scheduler chose one.
        created: When the API server created it. Its certificate is not older. `status.startTime` would be closer, but
            every writer of `pods/status` can change that, as Calico's service accounts can.
        ready: Whether the condition Ready is true.
        ending: Whether it is being deleted, or has ended.
        on_windows: Whether it runs on Windows, for which Calico has no client.
    """

    namespace: str
    name: str
    uid: str
    account: str
    owner: Owner | None
    node: str
    created: datetime
    ready: bool
    ending: bool
    on_windows: bool

    @property
    def path(self) -> str:
        """Returns NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    @property
    def is_replaceable(self) -> bool:
        """Whether a controller replaces the pod after an eviction."""
        return self.owner is not None and not self.ending

    @classmethod
    def from_api(cls, item: Json) -> "Pod":
        """Returns a pod of the API server's JSON."""
        metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            account=f"{metadata['namespace']}/{spec.get('serviceAccountName', 'default')}",
            owner=_owner(metadata.get("ownerReferences") or ()),
            node=spec.get("nodeName", ""),
            created=datetime.fromisoformat(metadata["creationTimestamp"]),
            ready=any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ()),
            ending="deletionTimestamp" in metadata or status.get("phase", "Pending") not in _RUNNING,
            on_windows=(spec.get("os") or {}).get("name") == "windows"
            or (spec.get("nodeSelector") or {}).get("kubernetes.io/os") == "windows",
        )


def _owner(references: Iterable[Json]) -> Owner | None:
    for each in references:
        if each.get("controller") and each["kind"] not in _UNREPLACED:
            return Owner(kind=each["kind"], name=each["name"], uid=each["uid"])
    return None


def has_certificate(pod: Pod, csrs: Iterable[Json]) -> bool:
    """Tells whether a pod's CSRs have certificates: one or more, and no CSR still waits.

    Args:
        pod: The pod.
        csrs: The signers' CSRs. Kubernetes keeps an issued CSR for an hour.
    """
    filed = [csr for csr in csrs if pod.uid in ((csr["spec"].get("extra") or {}).get(_POD_UID) or ())]
    return any(map(objects.has_certificate, filed)) and all(map(objects.is_final, filed))
