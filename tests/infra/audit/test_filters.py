"""Every filter of the audit module, over the lines that a run of the sandbox left behind.

The module's sinks, metrics and alerts read these files; what each finds here is what somebody is called for.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest

from csr_signer.audit import EVENTS
from csr_signer.violation import CODES
from tests.infra.audit.conftest import UNDELIVERED, Run
from tests.infra.audit.entries import ADMINISTRATOR, FUNCTION, VALUES, Entry, of_exporter, of_function
from tests.infra.audit.query import compiled, rendered
from tests.paths import INFRA

MODULE: Final = INFRA / "modules" / "audit"
FILTERS: Final = {path.stem: path for path in sorted((MODULE / "filters").glob("*.txt"))}
HARMLESS: Final = {"pod.gone", "pod.terminating", "pod.finished", "pod.address_missing", "lifetime.too_late"}
"""Codes of refusals that every cluster has, without anybody who attacks."""
MISTAKES: Final = {
    "request.size",
    "request.pem",
    "request.der",
    "request.signature_algorithm",
    "public_key.type",
    "public_key.size",
    "name.pod",
    "san.dns.missing",
}
"""Codes that an old or wrongly configured client has, too: alone they are nobody's attack."""


def found(name: str, entries: Iterable[Entry]) -> list[Entry]:
    """What a filter finds."""
    matches = compiled(rendered(FILTERS[name], VALUES))
    return [entry for entry in entries if matches(entry)]


def events(entries: Iterable[Entry]) -> set[str]:
    """The events of records."""
    return {str(entry["jsonPayload"]["event"]) for entry in entries}


def uids(entries: Iterable[Entry]) -> set[str]:
    """The CSRs of records."""
    return {str(entry["jsonPayload"]["csr_uid"]) for entry in entries}


def elsewhere(entry: Entry, *labels: str) -> Entry:
    """The same entry from another resource, where it has one of these labels."""
    resource = entry["resource"]
    changed = {name: "other" if name in labels else value for name, value in resource["labels"].items()}
    return entry | {"resource": {**resource, "labels": changed}}


def said(entry: Entry, *path: str) -> Any:
    """A field, None where it is missing."""
    value: Any = entry
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_everything_happened_in_the_run(run: Run) -> None:
    """Every event of the catalogue was recorded: a filter that finds nothing here had something to find."""
    assert events(found("sink_function", run.entries)) == set(EVENTS)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_finds_something_and_not_everything(run: Run, name: str) -> None:
    """Each is good for something; its syntax is known; none of it is the sum of all."""
    assert 0 < len(found(name, run.entries)) < len(run.entries)


def test_the_sinks_take_only_our_records(run: Run) -> None:
    """They take records, KMS's entries and the exporter's lines, but no lines of other services or containers."""
    sinks = ("sink_function", "sink_kms", "sink_exporter")
    taken = [entry for name in sinks for entry in found(name, run.entries)]
    assert len(taken) == len(run.entries)
    others = [elsewhere(entry, "service_name", "container_name") for entry in taken]
    others += of_function(["Traceback (most recent call last):", '"a text"', '{"message":"of a library"}'])
    others += [entry | {"logName": "projects/other/logs/x"} for entry in found("sink_kms", taken)]
    assert not [entry for name in sinks for entry in found(name, others) if entry not in taken]


def test_a_record_from_an_exporter_does_not_count(run: Run) -> None:
    """An exporter can neither cause nor suppress an alert in the function's name."""
    forged = of_exporter(run.records)
    assert not [name for name in FILTERS if name != "sink_exporter" and found(name, forged)]


def test_issued_certificates_are_counted_with_their_age(run: Run) -> None:
    """The objective: of all that was issued, what reached its CSR in time; what came too late counts as bad."""
    issued = found("issued", run.entries)
    assert uids(issued) == set(run.issued)
    assert len(issued) == len(run.issued)
    assert found("issued_in_time", run.entries) == issued
    old = [{**entry, "jsonPayload": {**entry["jsonPayload"], "age_seconds": 30.1}} for entry in issued]
    assert not found("issued_in_time", old)
    refused = found("refused", run.entries)[0]
    late = {**refused, "jsonPayload": {**refused["jsonPayload"], "codes": ["lifetime.too_late"]}}
    assert found("issued_or_too_late", [*issued, late, refused]) == [*issued, late]


def test_signatures_are_counted_by_pod(run: Run) -> None:
    """One intent for each signature that is asked for, with the pod's name."""
    intents = found("intents", run.entries)
    assert uids(intents) == {*run.issued, run.failed}
    assert all(re.fullmatch("[a-z-]+/[a-z0-9-]+", str(entry["jsonPayload"]["pod"])) for entry in intents)


