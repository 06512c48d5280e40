"""infra/inventory.yaml lists all grants, so that a reviewer sees every new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from development.lock import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infra.terraform.plans import Plan

INVENTORY = ROOT / "infra" / "inventory.yaml"
# The inventory's heading for each role. Other roles have the heading `other`.
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
RUNS = ("deployed", "while_a_ca_certificate_is_made", "from_an_image", "hardened")
ADMINISTRATOR = "user:ca-administrator@example.com"
FUNCTION = "serviceAccount:csr-signer@example-signer.iam.gserviceaccount.com"


def granted(plan: Plan) -> dict[str, list[str]]:
    """Returns all IAM grants of a plan, and the approvers in the clusters, by heading."""
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
    for signer in yaml.safe_load(plan.outputs["documents"]["configuration.yaml"])["signers"]:
        user = plan.outputs["manifests"][signer["cluster"]]["function_user"]
        if signer["approve"]:
            entry = f"{user} in the cluster {signer['cluster']}: {signer['signer_name']}"
            found.setdefault("approve", []).append(entry)
    return {heading: sorted(entries) for heading, entries in sorted(found.items())}


@pytest.mark.parametrize("run", RUNS)
def test_all_grants_are_in_the_inventory(planned: Mapping[str, Plan], run: str) -> None:
    """A grant that only the plan or only the inventory has is an error."""
    inventory: dict[str, Any] = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))
    assert granted(planned[run]) == inventory[run]


def test_attack_signing_with_the_ca_administrators_credential_later(planned: Mapping[str, Plan]) -> None:
    """Making a CA certificate adds only grants of the administrator, on keys and with an end."""
    everybody = {run: {entry for entries in granted(planned[run]).values() for entry in entries} for run in RUNS}
    administrators = {entry for entries in everybody.values() for entry in entries if entry.startswith(ADMINISTRATOR)}
    assert everybody["while_a_ca_certificate_is_made"] - everybody["deployed"] == administrators
    assert everybody["deployed"] < everybody["while_a_ca_certificate_is_made"]
    assert administrators
    assert all("roles/cloudkms." in entry and " with a condition by " in entry for entry in administrators)
    assert not administrators & (everybody["from_an_image"] | everybody["hardened"])


@pytest.mark.parametrize("run", RUNS)
def test_no_grant_is_for_all_users(planned: Mapping[str, Plan], run: str) -> None:
    """No grant is for all users, a domain or a group."""
    for entries in granted(planned[run]).values():
        assert not [entry for entry in entries if entry.startswith(("allU", "allA", "domain:", "group:"))]


@pytest.mark.parametrize("run", RUNS)
def test_rights_to_sign_are_on_keys(planned: Mapping[str, Plan], run: str) -> None:
    """No principal gets a role of Cloud KMS on a project or a key ring."""
    for address, values in planned[run].resources.items():
        if str(values.get("role", "")).startswith("roles/cloudkms."):
            assert "google_kms_crypto_key_iam_member." in address


@pytest.mark.parametrize("run", [*RUNS, "every_access_to_google"])
def test_the_function_has_no_role_on_a_project(planned: Mapping[str, Plan], run: str) -> None:
    """The function's account has rights only on keys, secrets and accounts; other accounts reach the clusters."""
    project_roles = planned[run].of_type("google_project_iam_member").values()
    assert not [values for values in project_roles if values.get("member") == FUNCTION]


@pytest.mark.parametrize("run", [*RUNS, "every_access_to_google"])
def test_an_account_whose_tokens_leave_google_has_no_right_on_keys(planned: Mapping[str, Plan], run: str) -> None:
    """A thief of the token for an API server can only reach that cluster."""
    plan = planned[run]
    document = yaml.safe_load(plan.outputs["documents"]["configuration.yaml"])
    sent = {
        way["google_access_token"]["service_account"]: cluster
        for cluster, settings in document["clusters"].items()
        if "google_access_token" in (way := settings["authentication"])
    }
    assert sent == {f"csr-access-{name}@example-signer.iam.gserviceaccount.com": name for name in sent.values()}
    assert sent
    members = {f"serviceAccount:{email}" for email in sent}
    rights = {
        (values["member"], values["role"])
        for address, values in plan.resources.items()
        if "_iam_member." in address and values.get("member") in members
    }
    assert {role for _, role in rights} <= {"roles/container.clusterViewer", "roles/gkehub.gatewayEditor"}
    users = {cluster: manifest["function_user"] for cluster, manifest in plan.outputs["manifests"].items()}
    assert {email: users[cluster] for email, cluster in sent.items()} == {email: email for email in sent}


def test_only_the_function_impersonates_an_access_account(planned: Mapping[str, Plan]) -> None:
    """Each account has one grant: the function may create tokens, and cannot sign."""
    plan = planned["every_access_to_google"]
    grants = {
        address: (values["member"], values["role"])
        for address, values in plan.of_type("google_service_account_iam_member").items()
        if "impersonate" in address
    }
    names = [f'google_service_account_iam_member.impersonate["{name}"]' for name in ("dns", "edge", "private")]
    assert grants == dict.fromkeys(names, (FUNCTION, "roles/iam.workloadIdentityUser"))
