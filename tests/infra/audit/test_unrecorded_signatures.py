"""The audit module's SQL, which looks for signatures under the function's name that its records do not explain."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import pytest

from signerctl.reconciliation import ATTEMPTS_PER_OPEN_INTENT, MAX_ATTEMPTS
from tests.infra.audit import log_analytics
from tests.infra.audit.conftest import Run
from tests.infra.audit.entries import FUNCTION, Entry, of_exporter
from tests.infra.audit.test_filters import MODULE, said

POLICIES: Final = (MODULE / "unrecorded_signatures.tf").read_text(encoding="utf-8")
MINUTES: Final = dict(re.findall(r'offset = (\d+), minutes = "([^"]+)"', POLICIES))
"""What each policy checks, by the minute at which it runs."""
(ATTEMPTS,) = map(int, re.findall(r"attempts_per_open_intent = (\d+)", POLICIES))


def looked_for(entries: Iterable[Entry], minutes: str, minute: Callable[[Entry], str]) -> list[str | None]:
    """The reasons that the query finds."""
    values = {"function_service_account": FUNCTION, "minutes": minutes, "attempts": str(ATTEMPTS)}
    timed = [(f"2026-03-14T09:{minute(entry)}:00+00:00", entry) for entry in entries]
    return [row[1] for row in log_analytics.rows("unrecorded_signatures.sql", values, timed)]


def found_by_a_policy(entries: Sequence[Entry], at: Callable[[Entry], int]) -> set[str]:
    """The policies whose runs find something, with entries at minutes 0 to 239 and a run of each per hour."""
    found = set()
    for offset, minutes in MINUTES.items():
        for begin in range(int(offset) - 60, 240, 60):
            window = [entry for entry in entries if begin <= at(entry) < begin + 60]
            if looked_for(window, minutes, lambda entry: f"{at(entry) % 60:02}"):
                found.add(offset)
    return found


def test_a_signature_without_a_record_is_found(run: Run) -> None:
    """Of all that were made with the function's identity, exactly those that it did not record."""
    rogue = [entry for name, entry in run.rogue.items() if name.startswith("as the function")]
    expected = [said(entry, "protoPayload", "requestMetadata", "requestAttributes", "reason") for entry in rogue]
    assert len(expected) == 3
    assert sorted(map(str, looked_for(run.entries, MINUTES["5"], lambda _: "30"))) == sorted(map(str, expected))


def test_one_record_of_a_signature_is_enough(run: Run) -> None:
    """At the edge of what the query sees either its intent or its outcome may be missing, but not both."""
    for missing in (("intent",), ("issued", "abandoned")):
        seen = [entry for entry in run.entries if said(entry, "jsonPayload", "event") not in missing]
        assert len(looked_for(seen, MINUTES["5"], lambda _: "30")) == 3
    unrecorded = [
        entry for entry in run.entries if said(entry, "jsonPayload", "event") not in ("intent", "issued", "abandoned")
    ]
    assert len(looked_for(unrecorded, MINUTES["5"], lambda _: "30")) > 3


def test_a_record_of_another_service_or_key_does_not_count(run: Run) -> None:
    """A record counts only with the resource of Cloud Run, and only for the key version that it names."""
    forged = [
        entry | {"resource": {**entry["resource"], "type": "global"}} if "jsonPayload" in entry else entry
        for entry in run.entries
    ]
    of_function = [entry for entry in run.signatures if FUNCTION in json.dumps(entry)]
    assert len(looked_for(forged, MINUTES["5"], lambda _: "30")) == len(of_function)


def _of_first(run: Run) -> tuple[Entry, Entry, Entry]:
    """The signature of the first CSR, its intent and its outcome."""
    signature = next(entry for entry in run.signatures if f"csr-uid={run.issued[0]}" in json.dumps(entry))
    of_csr = [entry for entry in run.entries if said(entry, "jsonPayload", "csr_uid") == run.issued[0]]
    intent, issued = (
        next(entry for entry in of_csr if said(entry, "jsonPayload", "event") == event)
        for event in ("intent", "issued")
    )
    return signature, intent, issued