def test_outcomes_failures_and_errors(run: Run) -> None:
    """The error ratio's two parts, and what a human is called for: a fault that time heals is none of these."""
    assert events(found("records", run.entries)) == set(EVENTS) - {"intent", "issuer_expiry", "newer_release"}
    failures, errors = found("failures", run.entries), found("errors", run.entries)
    assert events(failures) == {"abandoned", "fault"}
    assert uids(failures) == {"", run.failed}
    assert uids(errors) == {run.failed, run.foreign}
    assert uids(found("foreign_certificates", run.entries)) == {run.foreign}


def test_only_refusals_that_look_like_attacks_cause_an_alert(run: Run) -> None:
    """All refusals count as refusals. Deferred pods are no attack."""
    refused, attacks = found("refused", run.entries), found("refused_attack", run.entries)
    assert uids(refused) == set(run.attacks)
    assert uids(attacks) <= set(run.attacks)
    left = [entry for entry in refused if entry not in attacks]
    assert all(set(entry["jsonPayload"]["codes"]) <= HARMLESS | MISTAKES for entry in left)


def test_every_code_is_an_attack_a_mistake_or_harmless() -> None:
    """A new code is put on one of the three lists."""
    listed = re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', FILTERS["refused_attack"].read_text())
    assert len(listed) == len(set(listed))
    assert {*listed, *HARMLESS, *MISTAKES} == set(CODES)
    assert not set(listed) & (HARMLESS | MISTAKES)


def test_a_foreign_use_of_the_key_is_found(run: Run) -> None:
    """Every principal but the function: a stranger, one without a name, and the CA administrator."""
    foreign = found("foreign_key_use", run.entries)
    by = [said(entry, "protoPayload", "authenticationInfo", "principalEmail") for entry in run.signatures]
    assert FUNCTION in by
    assert ADMINISTRATOR in by
    assert foreign == [entry for entry, principal in zip(run.signatures, by, strict=True) if principal != FUNCTION]
    assert {run.rogue["by a stranger"]["insertId"], run.rogue["by nobody"]["insertId"]} < {
        entry["insertId"] for entry in foreign
    }
    for entry in foreign:  # in the same project, with somebody else's key
        other = "projects/example-project/locations/europe-west1/keyRings/other/cryptoKeys/k/cryptoKeyVersions/1"
        assert not found(
            "foreign_key_use", [entry | {"protoPayload": {**entry["protoPayload"], "resourceName": other}}]
        )


def test_attack_signing_with_the_ca_administrators_credential(run: Run) -> None:
    """500 signatures of a stolen administrator's credential are 500 entries, whatever reason they give."""
    stolen = run.rogue["by a stranger"]
    proto = stolen["protoPayload"] | {"authenticationInfo": {"principalEmail": ADMINISTRATOR}}
    reasons = ("", "signerctl=ca-create;tbs-sha256=" + "0" * 64, f"csr-uid={run.issued[0]};tbs-sha256=" + "0" * 64)
    signatures = [
        stolen | {"protoPayload": proto | {"requestMetadata": {"requestAttributes": {"reason": reasons[number % 3]}}}}
        for number in range(500)
    ]
    assert len(found("foreign_key_use", signatures)) == 500


def test_attack_naming_the_keys_project_by_its_number(run: Run) -> None:
    """Nobody's use of a key is unseen because of how the key was asked for."""
    numbered = [
        entry
        | {"protoPayload": {**entry["protoPayload"], "resourceName": re.sub("^projects/[^/]+", "projects/1234", name)}}
        for entry in run.signatures
        if (name := str(said(entry, "protoPayload", "resourceName")))
    ]
    for name in ("foreign_key_use", "signatures", "unexplained_signatures"):
        assert len(found(name, numbered)) == len(found(name, run.signatures)) > 0


def test_a_signature_without_csr_and_hash_is_found(run: Run) -> None:
    """The function names CSR and hash with every signature, so another program with its identity made this one."""
    unexplained = found("unexplained_signatures", run.entries)
    names = ("as the function, without a reason", "as the function, for no CSR")
    assert unexplained == [run.rogue[name] for name in names]


def test_all_signatures_and_all_administration_are_counted(run: Run) -> None:
    """Refused ones too: who tries is as interesting as who succeeds."""
    assert found("signatures", run.entries) == run.signatures
    methods = [entry["protoPayload"]["methodName"] for entry in found("key_administration", run.entries)]
    assert methods == ["DestroyCryptoKeyVersion", "SetIamPolicy"]


