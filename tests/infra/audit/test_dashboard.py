"""The audit module's dashboard."""

import json
import re

from tests.infra.audit.test_filters import FILTERS, MODULE


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    """Every chart's metric and label is one of the module's; every metric of the objective or of an alarm is shown."""
    dashboard = json.loads((MODULE / "dashboard.json").read_text(encoding="utf-8"))
    metrics = (MODULE / "metrics.tf").read_text(encoding="utf-8")
    shown = set()
    for tile in dashboard["mosaicLayout"]["tiles"]:
        for data in tile["widget"]["xyChart"]["dataSets"]:
            query = data["timeSeriesQuery"]["timeSeriesFilter"]
            name = re.fullmatch(
                r'metric\.type="logging\.googleapis\.com/user/csr_signer/(\w+)" AND resource\.type="logging_bucket"',
                query["filter"],
            )
            assert name is not None
            shown.add(name[1])
            (block,) = re.findall(rf"^    {name[1]} = {{\n(.*?)^    }}", metrics, re.MULTILINE | re.DOTALL)
            for label in query["aggregation"].get("groupByFields", ()):
                assert re.search(rf"\b{label.removeprefix('metric.label.')} +=", block)
    assert {name for name in FILTERS if not name.startswith("sink_")} - shown == {
        "issued_in_time",
        "issued_or_too_late",
    }
