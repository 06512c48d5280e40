"""One cluster for all tests; each test finds 30 old pods that are Ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from sandbox.api import NAMESPACES
from sandbox.calico.volumes import Volumes
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Settings
from sandbox.kubelet import Kubelet
from tests.end_to_end.conftest import started
from tests.infra.cluster.manifests import EXAMPLES
from tests.renewal.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.api import Api

CRON_JOB = "system:serviceaccount:kms-csr-signer-renewal:csr-renewal"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
COLLECTIONS = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
NAMESPACED = {"Role": "roles", "RoleBinding": "rolebindings"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster; `signerctl renew` has exactly the CronJob's rights."""
    directory = tmp_path_factory.mktemp("renewal")
    settings = Settings(directory=tmp_path_factory.mktemp("deployment"), plane="real", controllers=True)
    with started(settings) as deployment:
        plane, volumes = deployment.plane, Volumes(deployment.world, directory / "volumes")
        assert isinstance(plane, RealControlPlane)
        with Kubelet(deployment.api, starts=volumes.fill) as kubelet:
            grant(deployment.api)
            cluster = Cluster(deployment, kubelet, volumes, plane.kubeconfig_for(CRON_JOB), directory)
            cluster.create()
            yield cluster


def grant(api: Api) -> None:
    """Creates the roles and bindings of renewal.yaml."""
    for document in yaml.safe_load_all((EXAMPLES / "demo" / "renewal.yaml").read_text()):
        if collection := COLLECTIONS.get(document["kind"]):
            api.post(f"{RBAC}/{collection}", document)
        elif collection := NAMESPACED.get(document["kind"]):
            namespace = document["metadata"]["namespace"]
            api.post(f"{RBAC}{NAMESPACES.removeprefix('/api/v1')}/{namespace}/{collection}", document)


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """The cluster with old pods; a test that broke some pods leaves new ones."""
    running.restore()
    running.age()
    return running
