"""`signerctl reconcile` accounts for every signature of a run, and names each signature that has no record."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signerctl.reconciliation import ATTEMPTS_PER_OPEN_INTENT, MAX_ATTEMPTS
from tests.infra.audit.conftest import Run
from tests.infra.audit.entries import ADMINISTRATOR, FUNCTION, Entry, of_exporter, of_function
from tests.infra.audit.test_filters import said
from tests.unit.signerctl.stage import signerctl


def reconciled(folder: Path, run: Run, entries: list[Entry], *more: str, status: int = 1) -> list[dict[str, Any]]:
    """Returns the discrepancies between log entries and the records of the CA administrator."""
    log, own = folder / "entries.json", folder / "ca-audit.log"
    log.write_text(json.dumps(entries, indent=1))
    own.write_text("\n".join(run.administration))
    result = signerctl("reconcile", "--json", log, own, *more)
    assert result.exit_code == status, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["items"]
    return found


def honest(run: Run) -> list[Entry]:
    """Returns the entries without the rogue signatures."""
    rogue = list(run.rogue.values())
    return [entry for entry in run.entries if entry not in rogue]


def of_one(run: Run, event: str) -> Entry:
    """Returns the entry of an event of the first CSR."""
    return next(
        entry
        for entry in run.entries
        if said(entry, "jsonPayload", "csr_uid") == run.issued[0] and said(entry, "jsonPayload", "event") == event
    )


def test_an_honest_run_is_accounted_for(run: Run, tmp_path: Path) -> None:
    """Given, lost and refused signatures and those for CAs all match a record."""
    principals = ("--principal", FUNCTION, "--principal", ADMINISTRATOR)
    assert reconciled(tmp_path, run, honest(run), *principals, status=0) == []
    result = signerctl("reconcile", tmp_path / "entries.json", tmp_path / "ca-audit.log", *principals)
    assert "every signature is accounted for" in result.stdout


@pytest.mark.parametrize("number", range(5))
def test_one_signature_without_a_record_is_found(run: Run, tmp_path: Path, number: int) -> None:
    """The other signatures have records. A principal outside --principal is a second discrepancy."""
    name, rogue = list(run.rogue.items())[number]
    found = reconciled(tmp_path, run, [*honest(run), rogue])
    reason = said(rogue, "protoPayload", "requestMetadata", "requestAttributes", "reason") or ""
    assert [(each["what"], each["reason"]) for each in found] == [("signature without record", reason)]
    assert ", 1 discrepancy\n" in signerctl("reconcile", tmp_path / "entries.json", tmp_path / "ca-audit.log").stdout
    told = reconciled(tmp_path, run, [*honest(run), rogue], "--principal", FUNCTION, "--principal", ADMINISTRATOR)
    assert len(told) == (1 if name.startswith("as the function") else 2)


def of_first(run: Run) -> Entry:
    """Returns Cloud KMS's entry for the first CSR's signature."""
    return next(entry for entry in run.signatures if f"csr-uid={run.issued[0]}" in json.dumps(entry))


def test_attack_repeating_a_recorded_reason_is_counted(run: Run, tmp_path: Path) -> None:
    """An attacker copies the reason of a recorded signature: the record holds the number of requests to KMS."""
    for count in (1, 500):
        copies = [of_first(run) | {"insertId": f"copy-{number}"} for number in range(count)]
        (found,) = reconciled(tmp_path, run, [*honest(run), *copies])
        assert found["what"] == "more requests than recorded"
        assert found["detail"] == f"{1 + count} requests, {1 + count} signatures, 1 recorded attempt"


def test_attack_taking_the_place_of_a_failed_attempt_is_counted(run: Run, tmp_path: Path) -> None:
    """Cloud KMS refused the first attempt and signed the second: a third request is the attacker's."""
    issued, signature = of_one(run, "issued"), of_first(run)
    retried = issued | {"jsonPayload": issued["jsonPayload"] | {"kms_attempts": 2}}
    failed = signature | {
        "insertId": "failed",
        "protoPayload": signature["protoPayload"] | {"status": {"code": 14}},
    }
    entries = [failed, retried, *(entry for entry in honest(run) if entry != issued)]
    assert reconciled(tmp_path, run, entries, status=0) == []
    (found,) = reconciled(tmp_path, run, [*entries, signature | {"insertId": "copy"}])
    assert found["what"] == "more requests than recorded"
    assert found["detail"] == "3 requests, 2 signatures, 2 recorded attempts"


def test_attack_many_signatures_under_an_open_intent_are_found(run: Run, tmp_path: Path) -> None:
    """The intent of a killed process explains only a few requests, not any number of signatures."""
    outcome = of_one(run, "issued")
    entries = [entry for entry in honest(run) if entry != outcome]
    copies = [of_first(run) | {"insertId": f"copy-{number}"} for number in range(500)]
    (warning,) = reconciled(tmp_path, run, [*entries, *copies[: ATTEMPTS_PER_OPEN_INTENT - 1]], status=0)
    for count in (ATTEMPTS_PER_OPEN_INTENT, 500):
        error, again = reconciled(tmp_path, run, [*entries, *copies[:count]])
        assert (error["level"], error["what"]) == ("error", "more requests than recorded")
        assert (warning["what"], again["what"]) == ("intent without outcome", "intent without outcome")


