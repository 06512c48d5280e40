"""The root module passes its settings on to the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.paths import DOCS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infra.terraform.plans import Plan


def test_names_location_and_key_reach_the_log_bucket(planned: Mapping[str, Plan]) -> None:
    """Without own settings, the log bucket has the function's region and key; all names begin with the deployment's."""
    bucket = planned["deployed"].one("google_logging_project_bucket_config")
    assert (bucket["bucket_id"], bucket["location"]) == ("csr-signer-audit", "europe-west1")
    assert bucket["cmek_settings"] == []
    key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest"
    assert planned["hardened"].one("google_logging_project_bucket_config")["cmek_settings"][0]["kms_key_name"] == key
    elsewhere = planned["second_deployment_with_its_log_bucket_elsewhere"]
    bucket = elsewhere.one("google_logging_project_bucket_config")
    assert (bucket["bucket_id"], bucket["location"]) == ("edge-signer-audit", "europe-west4")
    assert bucket["cmek_settings"][0]["kms_key_name"].endswith("/europe-west4/keyRings/storage/cryptoKeys/records")
    assert elsewhere.of_type("google_monitoring_monitored_project") == {}


def test_labels_reach_the_alerts(planned: Mapping[str, Plan]) -> None:
    """Alert policies have user labels."""
    policies = planned["hardened"].of_type("google_monitoring_alert_policy")
    assert policies
    assert [address for address, values in policies.items() if values["user_labels"] != {"team": "platform"}] == []


def test_the_page_on_costs_counts_the_conditions_of_alerts(planned: Mapping[str, Plan]) -> None:
    """Google bills each condition of an alert policy."""
    policies = planned["deployed"].of_type("google_monitoring_alert_policy").values()
    number = sum(len(values["conditions"]) for values in policies)
    assert f"{number} conditions of alert policies" in (DOCS / "cost.md").read_text(encoding="utf-8")


def test_the_use_of_a_retired_key_raises_the_alert(planned: Mapping[str, Plan]) -> None:
    """The filters of the audit trail name the keys of retired signers, too."""
    metrics = planned["retired_signer"].of_type("google_logging_metric")
    (filter_,) = [values["filter"] for values in metrics.values() if values["name"].endswith("/foreign_key_use")]
    assert "/cryptoKeys/old-calico|" in filter_
    assert "/cryptoKeys/prod-calico|" in filter_
