"""The kubelets and the scheduler of a real control plane with controllers: pods get a node, run, become Ready and end.

No container runs. Whether a pod becomes Ready is the caller's decision, for instance because it obtained a certificate.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import urllib3

from sandbox.api import NAMESPACES, NODES, Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = dict[str, Any]
Starts = Callable[[Json], bool]

_PODS = "/api/v1/pods"
_GONE = {404, 409}
_TRANSIENT = (urllib3.exceptions.HTTPError, ApiError)
_PAUSE_SECONDS = 0.1
_SECONDS = 30
_ADDRESS = "10.244.0.{}"


class Kubelet:
    """A scheduler and the kubelets of all nodes.

    One thread binds and deletes pods in the order of the watch's events. Each pod starts in a thread of its own.

    Args:
        api: An administrator's client.
        starts: Returns whether a pod becomes Ready. It is called once for each bound pod, concurrently. The result is
            ignored if the pod was deleted meanwhile.
    """

    def __init__(self, api: Api, *, starts: Starts = lambda _: True) -> None:
        self.starts = starts
        self._api = api
        self._turns = itertools.count()
        self._started: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def add_nodes(self, names: Sequence[str]) -> None:
        """Creates nodes, which are Ready at once."""
        for name in names:
            self._api.post(NODES, {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}})
            status = {"conditions": [_condition("Ready")], "allocatable": {"pods": "110"}}
            self._api.patch(f"{NODES}/{name}/status", {"status": status})
            # Admission adds this taint to each new node, and the controller that removes it does not run.
            self._api.patch(f"{NODES}/{name}", {"spec": {"taints": None}})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            # The API server ends each watch after a second, so that `__exit__` waits no longer.
            with contextlib.suppress(*_TRANSIENT), self._api.watch(_PODS, timeoutSeconds=1) as events:
                for event in events:
                    if event["type"] in {"ADDED", "MODIFIED"}:
                        with contextlib.suppress(_GoneError):
                            self._handle(event["object"])

    def _handle(self, pod: Json) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            self._end(pod)
        elif not pod["spec"].get("nodeName"):
            self._bind(pod)
        elif pod["metadata"]["uid"] not in self._started:
            self._started.add(pod["metadata"]["uid"])
            threading.Thread(target=self._start, args=(pod,), name="pod", daemon=True).start()

    def _bind(self, pod: Json) -> None:
        """Gives a pod its node; without a node for it, the pod waits for the next watch."""
        metadata, node = {"name": pod["metadata"]["name"]}, _node_of_daemon(pod) or self._next_node()
        if node:
            body = {"metadata": metadata, "target": {"apiVersion": "v1", "kind": "Node", "name": node}}
            _unless_gone(lambda: self._api.post(f"{_path(pod)}/binding", body))

    def _next_node(self) -> str:
        """Returns the nodes in turn, without those that `kubectl drain` has cordoned; empty if there is none."""
        nodes = [each for each in self._api.get(NODES)["items"] if not each["spec"].get("unschedulable")]
        return str(nodes[next(self._turns) % len(nodes)]["metadata"]["name"]) if nodes else ""

    def _start(self, pod: Json) -> None:
        with contextlib.suppress(_GoneError), self._again_if_interrupted(pod):
            address = _ADDRESS.format(len(self._started) % 250 + 1)
            addresses = {"podIP": address, "podIPs": [{"ip": address}]}
            begun = self._report(pod, {"phase": "Pending", "startTime": _now(), **addresses}, holds=False)
            ready = self.starts(begun)
            self._report(pod, {"phase": "Running" if ready else "Pending"}, holds=ready)

    @contextlib.contextmanager
    def _again_if_interrupted(self, pod: Json) -> Iterator[None]:
        """After an error of the API server or the network, the next watch starts the pod again."""
        try:
            yield
        except _TRANSIENT:
            self._started.discard(pod["metadata"]["uid"])

    def _report(self, pod: Json, status: Json, *, holds: bool) -> Json:
        conditions = [_condition(kind, holds=holds) for kind in ("Initialized", "ContainersReady", "Ready")]
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {**status, "conditions": conditions}}
        return _unless_gone(lambda: self._api.patch(f"{_path(pod)}/status", body, "strategic-merge"))

    def _end(self, pod: Json) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        _unless_gone(lambda: self._api.delete(_path(pod), options))


class _GoneError(Exception):
    """The pod is gone, or its name belongs to another pod."""


def _unless_gone(call: Callable[[], Json]) -> Json:
    try:
        return call()
    except ApiError as error:
        if error.status in _GONE:
            raise _GoneError from error
        raise


def _node_of_daemon(pod: Json) -> str:
    """Returns the node that the DaemonSet controller chose; empty for other pods."""
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    names = [field["values"][0] for term in terms for field in term.get("matchFields", [])]
    return names[0] if names else ""


def _path(pod: Json) -> str:
    return f"{NAMESPACES}/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _condition(kind: str, *, holds: bool = True) -> Json:
    return {"type": kind, "status": "True" if holds else "False", "lastTransitionTime": _now()}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