def test_an_interrupted_signerctl_is_a_warning(run: Run, tmp_path: Path) -> None:
    """Its outcome lacks the number of requests to KMS, but that does not prove a rogue signature."""
    *others, last = run.administration
    record = json.loads(last)
    del record["kms_attempts"]
    interrupted = replace(run, administration=[*others, json.dumps(record | {"event": "abandoned"})])
    (found,) = reconciled(tmp_path, interrupted, honest(run), status=0)
    assert (found["level"], found["what"]) == ("warning", "intent without outcome")


def test_a_duplicate_entry_counts_once(run: Run, tmp_path: Path) -> None:
    """The periods of two files may overlap."""
    assert reconciled(tmp_path, run, honest(run) * 2, status=0) == []


def test_attack_no_entry_of_another_log_hides_a_signature(run: Run, tmp_path: Path) -> None:
    """A writer of another log chooses the insertId and the timestamp of Cloud KMS's entry."""
    rogue = run.rogue["as the function, without a reason"]
    foreign = of_exporter(run.records)[0] | {name: rogue[name] for name in ("insertId", "timestamp")}
    (found,) = reconciled(tmp_path, run, [foreign, *honest(run), rogue])
    assert found["what"] == "signature without record"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("kms_attempts", ["many", -1, 1.5, math.nan, math.inf, int("9" * 4300), MAX_ATTEMPTS + 1, True, [1], {}]),
        *((name, [None, 5, [], {}]) for name in ("csr_uid", "key_version", "tbs_sha256")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attack_a_malformed_record_explains_nothing(run: Run, tmp_path: Path, field: str, values: list[Any]) -> None:
    """It is counted, named and skipped: the honest entries are accounted for, and a rogue signature is found."""
    outcome = of_one(run, "issued")
    forged = [
        outcome | {"insertId": f"forged-{number}", "jsonPayload": outcome["jsonPayload"] | {field: value}}
        for number, value in enumerate(values * 2)
    ]
    assert reconciled(tmp_path, run, [*honest(run), *forged]) == []
    path = tmp_path / "entries.json"
    *named, last = signerctl("reconcile", "--json", path, tmp_path / "ca-audit.log").stderr.splitlines()
    assert last == f"error: malformed records: {len(forged)} skipped: the command did not use them"
    assert all(f"{field}: Invalid value: must be a" in line for line in named)
    (found,) = reconciled(tmp_path, run, [*honest(run), *forged, of_first(run) | {"insertId": "copy"}])
    assert found["what"] == "more requests than recorded"


def test_without_authentic_logs_two_forged_records_hide_a_signature(run: Run, tmp_path: Path) -> None:
    """A filter sorts, it does not authenticate: docs/evidence.md names the principals that can forge records."""
    rogue = run.rogue["as the function, with a reason that nobody recorded"]
    uid, tbs_sha256 = re.findall("=([^;]+)", rogue["protoPayload"]["requestMetadata"]["requestAttributes"]["reason"])
    facts = {"csr_uid": uid, "tbs_sha256": tbs_sha256, "key_version": rogue["protoPayload"]["resourceName"]}
    forged = [
        entry | {"insertId": "forged", "jsonPayload": entry["jsonPayload"] | facts}
        for entry in (of_one(run, "intent"), of_one(run, "issued"))
    ]
    assert reconciled(tmp_path, run, [*honest(run), rogue, *forged], status=0) == []


def test_a_certificate_without_a_signature_is_found(run: Run, tmp_path: Path) -> None:
    """KMS's log is incomplete, or KMS writes no data access logs."""
    seen = [entry for entry in honest(run) if "methodName" not in json.dumps(entry) or run.issued[0] not in str(entry)]
    (found,) = reconciled(tmp_path, run, seen)
    assert found["what"] == "certificate without signature"


def test_an_intent_without_an_outcome_is_a_warning(run: Run, tmp_path: Path) -> None:
    """The process ended in between, so it may have used the key or not."""
    outcome = of_one(run, "issued")
    (found,) = reconciled(tmp_path, run, [entry for entry in honest(run) if entry != outcome], status=0)
    assert (found["level"], found["what"]) == ("warning", "intent without outcome")
    assert found["detail"] == "1 intent, 0 outcomes, 1 signature"


def test_an_outcome_alone_explains_its_signature(run: Run, tmp_path: Path) -> None:
    """The period of the files may begin between intent and outcome."""
    intent = of_one(run, "intent")
    assert reconciled(tmp_path, run, [entry for entry in honest(run) if entry != intent], status=0) == []


def test_a_request_that_kms_refused_is_no_signature(run: Run, tmp_path: Path) -> None:
    """A principal without the right gets no signature; an alert reports it, and the comparison ignores it."""
    rogue = run.rogue["by a stranger"]
    refused = {**rogue, "protoPayload": {**rogue["protoPayload"], "status": {"code": 7}}}
    assert reconciled(tmp_path, run, [*honest(run), refused], status=0) == []


def test_a_record_that_an_exporter_wrote_explains_nothing(run: Run, tmp_path: Path) -> None:
    """Its lines go into the same bucket, and its container's log is no log of Cloud Run."""
    forged = [entry for entry in of_exporter(run.records) if said(entry, "jsonPayload", "csr_uid") == run.issued[0]]
    kept = [entry for entry in honest(run) if said(entry, "jsonPayload", "csr_uid") != run.issued[0]]
    (found,) = reconciled(tmp_path, run, [*kept, *forged])
    assert found["what"] == "signature without record"


def test_the_functions_own_lines_are_records(run: Run, tmp_path: Path) -> None:
    """The command also reads the function's lines as it writes them, without Cloud Logging."""
    others = [entry for entry in honest(run) if entry not in of_function(run.records)]
    (tmp_path / "function.log").write_text("\n".join(run.records))
    assert reconciled(tmp_path, run, others, str(tmp_path / "function.log"), status=0) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Required value: log entries or records: an empty file: the command that wrote it may have failed"),
        ("[]", "FILES: Required value: a signature or a record"),
        ('{"event": "deferred"}', "FILES: Required value: a signature or a record"),
        ('{"message": "other"}', "1 entry of another kind: must hold entries of Cloud KMS's audit log"),
        ("[1]", "int: must be an object"),
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        (
            '{"protoPayload": 5, "jsonPayload": []}',
            "1 entry of another kind: must hold entries of Cloud KMS's audit log",
        ),
        ("kind: Installation", "must be JSON of log entries or records: a Kubernetes object of kind Installation"),
        ("-----BEGIN CERTIFICATE REQUEST-----", "must be JSON of log entries or records: a PKCS #10 request"),
    ],
    ids=["empty", "no entries", "no signature", "others", "no objects", "cut", "deep", "odd", "YAML", "a request"],
)
def test_a_file_without_log_entries_is_refused(tmp_path: Path, content: str, message: str) -> None:
    """The error is one line with the reason."""
    path = tmp_path / "log.json"
    path.write_text(content)
    result = signerctl("reconcile", path)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert message in line


