"""docs/audit.md: every event and field that is written stands there, and nothing else does."""

import json
import re
from collections import defaultdict
from typing import Any, Final

from csr_signer.audit import EVENTS
from csr_signer.policy.inputs import OMITTED
from tests.infra.audit.conftest import Run
from tests.infra.audit.entries import FUNCTION_PROJECT
from tests.infra.audit.test_filters import FILTERS, MODULE
from tests.paths import DOCS

DOCUMENT: Final = DOCS / "audit.md"
RARE: Final = {"superseded_intent"}
"""Fields that this run does not write; tests of the function do."""
RARE_INPUTS: Final = {"node", OMITTED}
"""Inputs that this run does not write: the node of a host, whose addresses are certified; what is too large."""
CERTIFICATE: Final = {"intent", "issued", "abandoned"}
GROUPS: Final = {
    "all": {*EVENTS, "CA"},
    "CSR": {*CERTIFICATE, "refused", "deferred", "ignored"},
    "certificate": CERTIFICATE,
}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def documented() -> dict[str, set[str]]:
    """The events of each field; CA for the lines of signerctl."""
    fields = {}
    for name, where, _ in rows("Fields"):
        words = [word.strip("` ") for word in where.split(",")]
        fields[name.strip("`")] = set().union(*(GROUPS.get(word, {word}) for word in words))
    return fields


def written(run: Run) -> dict[str, list[dict[str, Any]]]:
    """The lines of the run by event, those of signerctl as CA."""
    found = defaultdict(list)
    for line in run.records:
        if line.startswith('{"severity"'):
            record = json.loads(line)
            found[record["event"]].append(record)
    found["CA"] = [json.loads(line) for line in run.administration]
    return found


def test_the_events_are_those_of_the_code(run: Run) -> None:
    """With the code's own words, and the severities that they have."""
    table = {event.strip("`"): (severities, meaning) for event, severities, meaning in rows("Events")}
    assert {event: meaning for event, (_, meaning) in table.items()} == dict(EVENTS)
    for event, records in written(run).items():
        if event != "CA":
            assert {record["severity"] for record in records} <= set(table[event][0].split(", "))


def test_every_field_that_is_written_is_documented(run: Run) -> None:
    """For the event in which it stands."""
    fields = documented()
    for event, records in written(run).items():
        for record in records:
            assert {name for name in record if event not in fields.get(name, ())} == set()


def test_every_documented_field_is_written(run: Run) -> None:
    """Nothing is promised that is not there."""
    seen = {name for records in written(run).values() for record in records for name in record}
    assert set(documented()) - seen == RARE


def test_the_inputs_of_a_decision_are_documented(run: Run) -> None:
    """Each member, and each field in it; each record of a decision has them."""
    documented = {name.strip("`"): set(re.findall("`([a-z_]+)`", text)) for name, text in rows("Inputs of a decision")}
    records = [record for event in ("intent", "refused") for record in written(run)[event]]
    seen: dict[str, set[str]] = {}
    for record in records:
        for name, fields in record["decision_inputs"].items():
            seen.setdefault(name, set()).update(fields)
    assert set(documented) == {*seen, *RARE_INPUTS}
    for name, fields in seen.items():
        assert fields <= documented[name], name


def test_all_records_of_a_csr_are_one_trace(run: Run) -> None:
    """That of its events; in Cloud Logging's form, so that Cloud Trace shows them side by side."""
    for event, records in written(run).items():
        for record in records:
            if record["csr_uid"] and event != "CA":
                trace = f"projects/{FUNCTION_PROJECT}/traces/{record['csr_uid'].replace('-', '')}"
                assert record["logging.googleapis.com/trace"] == trace


def test_every_line_has_an_insert_id_of_its_own(run: Run) -> None:
    """No two of this run are taken for one."""
    lines = [record for records in written(run).values() for record in records]
    assert len({record["logging.googleapis.com/insertId"] for record in lines}) == len(lines)


def test_every_filter_is_named() -> None:
    """The filters of the alerts, of the dashboard and of the sinks."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Alerts")[2]
    named = set(re.findall(r"`([a-z_]+)`", text.partition("\n## ")[0]))
    assert named == set(FILTERS)


def test_every_alert_is_documented_with_its_severity() -> None:
    """As the module has it; those of more than one entry are in the document by hand."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*.tf")))
    alerts = dict(re.findall(r'^    (\w+) = \{\n      severity = "(\w+)"', text, re.MULTILINE))
    table = {filter_.strip("`"): severity for _, filter_, severity in rows("Alerts")}
    assert alerts
    assert {name: table[name] for name in alerts} == alerts
    policies = len(re.findall(r'^resource "google_monitoring_alert_policy"', text, re.MULTILINE))
    assert len(table) == len(alerts) + policies - 1  # one of the policies is for all alerts of one entry


def test_every_record_has_plain_text(run: Run) -> None:
    """No field holds a quoted text: a search for a name finds it."""
    records = [record for records in written(run).values() for record in records]
    assert {"csr_name", "requester", "node", "ca", "subject"} <= {name for record in records for name in record}
    for record in records:
        assert {name: value for name, value in record.items() if str(value).startswith('"')} == {}


def test_every_record_of_an_event_has_its_id(run: Run) -> None:
    """It leads from a line to the exporter's lines; only a line without an event has none."""
    for event, records in written(run).items():
        for record in records:
            stage = f"{record['csr_uid']}/pending" if record["csr_uid"] and event != "CA" else ""
            assert record["event_id"] == stage
