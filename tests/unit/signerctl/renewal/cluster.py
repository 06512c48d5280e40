"""A cluster behind the API server's protocol, and a clock that moves only when `signerctl renew` sleeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.api import CSRS
from signerctl.api_server import ApiServer, connect
from signerctl.renewal.eviction import Renewal
from signerctl.renewal.pods import Pod

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.signerctl.answers import Answers, Prepared

Json = dict[str, Any]

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SIGNER = "example.com/calico"
NAMESPACE = "calico-system"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DAEMON_SET = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/calico-node"
TIMEOUT = timedelta(minutes=10)
COMPLETE = {"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}
ACCEPTED = (201, {"kind": "Status", "status": "Success"})


def owner(kind: str = "DaemonSet", name: str = "calico-node", *, controller: bool = True) -> Json:
    """An ownerReference."""
    return {"kind": kind, "name": name, "uid": f"{kind}-{name}", "controller": controller}


def pod_object(
    name: str = "calico-node-1", *, age: timedelta = timedelta(0), ready: bool = True, **changes: Any
) -> Json:
    """A pod of calico-node as JSON; the changes are paths, with `__` for a dot."""
    item: Json = {
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": (NOW - age).isoformat(),
            "ownerReferences": [owner()],
        },
        "spec": {"serviceAccountName": "calico-node", "nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }
    for path, value in changes.items():
        part, _, key = path.partition("__")
        item[part][key] = value
    return item


def csr_of(name: str, **status: Any) -> Json:
    """A CSR that a pod filed."""
    return {"spec": {"extra": {"authentication.kubernetes.io/pod-uid": [f"uid-{name}"]}}, "status": status}


class Cluster:
    """Pods, their DaemonSet and their CSRs.

    An accepted eviction takes its course in virtual seconds: the pod ends after 1, its replacement NAME-new exists
    after 2, is Ready after 3, and has its certificate after 4.

    Attributes:
        now: The virtual time in seconds.
        pods: The pods by name.
        csrs: All CSRs.
        daemon_set: The DaemonSet; None if it does not exist.
        workloads: The ReplicaSets and StatefulSets that lack replicas, by kind and name.
        hostile: A CSR that lists have in addition, as JSON.
        lists: Answers the request for the pods.
        evicts: Answers an eviction; status 201 means that the cluster evicts.
        protected: The answers that refuse the evictions of some pods, by name.
        evictions: The times and bodies of the requests for an eviction.
        replacement: What differs in the new pod's JSON.
        never: The stage of the course that does not come: `ended`, `created`, `ready`, `certified`.
        said: The events that renewal told.
    """

    def __init__(self, answers: Answers, folder: Path) -> None:
        self.now = 0.0
        self.pods: dict[str, Json] = {}
        self.csrs: list[Json] = []
        self.daemon_set: Json | None = {"spec": {}, "status": {"desiredNumberScheduled": 3}}
        self.workloads: dict[tuple[str, str], Json] = {}
        self.hostile = b""
        self.lists: Callable[[], tuple[int, object]] = lambda: (200, {"items": list(self.pods.values())})
        self.evicts: Callable[[], tuple[int, object]] = lambda: ACCEPTED
        self.protected: dict[str, tuple[int, object]] = {}
        self.evictions: list[tuple[float, Json]] = []
        self.replacement: Json = {}
        self.never = ""
        self.said: list[str] = []
        self.kubeconfig = answers.kubeconfig(folder)
        self._plan: list[tuple[float, Callable[[], object]]] = []
        self._prepared = answers.prepared
        prepared: dict[str, Prepared] = {
            f"GET {PODS}": lambda _: self.lists(),
            f"GET {DAEMON_SET}": lambda _: (404, {}) if self.daemon_set is None else (200, self.daemon_set),
            f"GET {CSRS}": lambda _: (200, self._csr_list()),
        }
        self._prepared |= prepared

    def add(self, name: str = "calico-node-1", **changes: Any) -> Pod:
        """Adds a pod; returns it as renewal reads it."""
        item = pod_object(name, **changes)
        self.pods[name] = item
        self._prepared[f"POST {PODS}/{name}/eviction"] = lambda body: self._evict(name, body)
        self._add_workloads(item["metadata"]["ownerReferences"])
        return Pod.from_api(item)

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Plans what happens so many seconds from now."""
        self._plan.append((self.now + seconds, action))

    def sleep(self, seconds: float) -> None:
        """Lets the time pass."""
        end = self.now + seconds
        while due := [each for each in self._plan if each[0] <= end]:
            first = min(due, key=lambda each: each[0])
            self._plan.remove(first)
            self.now = first[0]
            first[1]()
        self.now = end

    def renewal(self) -> Renewal:
        """Returns what replaces pods of this cluster."""
        return Renewal(
            api=self.api(),
            signer_names=[SIGNER],
            timeout=TIMEOUT,
            say=lambda event, _message, _facts: self.said.append(event),
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def api(self) -> ApiServer:
        """Returns a client."""
        return connect(self.kubeconfig)

    def until(self, seconds: float, answer: tuple[int, object]) -> Callable[[], tuple[int, object]]:
        """Returns what answers an eviction for a while with a fault, and then accepts it."""
        return lambda: answer if self.now < seconds else ACCEPTED

    def evict(self, name: str) -> None:
        """Evicts a pod: its course begins."""
        self.pods[name]["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"
        new = f"{name}-new"
        self._stage("ended", 1, lambda: self.pods.pop(name))
        self._stage("created", 2, lambda: self.add(new, **{"ready": False} | self.replacement))
        self._stage("ready", 3, lambda: self.add(new, **self.replacement))
        self._stage("certified", 4, lambda: self.csrs.append(csr_of(new, certificate="LS0t")))

    def _stage(self, name: str, seconds: float, action: Callable[[], object]) -> None:
        """Plans a stage, unless it or an earlier one never comes."""
        stages = ("ended", "created", "ready", "certified")
        if not self.never or stages.index(name) < stages.index(self.never):
            self.after(seconds, action)

    def _csr_list(self) -> bytes:
        items = [*([self.hostile] if self.hostile else []), *(json.dumps(csr).encode() for csr in self.csrs)]
        return b'{"items": [%b]}' % b", ".join(items)

    def _add_workloads(self, owners: list[Json]) -> None:
        for each in owners:
            kind, name = each["kind"], each["name"]
            if resource := {"ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}.get(kind):
                path = f"GET /apis/apps/v1/namespaces/{NAMESPACE}/{resource}/{name}"
                self._prepared[path] = partial(self._workload, (kind, name))

    def _workload(self, key: tuple[str, str], _: Json) -> tuple[int, object]:
        return 200, self.workloads.get(key, COMPLETE)

    def _evict(self, name: str, body: Json) -> tuple[int, object]:
        self.evictions.append((self.now, body))
        answer = self.protected.get(name) or self.evicts()
        if answer == ACCEPTED:
            self.evict(name)
        return answer