def test_records_without_the_log_of_kms_are_one_error(run: Run, tmp_path: Path) -> None:
    """The message names the missing log and the command that fetches it; no certificate is reported by itself."""
    path = tmp_path / "records.json"
    path.write_text(json.dumps(of_function(run.records)))
    result = signerctl("reconcile", path)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: FILES: Required value: Cloud KMS's audit log: ")
    assert "gcloud logging read" in line
    assert """'protoPayload.methodName="AsymmetricSign"'""" in line


def test_signatures_without_any_record_stay_errors(run: Run, tmp_path: Path) -> None:
    """They may all be an attacker's: each is listed, and a warning says how to fetch records that are missing."""
    path = tmp_path / "kms.json"
    path.write_text(json.dumps(run.signatures))
    result = signerctl("reconcile", "--json", path)
    assert result.exit_code == 1
    found = json.loads(result.stdout)["items"]
    assert {each["what"] for each in found} == {"signature without record"}
    assert "warning: FILES: no record of the function or of signerctl" in result.stderr
    assert """'labels.log="csr-signer"'""" in result.stderr


def test_the_log_of_an_exporter_alone_is_refused(run: Run, tmp_path: Path) -> None:
    """Its lines prove nothing, even if they imitate records."""
    path = tmp_path / "exporter.json"
    path.write_text(json.dumps(of_exporter(run.records)))
    result = signerctl("reconcile", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path}: Invalid value: {len(run.records)} entries of other kinds" in result.stderr


def test_records_of_an_earlier_version_are_read(run: Run, tmp_path: Path) -> None:
    """Before version 0.2.0 records had quoted texts, serial numbers in lower case, and fewer event ids."""
    old = []
    for entry in honest(run):
        payload = entry.get("jsonPayload", {})
        quoted = {name: f'"{payload[name]}"' for name in ("csr_name", "requester", "node") if name in payload}
        serial = {"serial_number": payload["serial_number"].lower().lstrip("0")} if "serial_number" in payload else {}
        changed = {name: value for name, value in payload.items() if name != "event_id"} | quoted | serial
        old.append(entry | {"jsonPayload": changed} if payload else entry)
    assert old != honest(run)
    assert reconciled(tmp_path, run, old, status=0) == []


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """Here one file is not UTF-8, and the kernel refuses to read the other."""
    path = tmp_path / "log.json"
    path.write_bytes(b"\xff")
    assert "must be JSON" in signerctl("reconcile", path).stderr
    assert "cannot read the file" in signerctl("reconcile", "/proc/self/mem").stderr
