"""A real control plane that has the manifests' namespaces and RBAC, and their rendered documents."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.api import NAMESPACES, Api
from tests.infra.cluster.manifests import CLUSTER
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.control_plane.real import RealControlPlane

# As on GKE: pods of these priorities only where a quota names them.
ADMISSION = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AdmissionConfiguration",
    "plugins": [
        {
            "name": "ResourceQuota",
            "configuration": {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "ResourceQuotaConfiguration",
                "limitedResources": [
                    {
                        "resource": "pods",
                        "matchScopes": [
                            {
                                "scopeName": "PriorityClass",
                                "operator": "In",
                                "values": ["system-cluster-critical", "system-node-critical"],
                            }
                        ],
                    }
                ],
            },
        }
    ],
}


@pytest.fixture(scope="package")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealControlPlane]:
    """A control plane whose namespaces exist, as README.md wants it before the rest is applied."""
    directory = tmp_path_factory.mktemp("cluster")
    configuration = directory / "admission.json"
    configuration.write_text(json.dumps(ADMISSION))
    with real_control_plane(directory, extra_arguments=[f"--admission-control-config-file={configuration}"]) as started:
        with Api.from_kubeconfig(started.kubeconfig) as api:
            for name in ("calico-system", "calico-apiserver"):
                api.post(NAMESPACES, {"metadata": {"name": name}})
        run(started, "apply", "-f", str(CLUSTER / "base" / "namespace.yaml"))
        yield started


def run(control_plane: RealControlPlane, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run kubectl as the administrator; a failure is the test's, with kubectl's words."""
    done = subprocess.run(
        [control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfig}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="package")
def applied(control_plane: RealControlPlane) -> RealControlPlane:
    """The control plane with everything of infra/cluster applied."""
    run(control_plane, "apply", "-k", str(CLUSTER))
    return control_plane


@pytest.fixture(scope="package")
def kubectl(control_plane: RealControlPlane) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs kubectl as the administrator."""
    return lambda *arguments: run(control_plane, *arguments)


@pytest.fixture(scope="package")
def api(control_plane: RealControlPlane) -> Iterator[Api]:
    """The administrator's client."""
    with Api.from_kubeconfig(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="package")
def render(control_plane: RealControlPlane) -> Callable[[str], list[dict[str, Any]]]:
    """Gives the documents that kustomize makes of a folder of infra/cluster."""

    def documents(folder: str) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all(run(control_plane, "kustomize", str(CLUSTER / folder)).stdout))

    return documents