@pytest.mark.parametrize("method", ["CreateExclusion", "DeleteSink", "UpdateSink"])
def test_attack_blinding_the_trail_first(run: Run, method: str) -> None:
    """A principal that deletes or changes the sink of the key's project raises an alert by that."""
    (entry,) = [
        each
        for each in found("key_administration", run.entries)
        if each["protoPayload"]["methodName"] == "SetIamPolicy"
    ]
    name = f"google.logging.v2.ConfigServiceV2.{method}"
    payload = {**entry["protoPayload"], "methodName": name, "serviceName": "logging.googleapis.com"}
    blinding = [entry | {"protoPayload": payload}]
    assert found("sink_kms", blinding) == blinding
    assert found("key_administration", blinding) == blinding


def test_an_undelivered_csr_is_found_by_its_age(run: Run) -> None:
    """The exporter's sign of life carries it; below the bound nobody is called."""
    alive = found("exporter_status", run.entries)
    assert len(alive) == len(UNDELIVERED)
    assert found("undelivered", run.entries) == [alive[-1]]


def test_an_exporter_that_cannot_list_counts_as_silent(run: Run) -> None:
    """It still writes its status line, which says that it is not ready: no CSR reaches the function."""
    lines = [entry for entry in run.entries if entry.get("jsonPayload", {}).get("message") == "status"]
    unready = [entry for entry in lines if not entry["jsonPayload"]["ready"]]
    assert [entry["jsonPayload"]["unready"] for entry in unready] == ["reflector 0: no list yet"]
    assert unready[0] not in found("exporter_status", run.entries)


def test_a_renewal_that_stopped_is_found(run: Run) -> None:
    """Of a run's lines only the one that says so; an exporter cannot write it in renewal's name."""
    (entry,) = found("renewal_stopped", run.entries)
    assert entry["severity"] == "ERROR"
    assert not found("renewal_stopped", of_exporter([json.dumps(entry["jsonPayload"])]))


def test_a_failed_run_of_key_pairs_is_found(run: Run) -> None:
    """The filter finds only the entry of the failure, and not the same entry from an exporter."""
    (entry,) = found("key_pair_failed", run.entries)
    assert entry["severity"] == "ERROR"
    assert "the cluster has no Installation" in entry["jsonPayload"]["message"]
    assert not found("key_pair_failed", of_exporter([json.dumps(entry["jsonPayload"])]))


def test_a_ca_that_ends_is_found(run: Run) -> None:
    """Once a day and process, for each signer that has it."""
    expiring = found("issuer_expiry", run.entries)
    assert {entry["severity"] for entry in expiring} <= {"WARNING", "ERROR"}
    assert all(entry["jsonPayload"]["not_after"] for entry in expiring)


def test_every_entry_has_the_fields_that_metrics_extract(run: Run) -> None:
    """Labels and values of metrics come from fields that all entries have, except for a missing principal or reason."""
    text = (MODULE / "metrics.tf").read_text(encoding="utf-8")
    blocks = re.findall(r"^    (\w+) = \{\n(.*?)^    \}", text, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in blocks} <= set(FILTERS)
    extracted = [(name, path) for name, block in blocks for path in re.findall(r"EXTRACT\(([\w.]+)\)", block)]
    assert extracted
    for name, path in extracted:
        for entry in found(name, run.entries):
            if path.endswith(".reason") or (entry == run.rogue["by nobody"] and path.endswith("principalEmail")):
                continue  # Cloud Logging gives it an empty label
            assert said(entry, *path.split(".")) is not None, (name, path)


def variants(value: Any) -> Iterator[Any]:
    """A value with one of its leaves missing, another text, or a number far off."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            yield from ({**value, key: changed} for changed in variants(inner))
    elif isinstance(value, list):
        yield ["other"]
    elif isinstance(value, str):
        yield "DEFAULT" if value in ("INFO", "NOTICE", "WARNING", "ERROR") else "other"
    elif isinstance(value, int | float):
        yield from (-1, 1_000_000)


@pytest.mark.parametrize("name", FILTERS)
def test_every_clause_of_a_filter_matters(run: Run, name: str) -> None:
    """Without any one of its lines a filter finds something else in entries that differ in one field from real ones."""
    changed = [variant for entry in run.entries for variant in variants(entry)]
    lines = [line for line in rendered(FILTERS[name], VALUES).splitlines() if not line.startswith("--")]
    whole = compiled("\n".join(lines))
    found_by_all = [whole(entry) for entry in changed]
    for number in range(len(lines)):
        left = [line for position, line in enumerate(lines) if position != number]
        if left:
            without = compiled("\n".join(left).removeprefix("AND "))
            assert [without(entry) for entry in changed] != found_by_all, lines[number]
