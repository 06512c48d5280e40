"""One cluster for all tests; each test finds a new Goldmane and a new Whisker without key pairs."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.api import NAMESPACES, Api, ApiError
from sandbox.calico import installation
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.key_pairs import OPERATOR, WORKLOADS
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Settings
from tests.end_to_end.conftest import eventually, started
from tests.key_pairs.cluster import CRON_JOB, RELEASE, Cluster
from tests.unit.signerctl.outputs import IMAGE, function_user, outputs
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RBAC, ADMISSION = "/apis/rbac.authorization.k8s.io/v1", "/apis/admissionregistration.k8s.io/v1"
COLLECTIONS = {
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
}
POLICIES = {"kms-csr-signer-key-pairs": "secrets", "kms-csr-signer-key-pairs-tokens": "serviceaccounts/goldmane/token"}
NAMESPACED = {"Role": "roles", "RoleBinding": "rolebindings"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with the guards, the manifest key-pairs.yaml and an Installation."""
    with started(
        Settings(directory=tmp_path_factory.mktemp("key-pairs"), plane="real", guards=True, release=RELEASE)
    ) as deployment:
        plane = deployment.plane
        assert isinstance(plane, RealControlPlane)
        deployment.world.add_namespace(OPERATOR)
        installation.put_in(
            deployment.world,
            authority=deployment.certificate_authority,
            signer_name=deployment.signer.signer_name,
            release=RELEASE,
        )
        for account in WORKLOADS:
            deployment.world.add_account(CALICO_SYSTEM, account)
        apply(deployment.api, manifest(tmp_path_factory.mktemp("folder")))
        kubeconfig = plane.kubeconfig_for(CRON_JOB)
        for policy, resource in POLICIES.items():
            eventually(partial(refused, Api.from_kubeconfig(kubeconfig), policy, resource))
        yield Cluster(deployment, kubeconfig)


def refused(api: Api, policy: str, resource: str) -> bool:
    """Whether a policy is in force: the API server takes new ones up in its own time."""
    try:
        api.post(
            f"{NAMESPACES}/{CALICO_SYSTEM}/{resource}", {"metadata": {"generateName": "any-"}, "spec": {}}, dryRun="All"
        )
    except ApiError as error:
        return f"ValidatingAdmissionPolicy '{policy}'" in error.message
    return False


def manifest(folder: Path) -> str:
    """Returns key-pairs.yaml of the example cluster with the release that has all key pairs."""

    def newest(values: dict[str, Any]) -> None:
        (signer,) = (each for each in values["document"]["signers"] if each["cluster"] == "demo")
        signer["profile"]["release"] = RELEASE

    options = ("--terraform-output", "-", "--cluster", "demo", "--function-user", function_user("demo"))
    images = ("--image", IMAGE, "--key-pairs-image", IMAGE)
    done = signerctl(
        "cluster", "manifests", *options, *images, "--out", folder / "demo", stdin=json.dumps(outputs(newest))
    )
    assert done.exit_code == 0, done.stderr
    return (folder / "demo" / "key-pairs.yaml").read_text()


def apply(api: Api, documents: str) -> None:
    """Creates the roles, bindings and policies of key-pairs.yaml."""
    for document in yaml.safe_load_all(documents):
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
