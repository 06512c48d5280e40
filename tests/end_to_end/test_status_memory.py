"""Memory of the CronJobs on a real API server, while a pod's token fills the pods' statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import NAMESPACES, Api
from tests.sandbox.control_plane.require import real_control_plane
from tests.unit.signerctl.renewal.cluster import NAMESPACE, PODS, owner
from tests.unit.signerctl.test_memory import COMMANDS, MAX_MEBIBYTES, PODS_SPECS, STATUSES, peak_of

if TYPE_CHECKING:
    from pathlib import Path

RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
ACCOUNTS = f"{NAMESPACES}/{NAMESPACE}/serviceaccounts"
ROLE = {"metadata": {"name": "a"}, "rules": [{"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]}]}
BINDING = {
    "metadata": {"name": "a"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
    "subjects": [{"kind": "ServiceAccount", "name": "calico-node", "namespace": NAMESPACE}],
}
"""Of the rights of Calico's account, the one that the attack needs."""


def _fill(api: Api) -> None:
    """Creates pods, and fills their statuses with the token of calico-node."""
    api.post(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    for spec in PODS_SPECS:
        api.post(ACCOUNTS, {"metadata": {"name": spec["serviceAccountName"]}})
    api.post(f"{RBAC}/roles", ROLE)
    api.post(f"{RBAC}/rolebindings", BINDING)
    thief = api.with_token(str(api.post(f"{ACCOUNTS}/calico-node/token", {"spec": {}})["status"]["token"]))
    for spec in PODS_SPECS:
        for kind, status in STATUSES.items():
            name = f"{kind}-{spec['serviceAccountName']}"
            metadata: dict[str, Any] = {"name": name, "ownerReferences": [owner() | {"apiVersion": "apps/v1"}]}
            containers = {"containers": [{"name": "c", "image": "image"}]}
            api.post(PODS, {"metadata": metadata, "spec": {**spec, **containers}})
            thief.patch(f"{PODS}/{name}/status", {"status": status})


@pytest.mark.real
def test_attack_on_a_real_api_server_statuses_of_megabytes_cost_no_memory(tmp_path: Path) -> None:
    """Its page of 6 pods has 46 MB."""
    with real_control_plane(tmp_path / "plane") as plane:
        with Api.from_kubeconfig(plane.kubeconfig) as api:
            _fill(api)
        for command in COMMANDS:
            assert peak_of(command, tmp_path, plane.kubeconfig) < MAX_MEBIBYTES, command
