"""Steps 9 and 11, record: one line per record, in one write, and nothing hostile in it."""

import asyncio
import contextlib
import gc
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer import audit, der, errors
from csr_signer.audit import Audit, AuditRecord, LineWriter, attestation_facts, certificate_facts, csr_facts, fault
from csr_signer.errors import AuditError
from csr_signer.issuance.certificate import build
from csr_signer.issuance.lint import LintError, lint
from tests.unit.function.builders import (
    CSR_UID,
    KEY_VERSION,
    POD_IDENTIFIER,
    SIGNER_NAME,
    authority,
    make_attestation,
    make_csr,
    make_issuer,
    make_permit,
    make_pod,
    make_request,
    make_signer,
)

NOW = datetime(2026, 3, 14, 9, 27, 1, 250_000, tzinfo=UTC)
HOSTILE = '\x1b[31m"}\n{"severity":"ERROR"\u2028\ud800\x00é'


def record(**changes: Any) -> AuditRecord:
    """A record."""
    values: dict[str, Any] = {
        "event": "issued",
        "severity": "NOTICE",
        "message": "issued a certificate",
        "csr_uid": CSR_UID,
        "event_id": f"{CSR_UID}/pending",
        "facts": {"component": "calico-node"},
    }
    return AuditRecord(**values | changes)


def lines(*records: AuditRecord, project: str = "", trace_id: str = "") -> list[bytes]:
    """What was given to the writer, one entry per call."""
    written: list[bytes] = []
    journal = Audit(write=written.append, project=project, clock=lambda: NOW)
    for each in records:
        asyncio.run(journal.record(each, trace_id=trace_id))
    return written


def test_a_record_is_one_line_in_one_write() -> None:
    """JSON of Cloud Logging: severity, message, labels to find it by, and its facts."""
    (line,) = lines(record())
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    entry = json.loads(line)
    assert len(entry.pop("logging.googleapis.com/insertId")) == 32
    assert entry == {
        "severity": "NOTICE",
        "time": "2026-03-14T09:27:01.250000+00:00",
        "message": "issued a certificate",
        "logging.googleapis.com/labels": {"log": "csr-signer", "event": "issued", "csr_uid": CSR_UID},
        "event": "issued",
        "csr_uid": CSR_UID,
        "event_id": f"{CSR_UID}/pending",
        "component": "calico-node",
    }


def test_an_event_that_is_not_in_the_catalogue_is_no_record() -> None:
    """Filters and alerts know the events: a new one is added to EVENTS and to docs/audit.md first."""
    with pytest.raises(ValueError, match="'signed' is not in EVENTS"):
        record(event="signed")


def test_cluster_and_signer_are_labels_too() -> None:
    """People search by them; a record that belongs to no CSR has them where its facts do."""
    (line,) = lines(record(facts={"cluster": "demo", "signer_name": SIGNER_NAME, "reason": "gone"}))
    labels = json.loads(line)["logging.googleapis.com/labels"]
    assert labels == {
        "log": "csr-signer",
        "event": "issued",
        "csr_uid": CSR_UID,
        "cluster": "demo",
        "signer_name": SIGNER_NAME,
    }


def test_the_insert_id_is_that_of_the_line() -> None:
    """A line that is sent twice counts once; lines that differ in anything, if only in their trace, count each."""

    def insert_id(line: bytes) -> object:
        return json.loads(line)["logging.googleapis.com/insertId"]

    twice = [insert_id(line) for line in lines(record(), record())]
    other = insert_id(lines(record(facts={"component": "calico-typha"}))[0])
    traced = insert_id(lines(record(), project="p", trace_id="0af7")[0])
    assert twice[0] == twice[1]
    assert len({twice[0], other, traced}) == 3


@pytest.mark.parametrize(
    ("created", "age"),
    [(NOW - timedelta(seconds=29.5), 29.5), (NOW + timedelta(seconds=1), 0.0)],
    ids=["older", "created by a clock that is ahead"],
)
def test_a_record_says_how_old_its_csr_was(created: datetime, age: float) -> None:
    """Seconds from creation to this line: what pods wait for; never negative."""
    (line,) = lines(record(created=created))
    assert json.loads(line)["age_seconds"] == age


