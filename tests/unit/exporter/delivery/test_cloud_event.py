"""The event contract: golden files that the exporter writes byte for byte, and what is true of any event."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr_exporter import csr
from csr_exporter.csr import Stage
from csr_exporter.delivery import cloud_event
from tests.unit.exporter.golden import CASES, FOLDER, TRACE, UID, encoded
from tests.unit.exporter.support import SOURCE, reference


@pytest.mark.parametrize("name", CASES)
def test_the_exporter_writes_the_golden_event(name: str) -> None:
    """Every byte is part of the contract."""
    assert encoded(*CASES[name]).body == (FOLDER / name).read_bytes()


def test_every_golden_event_is_written_by_the_exporter() -> None:
    """No golden file is left over that nobody writes any more."""
    assert sorted(path.name for path in FOLDER.glob("*.json")) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_event_says_what_the_contract_says(name: str) -> None:
    """The attributes agree with each other and with the data, as the design's table has them."""
    it = encoded(*CASES[name])
    document = json.loads(it.body)
    assert set(document) == {
        "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "partitionkey", "traceparent",
        "data",
    }  # fmt: skip
    assert set(document["data"]) == {"name", "uid", "resourceVersion", "signerName"}
    assert document["id"].split("/")[0] == document["partitionkey"] == document["data"]["uid"] == UID
    assert document["subject"] == document["data"]["name"]
    assert document["type"] == "dev.csrsigner.certificatesigningrequest.actionable.v1"
    assert document["traceparent"] == it.traceparent


@pytest.mark.parametrize("name", CASES)
def test_attributes_have_the_form_that_cloudevents_demands(name: str) -> None:
    """CloudEvents 1.0 §3: names of lower case letters and digits, texts that are not empty, no control characters."""
    document = json.loads(encoded(*CASES[name]).body)
    for attribute, value in document.items():
        assert re.fullmatch(r"[a-z0-9]{1,20}", attribute)
        assert attribute == "data" or (isinstance(value, str) and value)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(value))


@pytest.mark.parametrize(
    ("stage", "resend", "identifier"),
    [(Stage.PENDING, 0, "/pending"), (Stage.APPROVED, 0, "/approved"), (Stage.APPROVED, 3, "/approved/r3")],
)
def test_ids(stage: Stage, resend: int, identifier: str) -> None:
    """The id follows from uid, stage and resend count, and from nothing else."""
    it = cloud_event.encode(source=SOURCE, reference=reference(), stage=stage, resend=resend)
    assert it.id == reference().uid + identifier
    assert it == cloud_event.encode(source=SOURCE, reference=reference(), stage=stage, resend=resend)


def test_the_trace_is_the_csrs_and_the_span_the_events() -> None:
    """W3C Trace Context: the uid without dashes, and a span for every event that is not a retry."""
    parents = [encoded("x", stage, resend).traceparent for stage in Stage for resend in (0, 1)]
    assert {parent[:36] for parent in parents} == {f"00-{TRACE}-"}
    assert len(set(parents)) == len(parents)
    assert encoded("x", Stage.PENDING).traceparent == encoded("y", Stage.PENDING).traceparent


@given(st.text(max_size=100))
def test_any_uid_gives_a_valid_traceparent(uid: str) -> None:
    """Also where it is no UUID, or the zero UUID, which would be no trace at all."""
    for each in (uid, "00000000-0000-0000-0000-000000000000"):
        trace = csr.trace_of(each)
        assert re.fullmatch(r"[0-9a-f]{32}", trace)
        assert trace != "0" * 32
        assert re.fullmatch(r"[0-9a-f]{16}", csr.span_of(each))


@given(st.text(st.characters(), max_size=512))
def test_any_name_gives_a_small_event_in_ascii(name: str) -> None:
    """Whatever a name holds, the event is one line of ASCII below 64 KiB from which the name can be read back."""
    body = encoded(name, Stage.PENDING).body
    assert len(body) < 64 << 10
    assert body.isascii()
    assert b"\n" not in body
    assert json.loads(body)["subject"] == name
