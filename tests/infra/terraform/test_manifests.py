"""`signerctl cluster manifests` renders a folder from the outputs that Terraform plans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from csr_exporter import configuration
from tests.unit.signerctl.outputs import IMAGE
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.infra.terraform.plans import Plan

FUNCTION_USERS = {
    name: f"csr-access-{name}@example-signer.iam.gserviceaccount.com"
    for name in ("databases", "dns", "private", "prod")
} | {"site": "gcp:csr-signer@example-signer.iam.gserviceaccount.com"}
"""As signerctl tells operators to derive it from main.tf."""
IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "POD_INDEX": "1"}


def rendered(out: Path, plan: Plan, cluster: str, *more: str) -> dict[str, list[dict[str, Any]]]:
    """Renders one cluster's folder; returns its objects by kind, and checks what holds for every cluster."""
    text = json.dumps({name: {"sensitive": False, "value": value} for name, value in plan.outputs.items()})
    options = ("--terraform-output", "-", "--cluster", cluster, "--image", IMAGE, "--out", out)
    output = plan.outputs["manifests"][cluster]
    result = signerctl("cluster", "manifests", *options, "--function-user", FUNCTION_USERS[cluster], *more, stdin=text)
    assert result.exit_code == 0, result.output
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(out.glob("*.yaml")):
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            found.setdefault(each["kind"], []).append(each)
    (stateful_set,) = found["StatefulSet"]
    assert stateful_set["spec"]["template"]["spec"]["serviceAccountName"] == output["exporter_service_account"]
    assert output["function_user"] in str(found["ClusterRoleBinding"])
    loaded = configuration.parse((out / "configuration.json").read_text(encoding="utf-8"), IN_A_POD)
    assert loaded.replicas.count == stateful_set["spec"]["replicas"]
    return found


@pytest.mark.parametrize(
    ("run", "cluster", "namespaces"),
    [
        ("deployed", "prod", ["calico-system"]),
        ("from_an_image", "prod", ["calico-system"]),
        ("every_access_to_google", "dns", ["calico-apiserver", "calico-system"]),
        ("every_access_to_google", "private", ["calico-system"]),
        ("own_profile_and_address_ranges", "prod", ["databases"]),
        ("two_clusters_of_one_project", "prod", ["calico-system"]),
    ],
)
def test_every_kind_of_cluster_is_rendered(
    planned: Mapping[str, Plan], tmp_path: Path, run: str, cluster: str, namespaces: list[str]
) -> None:
    """The folder has the rights in the namespaces of the cluster's profile, and the exporter can load its document.

    In `default`, the function writes Events on CSRs.
    """
    found = rendered(tmp_path, planned[run], cluster)
    assert [each["metadata"]["namespace"] for each in found["Role"]] == ["default", *namespaces]


def test_a_cluster_outside_gke_is_rendered(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The token's audience is the provider, and the function cannot approve where another approver decides."""
    found = rendered(tmp_path, planned["deployed"], "site", "--approver", "alice")
    assert planned["deployed"].outputs["manifests"]["site"]["token_audience"] in str(found["StatefulSet"])
    assert "kms-csr-signer:approve" not in {each["metadata"]["name"] for each in found["ClusterRole"]}


def test_the_pod_networks_identity_is_rendered(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The annotation names the account on which Terraform grants the right to the same Kubernetes service account."""
    plan = planned["two_clusters_of_one_project"]
    found = rendered(tmp_path, plan, "databases")
    (account,) = found["ServiceAccount"]
    metadata = account["metadata"]
    email = metadata["annotations"]["iam.gke.io/gcp-service-account"]
    assert email == "csr-exporter-databases@example-signer.iam.gserviceaccount.com"
    grant = plan.resources['module.identities["databases"].google_service_account_iam_member.mint']
    name = f"{metadata['namespace']}/{metadata['name']}"
    assert grant["member"] == f"serviceAccount:example-clusters.svc.id.goog[{name}]"
    assert grant["role"] == "roles/iam.workloadIdentityUser"
    assert found["NetworkPolicy"]


def test_a_cluster_without_a_ca_certificate_is_refused(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The outputs of the first apply have no document for its exporter, and the message says what to do."""
    outputs = planned["before_the_ca_certificates_exist"].outputs
    text = json.dumps({name: {"value": value} for name, value in outputs.items()})
    options = ("--terraform-output", "-", "--cluster", "prod", "--image", IMAGE, "--out", tmp_path / "prod")
    result = signerctl("cluster", "manifests", *options, stdin=text)
    assert result.exit_code == 1
    assert "must have a signer with a CA certificate" in result.stderr