def test_a_record_without_a_clock_of_its_own_has_the_time_now() -> None:
    """In production nobody gives a clock."""
    written: list[bytes] = []
    before = datetime.now(UTC)
    asyncio.run(Audit(write=written.append).record(record()))
    assert before <= datetime.fromisoformat(json.loads(written[0])["time"]) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("project", "trace_id", "trace"),
    [("p", "0af7", "projects/p/traces/0af7"), ("", "0af7", None), ("p", "", None)],
)
def test_a_trace_is_named_where_there_is_one(project: str, trace_id: str, trace: str | None) -> None:
    """Records of one request are found in its trace, where project and trace are known."""
    (line,) = lines(record(), project=project, trace_id=trace_id)
    assert json.loads(line).get("logging.googleapis.com/trace") == trace


@settings(max_examples=50)
@given(message=st.text(), facts=st.dictionaries(st.sampled_from(["a", "b"]), st.text() | st.integers() | st.none()))
def test_any_text_stays_within_its_line(message: str, facts: dict[str, Any]) -> None:
    """ASCII, valid JSON, one line end: no text can end the record or begin another."""
    (line,) = lines(record(message=message, facts=facts))
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line)["severity"] == "NOTICE"
    assert line.decode().removesuffix("\n").isprintable()


def test_hostile_names_of_a_csr_are_escaped_and_bounded() -> None:
    """Name and username are the requester's to choose, in any length.

    JSON alone escapes them: a reader gets the text itself, without quotes inside quotes. A lone surrogate, for which a
    reader may drop the line, is replaced.
    """
    csr = make_csr()
    csr = replace(csr, name=HOSTILE * 1000, requester=replace(csr.requester, username=HOSTILE * 1000))
    facts = csr_facts(csr, make_signer())
    (line,) = lines(record(facts=facts))
    assert len(line) < 4096
    assert line.count(b"\n") == 1
    entry = json.loads(line)
    assert entry["severity"] == "NOTICE"
    plain = (HOSTILE * 1000).replace("\ud800", "?")[:128] + "..."
    assert (entry["csr_name"], entry["requester"]) == (plain, plain)


def test_facts_of_a_csr_say_who_asked_for_what() -> None:
    """These facts stand in every record; they name the request by its hash."""
    csr = make_csr()
    facts = csr_facts(csr, make_signer())
    assert facts == {
        "cluster": "demo",
        "signer_name": SIGNER_NAME,
        "csr_name": "node-certs:calico-node-x7k2p",
        "csr_resource_version": "4711",
        "requester": "system:serviceaccount:calico-system:calico-node",
        "request_sha256": hashlib.sha256(make_request()).hexdigest(),
        "configuration_digest": "0" * 64,
    }


def test_facts_of_an_attestation_say_which_pod_it_was() -> None:
    """Pod, uid, node and the first few addresses that were visible, for people and for queries."""
    csr = make_csr()
    pod = replace(make_pod(pod_ips=tuple(map(str, ip_network("192.0.2.0/29")))), node_name=HOSTILE)
    facts = attestation_facts(make_attestation(csr, pod))
    assert facts == {
        "pod": "calico-system/calico-node-x7k2p",
        "pod_uid": POD_IDENTIFIER,
        "node": HOSTILE.replace("\ud800", "?"),
        "visible_addresses": ["10.132.0.7", "192.0.2.0", "192.0.2.1", "192.0.2.2"],
    }


def test_facts_of_a_pod_that_is_gone_say_which_it_was() -> None:
    """What the token says stands in the record even where no such pod is; a requester without one has no facts."""
    csr = make_csr()
    gone = {"pod": "calico-system/calico-node-x7k2p", "pod_uid": POD_IDENTIFIER}
    assert attestation_facts(make_attestation(csr, None)) == gone
    assert attestation_facts(make_attestation(make_csr(username="attacker"), None)) == {}


