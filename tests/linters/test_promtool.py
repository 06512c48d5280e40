"""promtool accepts the Prometheus alerts, and each fires in its situation and in no other."""

import re
import subprocess
from pathlib import Path
from typing import Final

import yaml

from signerctl.cluster.monitoring import ALERTS
from tests.infra.monitoring.queries import of_the_dashboard
from tests.paths import DOCS

MONITORING: Final = DOCS / "monitoring.md"
TESTS: Final = Path(__file__).parent / "promtool" / "alerts_test.yaml"


def promtool_says(promtool: Path, *arguments: str | Path) -> str:
    """Returns what promtool prints after a success."""
    command = [str(promtool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_alerts(promtool: Path) -> None:
    """Their syntax, queries and templates."""
    assert "SUCCESS" in promtool_says(promtool, "check", "rules", "--lint=all", "--lint-fatal", ALERTS)


def test_each_alert_fires_in_its_situation(promtool: Path) -> None:
    """By Prometheus' own engine; a situation names all alerts that fire in it."""
    assert "SUCCESS" in promtool_says(promtool, "test", "rules", TESTS)


def test_promtool_accepts_the_dashboards_queries(promtool: Path, tmp_path: Path) -> None:
    """Each as a recording rule."""
    rules = [{"record": f"q{number}", "expr": each.expression} for number, each in enumerate(of_the_dashboard())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool_says(promtool, "check", "rules", tmp_path / "rules.yaml")


def test_every_alert_has_a_situation() -> None:
    """In which it fires."""
    situations = TESTS.read_text(encoding="utf-8")
    alerts = [rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert len(alerts) == len(set(alerts))
    assert [name for name in alerts if f'{{alertname="{name}"' not in situations] == []


def test_a_changed_threshold_is_found(promtool: Path, tmp_path: Path) -> None:
    """The situations notice an alert that no longer fires."""
    rules = ALERTS.read_text(encoding="utf-8").replace("undelivered_seconds) > 60", "undelivered_seconds) > 6000")
    (tmp_path / "alerts.yaml").write_text(rules, encoding="utf-8")
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8")) | {"rule_files": ["alerts.yaml"]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    command = [str(promtool), "test", "rules", str(tmp_path / "tests.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "CsrUndelivered" in done.stdout + done.stderr


def test_promtool_accepts_the_documented_scrape_configuration(promtool: Path, tmp_path: Path) -> None:
    """As docs/monitoring.md has it, without the files that it names."""
    text = MONITORING.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(scrape_configs:.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "prometheus.yml").write_text(block, encoding="utf-8")
    assert "SUCCESS" in promtool_says(promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.yml")
