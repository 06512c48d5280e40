"""docs/monitoring.md: its table has every alert of Prometheus and of Google, and its examples fit the manifests."""

import re
from typing import Final

import yaml

from signerctl.cluster.monitoring import ALERTS
from tests.paths import DOCS, INFRA

DOCUMENT: Final = DOCS / "monitoring.md"
AUDIT: Final = INFRA / "modules" / "audit"


def rows() -> list[list[str]]:
    """Returns the rows of the table of alerts."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n## Alerts\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def of_google() -> set[str]:
    """Returns the names of the audit module's alerts."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(AUDIT.glob("*.tf")))
    policies = set(re.findall(r'^resource "google_monitoring_alert_policy" "(\w+)"', text, re.MULTILINE))
    alerts = (AUDIT / "alerts.tf").read_text(encoding="utf-8").partition("  alerts = {\n")[2].partition("\n  }\n")[0]
    return (policies - {"found"}) | set(re.findall(r"^    (\w+) = \{$", alerts, re.MULTILINE))


def rules() -> dict[str, dict[str, str]]:
    """Returns the annotations of Prometheus' alerts by name."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule["annotations"] for group in groups for rule in group["rules"]}


def test_every_alert_of_prometheus_has_its_row() -> None:
    """In the order of the file, with the anchor that its annotation names."""
    named = [re.fullmatch(r'<a id="(\w+)"></a>`(\w+)`', first) for first, *_ in rows() if first != "-"]
    assert [match and match[2] for match in named] == list(rules())
    for match in named:
        assert match is not None
        assert rules()[match[2]]["runbook"] == f"docs/monitoring.md#{match[1]}"
        assert match[1] == match[2].lower()


def test_every_alert_of_google_has_its_row() -> None:
    """Beside ours, or alone where an exporter cannot see the fault."""
    assert {name for _, _, google, _ in rows() for name in re.findall(r"`(\w+)`", google)} == of_google()
    assert len(of_google()) > 10


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    """Summary, description and runbook."""
    for annotations in rules().values():
        assert set(annotations) == {"summary", "description", "runbook"}
