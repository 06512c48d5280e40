"""The demo in a cluster whose controllers look after Calico's own pods."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import CSRS, NAMESPACES, NODES, Api
from sandbox.calico.components import CALICO_SYSTEM
from tests.end_to_end.conftest import eventually
from tests.sandbox.control_plane.require import real_control_plane
from tests.sandbox.demo.running import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

_APPS = f"/apis/apps/v1/namespaces/{CALICO_SYSTEM}"
_NAMESPACE = f"{NAMESPACES}/{CALICO_SYSTEM}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_COLLECTIONS = (
    NAMESPACES,
    NODES,
    CSRS,
    f"{_RBAC}/clusterroles",
    f"{_RBAC}/clusterrolebindings",
    f"{_NAMESPACE}/pods",
    f"{_NAMESPACE}/serviceaccounts",
    f"{_NAMESPACE}/configmaps",
    f"{_APPS}/daemonsets",
    f"{_APPS}/deployments",
    f"{_APPS}/replicasets",
    f"{_APPS}/controllerrevisions",
)
_PODS = 2


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """A cluster with one node, on which the controllers have made the pods of calico-node and calico-typha."""
    with real_control_plane(tmp_path / "plane", controllers=True) as plane:
        with Api.from_kubeconfig(plane.kubeconfig) as api:
            api.post(NODES, {"metadata": {"name": "own", "labels": {"kubernetes.io/os": "linux"}}})
            api.post(NAMESPACES, {"metadata": {"name": CALICO_SYSTEM}})
            for account in ("calico-node", "calico-typha"):
                api.post(f"{_NAMESPACE}/serviceaccounts", {"metadata": {"name": account}})
            api.post(f"{_APPS}/daemonsets", _workload("calico-node"))
            api.post(f"{_APPS}/deployments", _workload("calico-typha"))
            eventually(lambda: len(api.get(f"{_NAMESPACE}/pods")["items"]) == _PODS)
        yield plane.kubeconfig


def test_controllers_and_the_demo_leave_each_other_alone(kubeconfig: Path, tmp_path: Path) -> None:
    """All certificates are issued, all attackers refused, and then the cluster has exactly the objects from before."""
    with Api.from_kubeconfig(kubeconfig) as api:
        before = _objects(api)
        done = run("--kubeconfig", str(kubeconfig), "--force", "--pods", "12", temporary=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"certificates issued +12 of 12\n", done.stdout)
        assert re.search(r"attackers refused +(\d+) of \1\n", done.stdout)
        # The controller manager deletes the demo's namespaces after the demo's end.
        eventually(lambda: _objects(api) == before, missing=f"exactly {sorted(before)}")


def _workload(name: str) -> dict[str, Any]:
    """Returns a workload with the operator's labels, tolerations and node selector."""
    labels = {"k8s-app": name}
    pod = {
        "serviceAccountName": name,
        "containers": [{"name": name, "image": "calico"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}}


def _objects(api: Api) -> set[tuple[str, str]]:
    """Returns the name and uid of each object."""
    found = (each["metadata"] for path in _COLLECTIONS for each in api.get(path)["items"])
    return {(each["name"], each["uid"]) for each in found}
