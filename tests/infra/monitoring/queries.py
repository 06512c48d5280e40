"""Reads PromQL far enough to know which metrics, labels and label values a query names. promtool judges the syntax."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from signerctl.cluster.monitoring import ALERTS
from tests.paths import INFRA

DASHBOARD: Final = INFRA / "monitoring" / "dashboard.json"
_SELECTOR: Final = re.compile(r"\b((?:csr_exporter|process|kube)_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring) \(([^)]*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query, where it stands, and the labels that its texts show as `{{label}}`."""

    where: str
    expression: str
    shown: tuple[str, ...]

    def selectors(self) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
        """Yields each metric with the matchers of its labels."""
        for name, matchers in _SELECTOR.findall(self.expression):
            yield name, _MATCHER.findall(matchers)

    def labels(self) -> set[str]:
        """Returns the labels by which the query groups, and those that it shows."""
        return {each.strip() for found in _GROUPING.findall(self.expression) for each in found.split(",")} | {
            *self.shown
        }


def of_the_alerts() -> Iterator[Query]:
    """Yields the query of each alert."""
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            shown = re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))
            yield Query(where=rule["alert"], expression=rule["expr"], shown=tuple(shown))


def of_the_dashboard() -> Iterator[Query]:
    """Yields each query of the dashboard."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            shown = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            yield Query(where=panel["title"], expression=target["expr"], shown=tuple(shown))
