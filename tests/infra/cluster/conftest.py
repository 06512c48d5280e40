"""A real control plane that has the manifests' namespaces and RBAC, and their rendered documents."""

from __future__ import annotations

import functools
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.api import CSRS, NAMESPACES, Api, csr_path
from tests.infra.cluster import manifests
from tests.infra.cluster.csrs import SIGNER_NAME, csr_document
from tests.infra.cluster.manifests import EXAMPLES
from tests.infra.cluster.requesters import Requesters, until_refused
from tests.patience import PATIENCE
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.control_plane.real import RealControlPlane

    Kubectl = Callable[..., subprocess.CompletedProcess[str]]

FUNCTION = "csr-access-demo@example-project.iam.gserviceaccount.com"
OURS = {"component": "kms-csr-signer"}
POD = {
    "metadata": {"name": "any"},
    "spec": {"serviceAccountName": "csr-exporter", "containers": [{"name": "any", "image": "any"}]},
}
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


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealControlPlane]:
    """A control plane whose namespaces exist, as README.md wants it before the rest is applied."""
    directory = tmp_path_factory.mktemp("cluster")
    configuration = directory / "admission.json"
    configuration.write_text(json.dumps(ADMISSION))
    with real_control_plane(directory, extra_arguments=[f"--admission-control-config-file={configuration}"]) as started:
        with Api.from_kubeconfig(started.kubeconfig) as api:
            for name in ("calico-system", "calico-apiserver", "databases", "tigera-operator"):
                api.post(NAMESPACES, {"metadata": {"name": name}})
        run(started, "apply", "-f", str(EXAMPLES / "demo" / "namespace.yaml"))
        yield started


def run(
    control_plane: RealControlPlane, *arguments: str, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run kubectl as the administrator; with `check` a failure is the test's, with kubectl's words."""
    done = subprocess.run(
        [control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfig}", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0 or not check, done.stderr
    return done


@pytest.fixture(scope="session")
def applied(control_plane: RealControlPlane) -> RealControlPlane:
    """The control plane with the example cluster's folder applied."""
    run(control_plane, "apply", "-k", str(EXAMPLES / "demo"))
    return control_plane


@pytest.fixture(scope="session")
def kubectl(control_plane: RealControlPlane) -> Kubectl:
    """Runs kubectl as the administrator."""
    return functools.partial(run, control_plane)


@pytest.fixture(scope="session")
def api(control_plane: RealControlPlane) -> Iterator[Api]:
    """The administrator's client."""
    with Api.from_kubeconfig(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="session")
def requesters(applied: RealControlPlane, api: Api) -> Iterator[Requesters]:
    """Pods with tokens; all policies are in force."""
    made = Requesters(api)
    with made.world:
        _wait_for_policies(applied, made)
        yield made


@pytest.fixture(scope="session")
def guarded(requesters: Requesters, applied: RealControlPlane) -> RealControlPlane:
    """The control plane whose policies are all in force."""
    return applied


def _wait_for_policies(control_plane: RealControlPlane, requesters: Requesters) -> None:
    """Until each has refused something; nothing of it is kept."""
    admin, victim, other = requesters.world.api, requesters.calico(), requesters.calico()
    victim.file()
    event = {"metadata": {"generateName": "any."}, "involvedObject": {"namespace": "calico-system"}, "type": "Normal"}
    path = csr_path(victim.name)
    with Api.from_kubeconfig(control_plane.kubeconfig_for(FUNCTION)) as function:
        calls: dict[str, Callable[[], object]] = {
            "create": lambda: admin.post(CSRS, csr_document("any", SIGNER_NAME), dryRun="All"),
            "delete": lambda: other.api.delete(path, dryRun="All"),
            "decide": lambda: admin.patch(path, {"metadata": {"finalizers": ["a.b/c"]}}, dryRun="All"),
            "function": lambda: function.post(f"{NAMESPACES}/calico-system/events", event, dryRun="All"),
            "events": lambda: admin.post(f"{NAMESPACES}/calico-system/events", {**event, "source": OURS}, dryRun="All"),
            "exporter-pods": lambda: admin.post(f"{NAMESPACES}/kms-csr-signer/pods", POD, dryRun="All"),
        }
        for policy, call in calls.items():
            until_refused(f"kms-csr-signer-{policy}", call)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders by name: the examples, and those that signerctl renders for the tests."""
    found = {name: EXAMPLES / name for name in ("demo", "databases")}
    for name in manifests.RENDERED:
        found[name] = tmp_path_factory.mktemp("rendered") / name
        manifests.render(found[name], name)
    return found


@pytest.fixture(scope="session")
def render(control_plane: RealControlPlane, folders: dict[str, Path]) -> Callable[[str], list[dict[str, Any]]]:
    """Gives the documents that kustomize makes of a folder."""

    def documents(folder: str) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all(run(control_plane, "kustomize", str(folders[folder])).stdout))

    return documents
