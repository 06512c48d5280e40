"""The event contract: golden files that the exporter writes byte for byte, and that the function's library reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cloudevents.http import from_http
from hypothesis import given
from hypothesis import strategies as st

from csr_exporter import event
from csr_exporter.csr import Reference, Stage
from tests.exporter.support import SOURCE, reference

GOLDEN = Path(__file__).parents[1] / "cases" / "events"
UID = "5d2a4b1e-8f0c-4e57-9a39-0c6f2e1b7d44"
DEMO = "//container.googleapis.com/projects/example-project/locations/europe-west1/clusters/demo"


def _encoded(name: str, stage: Stage, resend: int = 0) -> bytes:
    it = Reference(
        uid=UID,
        name=name,
        resource_version="184467",
        signer_name="csr-signer.example.com/calico",
        creation_timestamp="2026-11-24T10:00:00Z",
    )
    return event.encode(source=DEMO, reference=it, stage=stage, resend=resend).body


CASES = {
    "pending.json": _encoded("node-certs:calico-node-x7k2p", Stage.PENDING),
    "approved.json": _encoded("node-certs:calico-node-x7k2p", Stage.APPROVED),
    "resent.json": _encoded("node-certs:calico-node-x7k2p", Stage.APPROVED, 2),
    "name-with-json-syntax.json": _encoded('"},{"name":"x\\', Stage.PENDING),
    "name-beyond-ascii.json": _encoded("zertifikat-für-knoten-№7-🔑", Stage.PENDING),
    "name-of-512-bytes.json": _encoded("é" * 256, Stage.PENDING),
}


@pytest.mark.parametrize("name", CASES)
def test_the_exporter_writes_the_golden_event(name: str) -> None:
    """Every byte is part of the contract."""
    assert CASES[name] == (GOLDEN / name).read_bytes()


def test_every_golden_event_is_written_by_the_exporter() -> None:
    """No golden file is left over that nobody writes any more."""
    assert sorted(path.name for path in GOLDEN.glob("*.json")) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_functions_library_accepts_the_golden_event(name: str) -> None:
    """The version that functions-framework forces reads every attribute and the data as they were meant."""
    document = json.loads(CASES[name])
    read = from_http({"content-type": event.CONTENT_TYPE}, CASES[name])
    attributes = read.get_attributes()
    assert {key: attributes[key] for key in document if key != "data"} == {
        key: value for key, value in document.items() if key != "data"
    }
    assert read.get_data() == document["data"]


@pytest.mark.parametrize("name", CASES)
def test_the_event_says_what_the_contract_says(name: str) -> None:
    """The attributes agree with each other and with the data, as the design's table has them."""
    document = json.loads(CASES[name])
    assert set(document) == {
        "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "partitionkey", "data",
    }  # fmt: skip
    assert set(document["data"]) == {"name", "uid", "resourceVersion", "signerName"}
    assert document["id"].split("/")[0] == document["partitionkey"] == document["data"]["uid"] == UID
    assert document["subject"] == document["data"]["name"]
    assert document["type"] == "dev.csrsigner.certificatesigningrequest.actionable.v1"


@pytest.mark.parametrize(
    ("stage", "resend", "identifier"),
    [(Stage.PENDING, 0, "/pending"), (Stage.APPROVED, 0, "/approved"), (Stage.APPROVED, 3, "/approved/r3")],
)
def test_ids(stage: Stage, resend: int, identifier: str) -> None:
    """The id follows from uid, stage and resend count, and from nothing else."""
    encoded = event.encode(source=SOURCE, reference=reference(), stage=stage, resend=resend)
    assert encoded.id == reference().uid + identifier
    assert encoded == event.encode(source=SOURCE, reference=reference(), stage=stage, resend=resend)


@given(st.text(st.characters(), max_size=512))
def test_row_35_any_name_gives_a_small_event_in_ascii(name: str) -> None:
    """Whatever a name holds, the event is one line of ASCII below 64 KiB from which the name can be read back."""
    body = _encoded(name, Stage.PENDING)
    assert len(body) < 64 << 10
    assert body.isascii()
    assert b"\n" not in body
    assert json.loads(body)["subject"] == name
