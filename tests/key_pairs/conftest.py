"""One cluster for all tests; each test finds a new Goldmane and a new Whisker without key pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from sandbox.api import NAMESPACES
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.key_pairs import OPERATOR, WORKLOADS
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Settings
from tests.end_to_end.conftest import started
from tests.infra.cluster.manifests import EXAMPLES
from tests.key_pairs.cluster import CRON_JOB, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.api import Api

RBAC, ADMISSION = "/apis/rbac.authorization.k8s.io/v1", "/apis/admissionregistration.k8s.io/v1"
COLLECTIONS = {
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
}
NAMESPACED = {"Role": "roles", "RoleBinding": "rolebindings"}


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with the guards and the manifest key-pairs.yaml."""
    with started(Settings(directory=tmp_path_factory.mktemp("key-pairs"), plane="real", guards=True)) as deployment:
        plane = deployment.plane
        assert isinstance(plane, RealControlPlane)
        deployment.world.add_namespace(OPERATOR)
        for account in WORKLOADS:
            deployment.world.add_account(CALICO_SYSTEM, account)
        apply(deployment.api)
        yield Cluster(deployment, plane.kubeconfig_for(CRON_JOB))


def apply(api: Api) -> None:
    """Creates the roles, bindings and policies of key-pairs.yaml."""
    for document in yaml.safe_load_all((EXAMPLES / "demo" / "key-pairs.yaml").read_text()):
        if collection := COLLECTIONS.get(document["kind"]):
            api.post(collection, document)
        elif collection := NAMESPACED.get(document["kind"]):
            namespace = document["metadata"]["namespace"]
            api.post(f"{RBAC}{NAMESPACES.removeprefix('/api/v1')}/{namespace}/{collection}", document)


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """The cluster with new pods."""
    running.reset()
    return running
