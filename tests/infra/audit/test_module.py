"""The audit module's other files: the SQL that looks for signatures without records, and the dashboard."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

import pytest

from tests.infra.audit.conftest import Run
from tests.infra.audit.entries import FUNCTION, Entry
from tests.infra.audit.test_filters import FILTERS, MODULE, said

VIEW: Final = "example-audit.europe-west1.csr-signer-audit._AllLogs"
MINUTES: Final = dict(
    re.findall(r'offset = (\d+), minutes = "([^"]+)"', (MODULE / "alerts.tf").read_text(encoding="utf-8"))
)


def _json_value(document: str | None, path: str) -> str | None:
    """As GoogleSQL: a scalar as a text, NULL where nothing is."""
    value = None if document is None else said(json.loads(document), *path.removeprefix("$.").split("."))
    return None if value is None else str(value)


def _concat(*values: str | None) -> str | None:
    """As GoogleSQL: NULL where one is NULL."""
    return None if None in values else "".join(map(str, values))


def _snake(value: Any) -> Any:
    """JSON of the API as Log Analytics names its fields."""
    if isinstance(value, dict):
        return {re.sub(r"(?<=[a-z])([A-Z])", r"_\1", key).lower(): _snake(inner) for key, inner in value.items()}
    return value


def looked_for(entries: Iterable[Entry], minutes: str, minute: Callable[[Entry], str]) -> list[str | None]:
    """What the query finds, run by SQLite with GoogleSQL's functions over entries as Log Analytics shows them."""
    query = (MODULE / "unrecorded_signatures.sql").read_text(encoding="utf-8")
    for name, value in {"view": VIEW, "function_service_account": FUNCTION, "minutes": minutes}.items():
        query = query.replace(f"${{{name}}}", value)
    database = sqlite3.connect(":memory:")
    try:
        database.create_function("JSON_VALUE", 2, _json_value)
        database.create_function("TO_JSON", 1, lambda value: value)
        database.create_function("CONCAT", -1, _concat)
        database.create_function("FORMAT_TIMESTAMP", 2, lambda _, text: f"{datetime.fromisoformat(text):%M}")
        database.execute(f"CREATE TABLE `{VIEW}` (timestamp, json_payload, proto_payload, resource)")
        for entry in entries:
            proto = entry.get("protoPayload")
            row = (
                f"2026-03-14T09:{minute(entry)}:00+00:00",
                json.dumps(entry["jsonPayload"]) if "jsonPayload" in entry else None,
                json.dumps({"audit_log": _snake(proto)}) if proto else None,
                json.dumps(entry["resource"]),
            )
            database.execute(f"INSERT INTO `{VIEW}` VALUES (?, ?, ?, ?)", row)  # noqa: S608 - a name of ours
        return [row[2] for row in database.execute(query)]
    finally:
        database.close()


def test_a_signature_without_a_record_is_found(run: Run) -> None:
    """Of all that were made with the function's identity, exactly those that it did not record."""
    rogue = [entry for name, entry in run.rogue.items() if name.startswith("as the function")]
    expected = [said(entry, "protoPayload", "requestMetadata", "requestAttributes", "reason") for entry in rogue]
    assert len(expected) == 3
    assert sorted(map(str, looked_for(run.entries, MINUTES["0"], lambda _: "30"))) == sorted(map(str, expected))


def test_one_record_of_a_signature_is_enough(run: Run) -> None:
    """At the edge of what the query sees either its intent or its outcome may be missing, but not both."""
    for missing in (("intent",), ("issued", "abandoned")):
        seen = [entry for entry in run.entries if said(entry, "jsonPayload", "event") not in missing]
        assert len(looked_for(seen, MINUTES["0"], lambda _: "30")) == 3
    unrecorded = [
        entry for entry in run.entries if said(entry, "jsonPayload", "event") not in ("intent", "issued", "abandoned")
    ]
    assert len(looked_for(unrecorded, MINUTES["0"], lambda _: "30")) > 3


def test_a_record_of_another_service_or_key_explains_nothing(run: Run) -> None:
    """Records count where Cloud Run wrote them, and for the key version that they name."""
    forged = [
        entry | {"resource": {**entry["resource"], "type": "global"}} if "jsonPayload" in entry else entry
        for entry in run.entries
    ]
    of_function = [entry for entry in run.signatures if FUNCTION in json.dumps(entry)]
    assert len(looked_for(forged, MINUTES["0"], lambda _: "30")) == len(of_function)


@pytest.mark.parametrize("minute", range(60))
def test_every_minute_of_the_hour_is_looked_at_far_from_an_edge(run: Run, minute: int) -> None:
    """Two conditions with edges half an hour apart: one of them looks, and none within ten minutes of its own edge."""
    entries = [run.rogue["as the function, without a reason"]]
    looked = {offset for offset, minutes in MINUTES.items() if looked_for(entries, minutes, lambda _: f"{minute:02}")}
    assert looked
    for offset in looked:
        distance = (minute - int(offset)) % 60
        assert 10 <= distance < 50


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