def _copies(signature: Entry, count: int) -> list[Entry]:
    """Further signatures with the same reason."""
    return [signature | {"insertId": f"copy-{number}"} for number in range(count)]


def _refused(request: Entry) -> Entry:
    """The same request with Cloud KMS's error in place of a signature."""
    return request | {"insertId": "refused", "protoPayload": request["protoPayload"] | {"status": {"code": 14}}}


def _attempts(outcome: Entry, attempts: object) -> Entry:
    """The same outcome after another number of attempts."""
    return outcome | {"jsonPayload": outcome["jsonPayload"] | {"kms_attempts": attempts}}


def test_attack_repeating_a_recorded_reason(run: Run) -> None:
    """The number finds a stolen token that repeats the reason of a recorded signature, once or 500 times."""
    signature, intent, issued = _of_first(run)
    reason = said(signature, "protoPayload", "requestMetadata", "requestAttributes", "reason")
    for number in (1, 500):
        entries = [signature, intent, issued, *_copies(signature, number)]
        assert looked_for(entries, MINUTES["5"], lambda _: "30") == [reason]


def test_attack_taking_the_place_of_a_failed_attempt(run: Run) -> None:
    """Cloud KMS refused the first attempt and signed the second: a third request is the attacker's."""
    signature, intent, issued = _of_first(run)
    honest = [_refused(signature), signature, intent, _attempts(issued, 2)]
    assert looked_for(honest, MINUTES["5"], lambda _: "30") == []
    assert looked_for([*honest, *_copies(signature, 1)], MINUTES["5"], lambda _: "30") != []


def test_attack_behind_records_that_are_delivered_twice(run: Run) -> None:
    """Cloud Logging may deliver an entry twice: a second copy of a record explains no second signature."""
    signature, intent, issued = _of_first(run)
    rogue = _copies(signature, 1)
    for twice in ([intent], [issued], [intent, issued]):
        honest = [signature, signature, intent, issued, *twice]
        assert looked_for(honest, MINUTES["5"], lambda _: "30") == [], "a signature that is delivered twice is one"
        assert looked_for([*honest, *rogue], MINUTES["5"], lambda _: "30") != []


@pytest.mark.parametrize(
    "attempts",
    ["many", "", "1e400", 1.5, -1, 2**62, 10**400, MAX_ATTEMPTS + 1, True, [1], {}],
    ids=lambda value: f"{value!r:.20}",
)
def test_attack_a_malformed_number_of_attempts_hides_nothing(run: Run, attempts: object) -> None:
    """A forged record explains no request by it, and neither ends the query nor hides another rogue signature."""
    signature, intent, issued = _of_first(run)
    forged = [
        _attempts(entry, attempts) | {"insertId": f"forged-{number}"} for number, entry in enumerate((issued, issued))
    ]
    honest = [signature, intent, issued]
    assert looked_for([*honest, *forged], MINUTES["5"], lambda _: "30") == []
    assert len(looked_for([*honest, *forged, *_copies(signature, 1)], MINUTES["5"], lambda _: "30")) == 1
    assert len(looked_for([signature, *forged], MINUTES["5"], lambda _: "30")) == 1
    largest = _attempts(issued, float(MAX_ATTEMPTS)) | {"insertId": "largest"}
    assert looked_for([intent, largest, *_copies(signature, MAX_ATTEMPTS)], MINUTES["5"], lambda _: "30") == []


def test_attack_no_entry_of_another_log_hides_a_signature(run: Run) -> None:
    """A writer of another log chooses the insertId and the timestamp of Cloud KMS's entry."""
    _, intent, issued = _of_first(run)
    rogue = run.rogue["as the function, without a reason"]
    foreign = of_exporter(run.records)[0] | {name: rogue[name] for name in ("insertId", "timestamp")}
    for entries in ([foreign, rogue, intent, issued], [rogue, foreign, intent, issued]):
        assert len(looked_for(entries, MINUTES["5"], lambda _: "30")) == 1


