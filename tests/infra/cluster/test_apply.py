"""`kubectl apply -k` and `delete -k` of every folder, for good, on a real API server that is nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import NAMESPACES, Api, ApiError
from tests.infra.cluster.conftest import run
from tests.infra.cluster.manifests import SECRET
from tests.infra.cluster.requesters import until_not_refused, until_refused
from tests.infra.cluster.test_exporter_pods import fails
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.control_plane.real import RealControlPlane

pytestmark = pytest.mark.real

FOLDERS = ["databases", "pod", "site", "demo"]
OWNED_BY_OTHERS = ("calico-system", "calico-apiserver", "databases", "tigera-operator")
PODS = f"{NAMESPACES}/kms-csr-signer/pods"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealControlPlane]:
    """A control plane with Calico's namespaces, as the operator makes them."""
    with real_control_plane(tmp_path_factory.mktemp("apply")) as started:
        for name in OWNED_BY_OTHERS:
            run(started, "create", "namespace", name)
        yield started


def exporter_pod(render: Callable[[str], list[dict[str, Any]]], folder: str) -> dict[str, Any]:
    """The pod of a folder's StatefulSet, with a priority that needs no quota."""
    (stateful_set,) = [each for each in render(folder) if each["kind"] == "StatefulSet"]
    found: dict[str, Any] = stateful_set["spec"]["template"]
    found["spec"].pop("priorityClassName")
    return {"metadata": {"name": "csr-exporter-0", **found["metadata"]}, "spec": found["spec"]}


def test_a_second_cluster_of_one_project_admits_its_exporter(
    plane: RealControlPlane, folders: dict[str, Path], render: Callable[[str], list[dict[str, Any]]]
) -> None:
    """Its exporter has another service account, and its guards admit that account's pods and no other's."""
    run(plane, "apply", "--validate=strict", "-k", str(folders["databases"]))
    pod = exporter_pod(render, "databases")
    assert pod["spec"]["serviceAccountName"] == "csr-exporter-databases"
    with Api.from_kubeconfig(plane.kubeconfig) as api:
        api.post(f"{NAMESPACES}/kms-csr-signer/serviceaccounts", {"metadata": {"name": "csr-exporter"}})
        foreign = {**pod, "spec": {**pod["spec"], "serviceAccountName": "csr-exporter"}}
        until_refused("kms-csr-signer-exporter-pods", lambda: api.post(PODS, foreign, dryRun="All"))
        assert api.post(PODS, pod, dryRun="All")["spec"]["serviceAccountName"] == "csr-exporter-databases"


def test_only_the_secret_of_the_metrics_is_admitted(
    plane: RealControlPlane, folders: dict[str, Path], render: Callable[[str], list[dict[str, Any]]]
) -> None:
    """The exporter mounts it, and no other Secret of its namespace."""
    run(plane, "apply", "--validate=strict", "-k", str(folders["scraped"]))
    pod = exporter_pod(render, "scraped")
    (volume,) = [each for each in pod["spec"]["volumes"] if "secret" in each]
    with Api.from_kubeconfig(plane.kubeconfig) as api:

        def mount(secret: str) -> dict[str, Any]:
            volume["secret"]["secretName"] = secret
            return api.post(PODS, pod, dryRun="All")

        until_refused("kms-csr-signer-exporter-pods", lambda: mount("another"))
        until_not_refused(lambda: fails(lambda: mount(SECRET)))
        mounted = [each["secret"]["secretName"] for each in mount(SECRET)["spec"]["volumes"] if "secret" in each]
        assert mounted == [SECRET]
        with pytest.raises(ApiError, match="kms-csr-signer-exporter-pods"):
            mount("another")


def test_every_folder_is_applied_and_deleted(plane: RealControlPlane, folders: dict[str, Path]) -> None:
    """`kubectl apply -k` of each folder over the others is all; what `delete -k` deletes is ours alone."""
    for folder in (*FOLDERS, *FOLDERS):
        done = run(plane, "apply", "--validate=strict", "-k", str(folders[folder]))
        assert done.stdout, folder
    with Api.from_kubeconfig(plane.kubeconfig) as api:
        # Without a namespace controller a deleted namespace stays, so nobody waits for it.
        for folder in FOLDERS:
            run(plane, "delete", "--ignore-not-found", "--wait=false", "-k", str(folders[folder]))
        for name in OWNED_BY_OTHERS:
            assert "deletionTimestamp" not in api.get(f"{NAMESPACES}/{name}")["metadata"]
        assert "deletionTimestamp" in api.get(f"{NAMESPACES}/kms-csr-signer")["metadata"]
        for path in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
            assert api.get(f"/apis/admissionregistration.k8s.io/v1/{path}")["items"] == []
        with pytest.raises(ApiError, match="404"):
            api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/kms-csr-signer:sign")
