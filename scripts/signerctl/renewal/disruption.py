"""Whether an eviction keeps enough pods of the same owner available.

The API server compares an eviction with PodDisruptionBudgets only. A DaemonSet's maxUnavailable limits its rolling
update, and the eviction ignores it, so `signerctl renew` computes it. For other owners, all replicas must be Ready.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from csr_signer.objects.json_fields import OTHERS, Mask
from signerctl.renewal.pods import Pod

Json = Mapping[str, Any]

RESOURCES: Final = {"DaemonSet": "daemonsets", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}
"""The kinds of apps/v1 that `obstacle` must read."""
WORKLOAD: Final[dict[str, Mask]] = {
    "spec": {"replicas": None, "updateStrategy": {"type": None, "rollingUpdate": {OTHERS: None}}},
    "status": {OTHERS: None},
}
"""The fields of a workload that `obstacle` reads."""
_PERCENT: Final = re.compile(r"([0-9]+)%")


def max_unavailable(daemon_set: Json) -> int:
    """Returns the number of a DaemonSet's pods that may be unavailable, as its controller computes it.

    A percentage is of desiredNumberScheduled, and is rounded up. Without surge, 0 means 1. Source:
    pkg/controller/daemon/util/daemonset_util.go `UnavailableCount`, and pkg/controller/daemon/update.go
    `updatedDesiredNodeCounts`. With the strategy OnDelete, the operator replaces pods and the controller has no limit;
    this function returns 1.
    """
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return 1
    rolling = strategy.get("rollingUpdate") or {}
    desired = int(daemon_set["status"].get("desiredNumberScheduled", 0))
    unavailable = _scaled(rolling.get("maxUnavailable", 1), desired)
    return unavailable or (0 if _scaled(rolling.get("maxSurge", 0), desired) else 1)


def _scaled(value: object, total: int) -> int:
    """Returns `GetScaledValueFromIntOrPercent(value, total, roundUp=true)` of apimachinery's intstr package."""
    if isinstance(value, int):
        return value
    percent = _PERCENT.fullmatch(str(value))
    return -(-int(percent[1]) * total // 100) if percent else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a pod must not be evicted now.

    Attributes:
        why: A sentence.
        lacks_pods: Whether its owner lacks Ready pods, perhaps because new pods get no certificate.
    """

    why: str
    lacks_pods: bool = True


def obstacle(pod: Pod, pods: Iterable[Pod], workload: Json | None) -> Obstacle | None:
    """Returns why a pod must not be evicted now; None if it may be.

    A pod that is not Ready may always be evicted, because its eviction makes no pod unavailable. The DaemonSet
    controller replaces such pods at once too (update.go `rollingUpdate`).

    Args:
        pod: The pod.
        pods: All pods of its namespace.
        workload: Its owner; None if it is not one of RESOURCES.
    """
    if not pod.ready or pod.owner is None:
        return None
    name = f"{pod.owner.kind} {pod.namespace}/{pod.owner.name}"
    if workload is not None and pod.owner.is_daemon_set:
        return _of_daemon_set(name, workload)
    others = (each for each in pods if each.owner == pod.owner and each.uid != pod.uid and not each.ending)
    waiting = next((each.name for each in others if not each.ready), None)
    if waiting:
        return Obstacle(why=f"{name}: pod {waiting} is not Ready")
    # Counts replicas that the controller could not create, for example because of a quota.
    wanted = int((workload or {}).get("spec", {}).get("replicas", 0))
    ready = int((workload or {}).get("status", {}).get("readyReplicas", 0))
    return Obstacle(why=f"{name}: {ready} of {wanted} replicas are Ready") if ready < wanted else None


def _of_daemon_set(name: str, daemon_set: Json) -> Obstacle | None:
    most = max_unavailable(daemon_set)
    if most == 0:
        why = f"{name}: maxUnavailable is 0: renew its pods with `kubectl rollout restart`"
        return Obstacle(why=why, lacks_pods=False)
    unavailable = int(daemon_set["status"].get("numberUnavailable", 0))
    if unavailable < most:
        return None
    return Obstacle(why=f"{name}: {unavailable} pods are unavailable, and maxUnavailable is {most}")
