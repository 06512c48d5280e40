"""Who may do what: the whole list is infra/inventory.yaml, and it cannot grow unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from development.lock import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infra.terraform.plans import Plan

INVENTORY = ROOT / "infra" / "inventory.yaml"
# What a role is good for, in the words of the inventory. A role that is not here is listed under `other`.
HEADINGS = {
    "roles/cloudkms.signer": "sign",
    "roles/cloudkms.expertRawPKCS1": "sign",
    "roles/run.servicesInvoker": "invoke",
    "roles/run.invoker": "invoke",
    "roles/iam.serviceAccountOpenIdTokenCreator": "mint_tokens",
    "roles/iam.serviceAccountTokenCreator": "mint_tokens",
    "roles/iam.workloadIdentityUser": "mint_tokens",
    "roles/iam.serviceAccountUser": "act_as",
    "roles/storage.objectViewer": "read_source",
    "roles/storage.objectAdmin": "read_source",
    "roles/storage.admin": "read_source",
}
RUNS = ("deployed", "from_an_image", "hardened")


def granted(plan: Plan) -> dict[str, list[str]]:
    """Every IAM grant of a plan, and who may approve in the clusters, by heading."""
    found: dict[str, list[str]] = {}
    for address, values in plan.resources.items():
        if "_iam_" in address and "google_" in address and "workload_identity" not in address:
            assert "_iam_member." in address or "_iam_audit_config." in address, (
                f"{address} replaces the grants of others"
            )
            if "_iam_member." in address:
                role = values["role"]
                confined = " with a condition" if values.get("condition") else ""
                entry = f"{values.get('member', 'known after apply')} has {role}{confined} by {address}"
                found.setdefault(HEADINGS.get(role, "other"), []).append(entry)
    for cluster, manifest in plan.outputs["manifests"].items():
        found.setdefault("approve", []).extend(
            f"{manifest['function_user']} in the cluster {cluster}: {name}" for name in manifest["approves"]
        )
    return {heading: sorted(entries) for heading, entries in sorted(found.items())}


@pytest.mark.parametrize("run", RUNS)
def test_the_list_of_rights_is_the_inventory(planned: Mapping[str, Plan], run: str) -> None:
    """Who may sign, approve, invoke, mint tokens and read source is written down; more, or less, is an error."""
    inventory: dict[str, Any] = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))
    assert granted(planned[run]) == inventory[run]


@pytest.mark.parametrize("run", RUNS)
def test_nobody_is_everybody(planned: Mapping[str, Plan], run: str) -> None:
    """No grant names all users, a domain or a group."""
    for entries in granted(planned[run]).values():
        assert not [entry for entry in entries if entry.startswith(("allU", "allA", "domain:", "group:"))]


@pytest.mark.parametrize("run", RUNS)
def test_rights_to_sign_lie_on_keys(planned: Mapping[str, Plan], run: str) -> None:
    """Nobody gets a role of Cloud KMS on a project or a key ring."""
    for address, values in planned[run].resources.items():
        if str(values.get("role", "")).startswith("roles/cloudkms."):
            assert "google_kms_crypto_key_iam_member." in address


@pytest.mark.parametrize("run", RUNS)
def test_the_function_has_no_role_on_its_project(planned: Mapping[str, Plan], run: str) -> None:
    """The runtime account's only project role lets it reach a cluster's DNS endpoint."""
    function = "serviceAccount:csr-signer@example-signer.iam.gserviceaccount.com"
    roles = [
        (values["project"], values["role"])
        for values in planned[run].of_type("google_project_iam_member").values()
        if values.get("member") == function
    ]
    assert roles == [("example-clusters", "roles/container.clusterViewer")]
