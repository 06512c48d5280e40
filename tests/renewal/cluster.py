"""A real control plane with controllers, Calico's workloads on it, and the real function that certifies their pods."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.api import CSRS, NAMESPACES
from sandbox.calico.components import CALICO_SYSTEM, components
from sandbox.calico.fleet import managements
from sandbox.calico.operator import workload
from sandbox.calico.render import component_parts
from tests.end_to_end.conftest import KEYS, eventually
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from click.testing import Result

    from sandbox.calico.volumes import Volumes
    from sandbox.deployment import Deployment
    from sandbox.kubelet import Kubelet

Json = dict[str, Any]

NODES = 28
TYPHAS = 2
PODS = NODES + TYPHAS
APPS = f"/apis/apps/v1/namespaces/{CALICO_SYSTEM}"
PODS_PATH = f"{NAMESPACES}/{CALICO_SYSTEM}/pods"
BUDGETS = f"/apis/policy/v1/namespaces/{CALICO_SYSTEM}/poddisruptionbudgets"
DAEMON_SET, DEPLOYMENT = f"{APPS}/daemonsets/calico-node", f"{APPS}/deployments/calico-typha"
LEFT = timedelta(days=65)
LIFETIME = "365d"


class Cluster:
    """Calico's workloads: 28 pods of a DaemonSet, and 2 of a Deployment."""

    def __init__(
        self, deployment: Deployment, kubelet: Kubelet, volumes: Volumes, kubeconfig: Path, directory: Path
    ) -> None:
        self.api = deployment.api
        self.kubelet = kubelet
        self._volumes = volumes
        self._deployment = deployment
        self._kubeconfig = kubeconfig
        self._directory = directory
        self._aged = directory / "aged.json"

    def create(self) -> None:
        """Creates the workloads, and waits until all pods are Ready."""
        self.kubelet.add_nodes([f"node-{number:02}" for number in range(NODES)])
        (management,) = managements(self._deployment.signer.signer_name, algorithms=KEYS)
        for component in components("3.31"):
            name, parts = component.workload, component_parts(component, management)
            if name == "calico-node":
                self.api.post(f"{APPS}/daemonsets", workload(name, parts, {}))
            elif name == "calico-typha":
                self.api.post(f"{APPS}/deployments", workload(name, parts, {"replicas": TYPHAS}))
        self.wait_until_whole()

    def pods(self) -> list[Json]:
        """All pods of Calico's namespace."""
        found: list[Json] = self.api.get(PODS_PATH)["items"]
        return found

    def uids(self) -> set[str]:
        """Their uids."""
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def wait_until_whole(self) -> None:
        """Waits until 30 pods are Ready and the controllers have seen it."""
        eventually(lambda: sum(map(is_available, self.pods())) == PODS and self._controllers_agree())

    def age(self) -> None:
        """Makes the certificates of all pods old, by their records: the API server chooses a pod's creation."""
        end = f"{datetime.now(UTC) + LEFT:%Y-%m-%d}"
        lines = (self._record(uid, end) for uid in self.uids())
        self._aged.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def restore(self) -> None:
        """Replaces pods that are not Ready or have no certificate, and resets the kubelet."""
        self.kubelet.starts = self._volumes.fill
        certified = self.certified_uids()
        for pod in self.pods():
            if not is_available(pod) or pod["metadata"]["uid"] not in certified:
                self.api.delete(f"{PODS_PATH}/{pod['metadata']['name']}")
        self.wait_until_whole()

    def unavailable(self) -> int:
        """The number of the DaemonSet's pods that its controller calls unavailable."""
        return int(self.api.get(DAEMON_SET)["status"].get("numberUnavailable", 0))

    def records(self, ends: Mapping[str, str]) -> Path:
        """Writes a record for each pod: a certificate of a year, with its end; other pods get one that ends late."""
        path = self._directory / "records.json"
        late = dict.fromkeys(self.uids(), "2099-01-01")
        lines = (self._record(uid, end) for uid, end in (late | dict(ends)).items())
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return path

    def _record(self, uid: str, end: str) -> Json:
        texts = ("csr_name", "csr_uid", "requester", "cluster", "component", "common_name", "public_key")
        return {
            **dict.fromkeys((*texts, "serial_number"), "any"),
            "event": "issued",
            "severity": "NOTICE",
            "time": "2026-01-01T00:00:00+00:00",
            "signer_name": self._deployment.signer.signer_name,
            "pod": "any/any",
            "pod_uid": uid,
            "tbs_sha256": uid,
            "not_before": f"{int(end[:4]) - 1}{end[4:]}T00:00:00+00:00",
            "not_after": f"{end}T00:00:00+00:00",
        }

    def uids_of(self, workload: str) -> set[str]:
        """The uids of a workload's pods."""
        return {pod["metadata"]["uid"] for pod in self.pods() if pod["metadata"]["labels"]["k8s-app"] == workload}

    @contextlib.contextmanager
    def budget(self, *, max_unavailable: int) -> Iterator[None]:
        """A PodDisruptionBudget of the Deployment, which the controller has seen."""
        selector = {"matchLabels": {"k8s-app": "calico-typha"}}
        body = {"metadata": {"name": "calico-typha"}, "spec": {"maxUnavailable": max_unavailable, "selector": selector}}
        path = f"{BUDGETS}/calico-typha"
        self.api.post(BUDGETS, body)
        eventually(lambda: self.api.get(path).get("status", {}).get("expectedPods") == TYPHAS)
        try:
            yield
        finally:
            self.api.delete(path)

    def arguments(self, *more: str) -> list[str]:
        """The arguments of `signerctl`, for a renewal with the rights of the CronJob."""
        accounts = f"{CALICO_SYSTEM}/calico-node,{CALICO_SYSTEM}/calico-typha"
        requesters = ("--requesters", self._deployment.signer.signer_name, LIFETIME, accounts)
        aged = ("--records", str(self._aged))
        return ["renew", "--kubeconfig", str(self._kubeconfig), *requesters, *aged, *more]

    def renew(self, *more: str) -> Result:
        """Runs `signerctl renew` to its end."""
        return signerctl(*self.arguments(*more))

    def renew_and_interrupt(self, after: int) -> tuple[int, list[Json]]:
        """Runs `signerctl renew`, presses Ctrl-C after some renewed pods, and returns exit code and log lines."""
        lines, renewed = [], 0
        command = [sys.executable, "-m", "signerctl", *self.arguments("--log-format", "json")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            for line in running.stdout:
                lines.append(json.loads(line))
                renewed += lines[-1]["event"] == "pod_renewed"
                if renewed == after:
                    running.send_signal(signal.SIGINT)
                    renewed += 1  # once
        return running.returncode, lines

    def history(self, since: str) -> Iterator[Json]:
        """The events of the pods from a resource version to now."""
        now = max(int(pod["metadata"]["resourceVersion"]) for pod in self.pods())
        with self.api.watch(PODS_PATH, resourceVersion=since) as events:
            for event in events:
                yield event
                if int(event["object"]["metadata"]["resourceVersion"]) >= now:
                    return

    def version(self) -> str:
        """The resource version of the list of pods."""
        return str(self.api.get(PODS_PATH)["metadata"]["resourceVersion"])

    def certified_uids(self) -> set[str]:
        """The uids of the pods whose CSRs have certificates."""
        csrs = self.api.get(CSRS)["items"]
        key = "authentication.kubernetes.io/pod-uid"
        return {uid for csr in csrs if csr["status"].get("certificate") for uid in csr["spec"]["extra"].get(key, ())}

    def _controllers_agree(self) -> bool:
        daemon_set, deployment = self.api.get(DAEMON_SET)["status"], self.api.get(DEPLOYMENT)["status"]
        return bool(daemon_set.get("numberAvailable") == NODES and deployment.get("availableReplicas") == TYPHAS)


def is_available(pod: Json) -> bool:
    """Whether a pod is Ready and not being deleted."""
    conditions = pod["status"].get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def least_available(cluster: Cluster, before: list[Json], since: str) -> int:
    """The lowest number of available pods in the history since a moment with these pods."""
    available = {pod["metadata"]["uid"] for pod in before if is_available(pod)}
    least = len(available)
    for event in cluster.history(since):
        pod = event["object"]
        if event["type"] != "DELETED" and is_available(pod):
            available.add(pod["metadata"]["uid"])
        else:
            available.discard(pod["metadata"]["uid"])
        least = min(least, len(available))
    return least
