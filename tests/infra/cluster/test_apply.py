"""`kubectl apply -k` and `delete -k` of every folder, for good, on a real API server that is nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.api import NAMESPACES, Api, ApiError
from tests.infra.cluster.conftest import run
from tests.infra.cluster.manifests import CLUSTER
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.control_plane.real import RealControlPlane

pytestmark = pytest.mark.real

FOLDERS = ["base", "approve", "profiles/calico-until-3.30", "profiles/host-addresses", "guards"]
OVERLAYS = ["overlays/pod-network", "overlays/example", "."]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealControlPlane]:
    """A control plane with Calico's namespaces, as the operator makes them."""
    with real_control_plane(tmp_path_factory.mktemp("apply")) as started:
        for name in ("calico-system", "calico-apiserver"):
            run(started, "create", "namespace", name)
        yield started


def test_every_folder_is_applied_and_deleted(plane: RealControlPlane) -> None:
    """One after the other, then overlay over overlay; what is deleted is ours alone."""
    for folder in (*FOLDERS, *OVERLAYS):
        done = run(plane, "apply", "--validate=strict", "-k", str(CLUSTER / folder))
        assert done.stdout, folder
    with Api.from_kubeconfig(plane.kubeconfig) as api:
        for again in OVERLAYS:
            run(plane, "apply", "-k", str(CLUSTER / again))
        # Without a namespace controller a deleted namespace stays, so nobody waits for it.
        for folder in (*FOLDERS, "."):
            run(plane, "delete", "--ignore-not-found", "--wait=false", "-k", str(CLUSTER / folder))
        for name in ("calico-system", "calico-apiserver"):
            assert "deletionTimestamp" not in api.get(f"{NAMESPACES}/{name}")["metadata"]
        assert "deletionTimestamp" in api.get(f"{NAMESPACES}/kms-csr-signer")["metadata"]
        for path in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
            assert api.get(f"/apis/admissionregistration.k8s.io/v1/{path}")["items"] == []
        with pytest.raises(ApiError, match="404"):
            api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/kms-csr-signer:sign")
