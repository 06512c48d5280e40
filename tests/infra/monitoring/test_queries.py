"""Every query of the alerts and of the dashboard names what a running exporter exposes."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
import urllib3

from csr_exporter.configuration import MetricsEndpoint
from csr_exporter.exporter import Exporter
from development import metrics
from sandbox.exporter_runtime import PREFIX
from tests.infra.monitoring.queries import DASHBOARD, Query, of_the_alerts, of_the_dashboard
from tests.unit.exporter.cluster import Cluster, Sink
from tests.unit.exporter.support import wait_until

QUERIES: Final = [*of_the_alerts(), *of_the_dashboard()]
FOREIGN: Final = {
    "up": {"job"},
    "kube_cronjob_status_last_successful_time": {"cronjob"},
    "kube_cronjob_created": {"cronjob"},
    "kube_pod_created": {"namespace", "pod"},
}
"""Metrics of Prometheus itself and of kube-state-metrics, with the labels that a query may use."""
OF_THE_TARGET: Final = {"job", "instance"}
OF_HISTOGRAMS: Final = {"le"}
_TYPE: Final = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
_SUFFIXES: Final = {"histogram": ("_bucket", "_sum", "_count")}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What other hosts scrape from an exporter that has sent an event."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    endpoint = MetricsEndpoint(address="127.0.0.1", port=0)
    try:
        with Sink() as sink:
            configuration = replace(cluster.configuration(sink.server.url), metrics=endpoint)
            with Exporter(configuration) as exporter:
                cluster.create("csr-1")
                wait_until(lambda: "send_attempts_total:2xx" in exporter.metrics.counts)
                yield urllib3.request("GET", f"http://{exporter.metrics_address}/metrics").data.decode()
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def series(page: str) -> set[str]:
    """The names of all series."""
    return {f"{name}{suffix}" for name, kind in _TYPE.findall(page) for suffix in _SUFFIXES.get(kind, ("",))}


def described(name: str) -> str:
    """Returns a metric's name as docs/metrics.md groups it."""
    return re.sub(r"_(total|bucket|sum|count)$", "", name.removeprefix(PREFIX))


def test_the_page_shows_the_moment(page: str) -> None:
    """The gauges are those of the scrape, and the exporter is ready."""
    assert f'\n{PREFIX}csr_pending{{stage="pending"}} 1.0\n' in page
    assert f"\n{PREFIX}ready 1.0\n" in page


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_every_metric_exists(query: Query, series: set[str]) -> None:
    """A misspelled name would make an alert that never fires."""
    names = [name for name, _ in query.selectors()]
    assert names
    assert [name for name in names if name not in series and name not in FOREIGN] == []


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_every_label_and_its_values_exist(query: Query) -> None:
    """The values are those of the code."""
    known = set(OF_THE_TARGET)
    for name, matchers in query.selectors():
        values = {label: given for (metric, label), given in metrics.VALUES.items() if metric == described(name)}
        labels = FOREIGN.get(name, OF_THE_TARGET | {*values} | (OF_HISTOGRAMS if name.endswith("_bucket") else set()))
        known |= labels
        for label, operator, value in matchers:
            assert label in labels, (name, label)
            if label in values:
                assert {*(value.split("|") if operator == "=~" else [value])} <= {*values[label]}
    assert query.labels() <= known | OF_HISTOGRAMS


def test_bounds_of_histograms_exist(page: str) -> None:
    """An alert compares with a bucket that there is."""
    bounds = {
        (name, value)
        for query in QUERIES
        for name, found in query.selectors()
        for label, _, value in found
        if label == "le"
    }
    assert bounds == {(f"{PREFIX}issuance_seconds_bucket", "30.0")}
    for name, bound in bounds:
        assert f'\n{name}{{le="{bound}"}} ' in page


def test_every_metric_is_documented(page: str) -> None:
    """In docs/metrics.md, with its kind."""
    text = metrics.DOCUMENT.read_text(encoding="utf-8")
    for name, kind in _TYPE.findall(page):
        assert f"| `{name}` | {kind} |" in text or f"`{name}`" in text.partition(metrics.END)[2]
    assert {*metrics.MEANINGS} == {described(name) for name, _ in _TYPE.findall(page) if name.startswith(PREFIX)}


def test_an_unknown_name_is_found(series: set[str]) -> None:
    """The check itself notices a misspelled metric."""
    wrong = Query(where="", expression='rate(csr_exporter_retry_total{reason="later"}[5m])', shown=())
    ((name, matchers),) = wrong.selectors()
    assert name not in series
    assert matchers == [("reason", "=", "later")]


def test_the_dashboard_has_no_hole() -> None:
    """Grafana's grid has 24 columns; no two panels overlap, and every id is its own."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    cells = [
        (x, y)
        for each in panels
        for x in range(each["gridPos"]["x"], each["gridPos"]["x"] + each["gridPos"]["w"])
        for y in range(each["gridPos"]["y"], each["gridPos"]["y"] + each["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) == 24 * (1 + max(y for _, y in cells))
    assert len({each["id"] for each in panels}) == len(panels)
