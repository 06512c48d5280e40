"""README's install: with the rendered folder, applied as it is, exporter and function serve Calico's clients.

The sandbox stands in for Google and for the kubelet: what differs from a cluster are only addresses and the paths of
files. tests/infra/terraform/test_manifests.py renders folders from the outputs that Terraform plans.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.api import CSRS, NAMESPACES
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.world import Pod
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Deployment, Settings
from sandbox.exporter_runtime import ExporterRuntime
from sandbox.manifests import EXPORTER_ACCOUNT, NAMESPACE
from tests.end_to_end.conftest import PATIENCE, fleet_maker, started
from tests.infra.cluster.conftest import POD, run
from tests.infra.cluster.csrs import SIGNER_NAME, csr_document
from tests.infra.cluster.requesters import until_refused
from tests.unit.signerctl.outputs import IMAGE, Document, outputs
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.real

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REPLICAS = 2


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Control plane, KMS, Google and function; the exporter and all rights in the cluster are taken away."""
    running = started(Settings(directory=tmp_path_factory.mktemp("install"), plane="real", replicas=REPLICAS))
    running.kill_exporter()
    for kind in ("clusterrolebindings", "clusterroles", "rolebindings", "roles"):
        for each in running.api.get(f"{RBAC}/{kind}", labelSelector="app.kubernetes.io/component")["items"]:
            where = f"namespaces/{each['metadata']['namespace']}/" if "namespace" in each["metadata"] else ""
            running.api.delete(f"{RBAC}/{where}{kind}/{each['metadata']['name']}")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def objects(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """The objects of the folder that signerctl renders from Terraform's outputs, applied with kubectl."""
    folder = tmp_path_factory.mktemp("clusters") / "demo"

    def stand_in(values: Document) -> None:
        values["document"] = json.loads((deployment.directory / "function.json").read_text(encoding="utf-8"))
        text = (deployment.directory / "exporter.json").read_text(encoding="utf-8")
        values["exporter_configurations"]["demo"] = text
        values["manifests"]["demo"]["token_audience"] = json.loads(text)["identity"]["sts_audience"]

    options = ("--terraform-output", "-", "--cluster", "demo", "--image", IMAGE, "--out", folder)
    made = signerctl("cluster", "manifests", *options, stdin=json.dumps(outputs(stand_in)))
    assert made.exit_code == 0, made.output
    plane = deployment.plane
    assert isinstance(plane, RealControlPlane)
    run(plane, "apply", "--validate=strict", "-k", str(folder))
    return list(yaml.safe_load_all(run(plane, "kustomize", str(folder)).stdout))


def of_kind(objects: list[Document], kind: str) -> Document:
    """Returns the only object of a kind."""
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def pod_of(deployment: Deployment, template: Document) -> Pod:
    """Creates the first pod as the StatefulSet's controller does; the guards admit it."""
    pods = f"{NAMESPACES}/{NAMESPACE}/pods"
    until_refused("kms-csr-signer-exporter-pods", lambda: deployment.api.post(pods, POD, dryRun="All"))
    # Without its controller, the quota of the priority has no status, and the API server admits no pod.
    spec = {key: value for key, value in template["spec"].items() if key != "priorityClassName"}
    made = deployment.api.post(pods, {"metadata": {"name": "csr-exporter-0", **template["metadata"]}, "spec": spec})
    return Pod(
        name="csr-exporter-0",
        namespace=NAMESPACE,
        service_account=spec["serviceAccountName"],
        uid=made["metadata"]["uid"],
        node="",
        addresses=(),
    )


def mount(deployment: Deployment, objects: list[Document], path: Path) -> None:
    """Writes what the kubelet mounts: the configuration, and tokens of the pod for API server and Google."""
    template = of_kind(objects, "StatefulSet")["spec"]["template"]
    pod = pod_of(deployment, template)
    (text,) = of_kind(objects, "ConfigMap")["data"].values()
    path.write_text(text, encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    (volume,) = [each for each in template["spec"]["volumes"] if "projected" in each]
    (source,) = volume["projected"]["sources"]
    audiences = {
        document["identity"]["token_file"]: [source["serviceAccountToken"]["audience"]],
        document["api_server"]["token_file"]: [],
    }
    for file, audience in audiences.items():
        token = deployment.world.token(NAMESPACE, pod.service_account, pod, audiences=audience)
        (deployment.directory / file).write_text(token, encoding="utf-8")


def test_the_rendered_folder_is_all_that_a_cluster_needs(deployment: Deployment, objects: list[Document]) -> None:
    """Under its guards, and with its rights and its configuration, each Calico client gets a certificate."""
    admin = deployment.api
    until_refused("kms-csr-signer-create", lambda: admin.post(CSRS, csr_document("any", SIGNER_NAME), dryRun="All"))
    configuration = deployment.directory / "mounted.json"
    mount(deployment, objects, configuration)
    stateful_set = of_kind(objects, "StatefulSet")
    assert stateful_set["spec"]["replicas"] == REPLICAS
    assert stateful_set["spec"]["template"]["spec"]["serviceAccountName"] == EXPORTER_ACCOUNT
    exporters = [
        ExporterRuntime(configuration, deployment.log(f"rendered-{ordinal}"), ordinal=ordinal)
        for ordinal in range(REPLICAS)
    ]
    try:
        for exporter in exporters:
            exporter.start()
        with Observer(admin, SIGNER_NAME) as observer, KeyPool() as keys:
            fleet = fleet_maker(deployment, keys)(12)
            fleet.submit()
            uids = [submission.uid for submission in fleet.submissions]
            assert observer.wait(uids, PATIENCE)
            assert {observer.observations()[uid].state for uid in uids} == {"Approved,Issued"}
    finally:
        for exporter in exporters:
            exporter.stop()