def test_facts_of_a_certificate_say_what_is_certified() -> None:
    """Names, key, validity, serial number and the hash that KMS's own log has; of addresses left out the first few."""
    left_out = tuple(ip_network("192.0.2.0/28"))
    permit = make_permit(ip_addresses=(ip_address("10.0.0.5"),), unconfirmed_addresses=left_out)
    issuer = make_issuer()
    algorithm = authority().algorithm
    tbs = lint(build(permit, issuer, algorithm), permit, issuer, algorithm)
    assert certificate_facts(permit, tbs, KEY_VERSION) == {
        "component": "calico-node",
        "common_name": "typha-client",
        "dns_names": ["typha-client"],
        "ip_addresses": ["10.0.0.5"],
        "extended_key_usage": ["serverAuth", "clientAuth"],
        "unconfirmed_addresses": ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
        "public_key": "P-256",
        "public_key_sha256": permit.public_key.sha256,
        "not_before": "2026-03-14T09:21:53+00:00",
        "not_after": "2027-03-14T09:26:53+00:00",
        "serial_number": der.hexadecimal(tbs.serial_number),
        "tbs_sha256": hashlib.sha256(tbs.der).hexdigest(),
        "key_version": KEY_VERSION,
    }


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (errors.ConfigurationError("key disabled"), "ERROR"),
        (errors.IntegrityError("checksum"), "ERROR"),
        (LintError("lint"), "ERROR"),
        (errors.UnavailableError("timeout"), "WARNING"),
        (errors.QuotaError("quota"), "WARNING"),
        (errors.ConflictError("modified"), "WARNING"),
        (errors.EventError("no event"), "WARNING"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_a_fault_is_an_error_where_a_human_must_act(error: errors.SignerError, severity: str) -> None:
    """Alerts look at severity; what time or the sender heals is a warning."""
    made = fault(error, csr_uid=CSR_UID, event_id="e")
    assert (made.event, made.severity, made.message) == ("fault", severity, str(error))
    assert made.facts["fault"] == type(error).__name__
    assert made.facts["status"] == error.status
    assert made.event_id == "e"


def test_a_fault_names_its_cluster_where_it_is_known() -> None:
    """An event that is none of ours belongs to no cluster."""
    error = errors.UnavailableError("timeout")
    assert fault(error, csr_uid=CSR_UID, event_id="e", cluster="demo").facts["cluster"] == "demo"
    assert "cluster" not in fault(error, csr_uid="", event_id="").facts


def test_a_fault_is_bounded() -> None:
    """However long a message is; `cloud_event.receive` bounds the event's id."""
    made = fault(errors.UnavailableError("x" * 10**6), csr_uid="", event_id="e")
    (line,) = lines(made)
    assert len(line) < 4096


def refusing(error: OSError) -> Callable[[bytes], None]:
    """A writer that fails."""

    def write(line: bytes) -> None:
        raise error

    return write


def test_an_intent_that_cannot_be_written_raises() -> None:
    """The exception reaches the caller, which then does not sign."""
    with pytest.raises(AuditError, match="cannot write the audit record"):
        asyncio.run(Audit(write=refusing(OSError(28, "No space left on device"))).record(record()))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe in place of standard output: its reading and its writing end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_line_goes_to_standard_output_in_one_system_call(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other writers cannot stand inside it."""
    reading, writing = pipe
    calls: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    asyncio.run(Audit(write=LineWriter(writing)).record(record()))
    line = os.read(reading, 1 << 16)
    assert json.loads(line)["event"] == "issued"
    assert calls == [len(line)]


def test_a_line_that_was_written_in_part_does_not_swallow_the_next(pipe: tuple[int, int]) -> None:
    """A part of a line is no record, the exception says so, and the next record stands on a line of its own."""
    reading, writing = pipe
    os.set_blocking(writing, False)
    writer = LineWriter(writing)
    with pytest.raises(OSError, match=r"wrote only \d+ of 4194304 bytes of an audit record"):
        writer(b"x" * (1 << 22))
    os.read(reading, 1 << 22)
    asyncio.run(Audit(write=writer).record(record()))
    empty, line = os.read(reading, 1 << 16).split(b"\n")[:2]
    assert empty == b""
    assert json.loads(line)["event"] == "issued"


def test_a_full_standard_output_blocks_no_thread(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pipe is a fault after a time limit; no thread hangs forever."""
    _, writing = pipe
    monkeypatch.setattr(audit, "WRITE_SECONDS", 0.05)
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    with pytest.raises(AuditError, match="cannot write the audit record"):
        asyncio.run(Audit(write=LineWriter(writing)).record(record()))


class Stuck:
    """A writer that blocks until the test releases it.

    Attributes:
        began: set when the first write begins.
        released: the test sets it, and writes continue.
        lines: the written lines.
    """

    def __init__(self) -> None:
        self.began = threading.Event()
        self.released = threading.Event()
        self.lines: list[bytes] = []

    def __call__(self, line: bytes) -> None:
        """Writes a line."""
        self.began.set()
        self.released.wait(30)
        self.lines.append(line)


def test_a_record_does_not_wait_behind_others_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a write hangs, the next record fails, and `Audit` does not write it later: its caller has not signed."""
    monkeypatch.setattr(audit, "WRITE_SECONDS", 0.05)
    writer = Stuck()
    records = Audit(write=writer)

    async def story() -> None:
        hanging = asyncio.create_task(records.record(record()))
        await asyncio.to_thread(writer.began.wait, 30)
        with pytest.raises(AuditError, match="an earlier write has not finished"):
            await records.record(record(message="too late"))
        writer.released.set()
        await asyncio.gather(hanging, return_exceptions=True)
        monkeypatch.undo()
        await records.record(record(message="in time"))

    asyncio.run(story())
    assert [json.loads(line)["message"] for line in writer.lines] == ["issued a certificate", "in time"]


def test_a_record_that_may_have_been_written_is_not_reported_as_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that is cancelled during its write waits until the outcome of the write is known."""
    writer = Stuck()
    records = Audit(write=writer)

    async def story() -> None:
        recording = asyncio.create_task(records.record(record()))
        await asyncio.to_thread(writer.began.wait, 30)
        recording.cancel()
        await asyncio.sleep(0)
        assert not recording.done()
        writer.released.set()
        with pytest.raises(asyncio.CancelledError):
            await recording
        assert len(writer.lines) == 1

    asyncio.run(story())


def test_a_cancelled_record_that_cannot_be_written_is_an_error() -> None:
    """Without the intent, the caller has nothing to abandon. asyncio reports no unhandled exception."""
    released = threading.Event()
    began = threading.Event()

    def failing(_: bytes) -> None:
        began.set()
        released.wait(30)
        raise OSError(28, "No space left on device")

    async def story() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        recording = asyncio.create_task(Audit(write=failing).record(record()))
        await asyncio.to_thread(began.wait, 30)
        recording.cancel()
        released.set()
        with pytest.raises(AuditError, match="No space left on device"):
            await recording
        gc.collect()
        assert complaints == []

    asyncio.run(story())


def test_a_blocked_write_delays_no_other_request() -> None:
    """The event loop continues while standard output blocks."""
    writer = Stuck()

    async def story() -> None:
        recording = asyncio.create_task(Audit(write=writer).record(record()))
        await asyncio.to_thread(writer.began.wait, 30)
        assert await asyncio.wait_for(asyncio.sleep(0, "the loop runs"), 30) == "the loop runs"
        writer.released.set()
        await recording

    asyncio.run(story())


def test_a_program_without_a_loop_records_at_once() -> None:
    """Programs without an event loop write the same lines, and a failed write raises the same error."""
    written: list[bytes] = []
    Audit(write=written.append, clock=lambda: NOW).record_now(record())
    assert written == lines(record())
    with pytest.raises(AuditError, match="cannot write the audit record"):
        Audit(write=refusing(OSError(28, "No space left on device"))).record_now(record())
