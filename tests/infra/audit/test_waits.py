"""What the audit module waits for, and what it keeps. A plan shows neither, so these tests read the files.

Google's own delays cannot be shown here: a grant takes a minute or two, and Cloud Monitoring learns of a log-based
metric up to ten minutes late.
"""

import re
from typing import Final

from tests.infra.audit.test_filters import MODULE

RESOURCES: Final = {
    (kind, name): body
    for path in sorted(MODULE.glob("*.tf"))
    for kind, name, body in re.findall(
        r'^resource "(\w+)" "(\w+)" \{[^\n]*\n(.*?)^\}$', path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
}


def test_a_policy_on_a_metric_waits_until_monitoring_knows_it() -> None:
    """Google refuses a policy or objective on a metric that Cloud Monitoring does not know yet."""
    on_metrics = {key for key, body in RESOURCES.items() if "local.metric_filters[" in body}
    assert len(on_metrics) == 5
    for key in on_metrics:
        assert "depends_on = [time_sleep.metrics]" in RESOURCES[key], key


def test_the_sql_waits_for_its_service_agents_grants() -> None:
    """Google runs the SQL as that agent, and reports a query without the right to read only in a log."""
    for name in ("unfinished_runs", "unrecorded_signatures"):
        assert "depends_on = [time_sleep.monitoring]" in RESOURCES["google_monitoring_alert_policy", name]
    grants = {name for kind, name in RESOURCES if "_iam_member" in kind and "service_identity" in RESOURCES[kind, name]}
    assert grants == {"monitoring"}
    after = re.findall(r"google_\w+_iam_member\.\w+", RESOURCES["time_sleep", "monitoring"])
    assert sorted(after) == ["google_bigquery_dataset_iam_member.monitoring", "google_project_iam_member.monitoring"]


def test_a_later_apply_keeps_the_right_on_the_key() -> None:
    """While Terraform enables another API, it does not know the agent, and would replace the grant."""
    assert "ignore_changes = [member]" in RESOURCES["google_kms_crypto_key_iam_member", "encrypt"]