def test_retries_and_a_killed_function_are_no_alarm(run: Run) -> None:
    """An outcome explains its attempts; an intent without an outcome explains a few requests, and never a flood."""
    signature, intent, issued = _of_first(run)
    copies = _copies(signature, 500)
    retried = [intent, _attempts(issued, 3)]
    assert looked_for([*copies[:3], *retried], MINUTES["5"], lambda _: "30") == []
    assert looked_for([*copies[:4], *retried], MINUTES["5"], lambda _: "30") != []
    killed = [intent, intent | {"insertId": "again"}, issued]
    assert looked_for([*copies[: 1 + ATTEMPTS], *killed], MINUTES["5"], lambda _: "30") == []
    assert looked_for([*copies[: 2 + ATTEMPTS], *killed], MINUTES["5"], lambda _: "30") != []
    assert looked_for([*copies, *killed], MINUTES["5"], lambda _: "30") != []


def test_an_open_intent_explains_as_much_as_in_signerctl_reconcile() -> None:
    """The alert and the command have one bound."""
    assert ATTEMPTS == ATTEMPTS_PER_OPEN_INTENT


@pytest.mark.parametrize("minute", range(0, 60, 7))
def test_attack_repeating_a_reason_at_any_time_is_found(run: Run, minute: int) -> None:
    """Whenever the honest signature was made, and whenever within two hours its reason is repeated."""
    signature, intent, issued = _of_first(run)
    copy = signature | {"insertId": "copy"}
    for later in range(0, 120, 3):
        at = {id(copy): 60 + minute + later}
        found = found_by_a_policy(
            [signature, intent, issued, copy],
            lambda entry: at.get(id(entry), 60 + minute),  # noqa: B023
        )
        assert found, (minute, later)


@pytest.mark.parametrize("minute", range(60))
def test_an_honest_signature_is_no_alarm_at_any_time(run: Run, minute: int) -> None:
    """Its records may lie up to ten minutes away on either side, beyond the edge of a run."""
    signature, intent, issued = _of_first(run)
    for before, after in ((0, 0), (9, 9), (0, 9)):
        at = {id(intent): 60 + minute - before, id(issued): 60 + minute + after}
        found = found_by_a_policy(
            [signature, intent, issued],
            lambda entry: at.get(id(entry), 60 + minute),  # noqa: B023
        )
        assert not found


@pytest.mark.parametrize("minute", range(60))
def test_every_signature_is_checked_far_from_the_edges_of_a_run(run: Run, minute: int) -> None:
    """Whenever it is made, a run checks it, and its minute is at least ten minutes from the ends of that run's hour."""
    entries = [run.rogue["as the function, without a reason"]]
    checked = found_by_a_policy(entries, lambda _: 60 + minute)
    assert checked
    for offset in checked:
        assert 10 <= (minute - int(offset)) % 60 < 50


def test_no_policy_runs_on_the_hour() -> None:
    """The provider leaves out an offset of 0, and Google then chooses one, which does not fit the minutes."""
    assert sorted(map(int, MINUTES)) == [5, 35]


def test_attack_using_a_key_that_no_signer_has_any_more(run: Run) -> None:
    """The function's identity signs with a retired key and repeats a recorded reason: no record names that key."""
    signature, intent, issued = _of_first(run)
    proto = signature["protoPayload"]
    retired = re.sub("/cryptoKeys/[^/]+/", "/cryptoKeys/retired/", proto["resourceName"])
    rogue = signature | {"insertId": "retired", "protoPayload": proto | {"resourceName": retired}}
    assert looked_for([signature, intent, issued], MINUTES["5"], lambda _: "30") == []
    assert len(looked_for([signature, intent, issued, rogue], MINUTES["5"], lambda _: "30")) == 1
