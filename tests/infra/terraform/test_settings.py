"""Settings of the function whose defaults are dangerous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from development.lock import ROOT
from sandbox import capacity
from tests.infra.terraform.test_modules import blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infra.terraform.plans import Plan


def service_config(plan: Plan) -> Mapping[str, Any]:
    """Returns the function's service configuration."""
    config: Mapping[str, Any] = plan.one("google_cloudfunctions2_function")["service_config"][0]
    return config


def test_the_function_has_limits(planned: Mapping[str, Plan]) -> None:
    """Instances, concurrent requests and seconds have limits; concurrent requests need a whole CPU."""
    config = service_config(planned["deployed"])
    wanted = {
        "available_cpu": "1",
        "available_memory": f"{capacity.memory(2)}Mi",
        "max_instance_count": 10,
        "max_instance_request_concurrency": capacity.concurrency(2),
        "timeout_seconds": 30,
        "all_traffic_on_latest_revision": True,
    }
    assert {name: config[name] for name in wanted} == wanted


@pytest.mark.parametrize(("run", "ingress"), [("deployed", "ALLOW_ALL"), ("hardened", "ALLOW_INTERNAL_ONLY")])
def test_callers_decide_the_ingress(planned: Mapping[str, Plan], run: str, ingress: str) -> None:
    """Only clusters outside the network and perimeter make the function public."""
    assert service_config(planned[run])["ingress_settings"] == ingress


def test_no_default_account_is_used(planned: Mapping[str, Plan]) -> None:
    """Function and build have their own accounts."""
    function = planned["deployed"].one("google_cloudfunctions2_function")
    assert service_config(planned["deployed"])["service_account_email"].startswith("csr-signer@example-signer.")
    assert function["build_config"][0]["service_account"]
    accounts = {
        values["account_id"]
        for values in planned["deployed"].of_type("google_service_account").values()
        if "account_id" in values
    }
    assert {"csr-signer", "csr-signer-build", "csr-exporter-prod", "csr-exporter-site"} <= accounts


def test_hardening_reaches_every_part(planned: Mapping[str, Plan]) -> None:
    """Encryption at rest, labels, the build's pool and Direct VPC egress apply to all parts."""
    plan = planned["hardened"]
    key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest"
    assert plan.one("google_cloudfunctions2_function")["kms_key_name"] == key
    assert plan.one("google_artifact_registry_repository")["kms_key_name"] == key
    assert plan.one("google_storage_bucket")["encryption"][0]["default_kms_key_name"] == key
    assert service_config(plan)["direct_vpc_egress"] == "VPC_EGRESS_PRIVATE_RANGES_ONLY"
    build = plan.one("google_cloudfunctions2_function")["build_config"][0]
    assert build["worker_pool"] == "projects/example-signer/locations/europe-west1/workerPools/private"
    labelled = [address for address, values in plan.resources.items() if values.get("labels") == {"team": "platform"}]
    kinds = {address.split(".")[-2] for address in labelled}
    assert {
        "google_artifact_registry_repository",
        "google_cloudfunctions2_function",
        "google_kms_crypto_key",
        "google_storage_bucket",
    } <= kinds


def test_an_images_attestation_is_required(planned: Mapping[str, Plan]) -> None:
    """Binary Authorization applies to the service: an attestor can sign an image that a pipeline built."""
    assert planned["from_an_image"].one("google_cloud_run_v2_service")["binary_authorization"][0]["use_default"]


def test_each_service_may_use_the_encryption_key_first(planned: Mapping[str, Plan]) -> None:
    """The agents of all services that encrypt with the key have a grant; what they encrypt waits for the grants."""
    grants = {
        address: grant["role"]
        for address, grant in planned["hardened"].of_type("google_kms_crypto_key_iam_member").items()
        if address.startswith("google_kms_crypto_key_iam_member.use_encryption_key[")
    }
    assert {address.rpartition(" ")[2].strip('"]') for address in grants} == {
        "artifactregistry",
        "cloudfunctions",
        "run",
        "storage",
    }
    assert set(grants.values()) == {"roles/cloudkms.cryptoKeyEncrypterDecrypter"}
    modules = blocks(ROOT / "infra" / "function.tf", "module")
    assert all("time_sleep.encryption" in modules[name] for name in ("documents", "function", "service"))


def test_keys_are_hard_to_lose(planned: Mapping[str, Plan]) -> None:
    """A key is in an HSM, its destruction takes 30 days, and it never rotates automatically."""
    for key in planned["deployed"].of_type("google_kms_crypto_key").values():
        if "purpose" in key:
            assert key["version_template"] == [{"algorithm": "EC_SIGN_P384_SHA384", "protection_level": "HSM"}]
            assert key["destroy_scheduled_duration"] == "2592000s"
            assert key["purpose"] == "ASYMMETRIC_SIGN"


def test_only_the_exporters_own_token_is_exchanged(planned: Mapping[str, Plan]) -> None:
    """The provider accepts one subject, the one that may create tokens, and has the cluster's keys."""
    provider = planned["deployed"].one("google_iam_workload_identity_pool_provider")
    subject = "system:serviceaccount:kms-csr-signer:csr-exporter"
    assert provider["attribute_condition"] == f"assertion.sub == '{subject}'"
    assert provider["attribute_mapping"] == {"google.subject": "assertion.sub"}
    assert "keys" in provider["oidc"][0]["jwks_json"]
