"""Conditions: who may set which where, and that nothing takes a decision back."""

from typing import Any

import pytest

from sandbox.api import Json, csr_path
from tests.contract.kubernetes.support import (
    APPROVED,
    DENIED,
    FAILED,
    Target,
    causes,
    certificate_pem,
    encoded,
    real_only,
    refusal,
)

FORBIDDEN = {("status.conditions", "FieldValueForbidden")}
OTHER = {"type": "Other", "status": "Unknown"}


def _types(stored: Json) -> list[str]:
    return [condition["type"] for condition in stored["status"].get("conditions", [])]


@pytest.mark.parametrize("condition", [APPROVED, DENIED, FAILED, OTHER], ids=lambda condition: str(condition["type"]))
def test_approval_sets_any_condition(target: Target, condition: Json) -> None:
    """The approval endpoint takes decisions, and also Failed and conditions of other types."""
    stored = target.update(target.create_csr(), "approval", conditions=[condition])
    assert _types(stored) == [condition["type"]]


@pytest.mark.parametrize("condition", [APPROVED, DENIED], ids=lambda condition: str(condition["type"]))
def test_status_does_not_decide(target: Target, condition: Json) -> None:
    """Approved and Denied cannot be added through the status endpoint."""
    made = target.create_csr()
    assert causes(refusal(lambda: target.update(made, "status", conditions=[condition]))) == FORBIDDEN


@pytest.mark.parametrize("condition", [FAILED, OTHER], ids=lambda condition: str(condition["type"]))
def test_status_sets_other_conditions(target: Target, condition: Json) -> None:
    """A signer reports through the status endpoint, whether the CSR is approved or not."""
    stored = target.update(target.create_csr(), "status", conditions=[condition])
    assert _types(stored) == [condition["type"]]


def test_approved_and_denied_exclude_each_other(target: Target) -> None:
    """There is no CSR that is both."""
    approved = target.update(target.create_csr(), "approval", conditions=[APPROVED])
    refused = refusal(lambda: target.update(approved, "approval", conditions=[APPROVED, DENIED]))
    assert causes(refused) == {("status.conditions", "FieldValueInvalid")}


def test_failed_and_approved_do_not_exclude_each_other(target: Target) -> None:
    """A failed CSR can still be approved: a signer must look at both."""
    failed = target.update(target.create_csr(), "status", conditions=[FAILED])
    assert _types(target.update(failed, "approval", conditions=[FAILED, APPROVED])) == ["Failed", "Approved"]


@pytest.mark.parametrize("endpoint", ["approval", "status"])
@pytest.mark.parametrize("condition", [APPROVED, DENIED, FAILED], ids=lambda condition: str(condition["type"]))
def test_what_is_decided_stays(target: Target, endpoint: str, condition: Json) -> None:
    """None of the three can be removed, through neither endpoint."""
    stored = target.update(target.create_csr(), "approval", conditions=[condition])
    assert causes(refusal(lambda: target.update(stored, endpoint, conditions=[]))) == FORBIDDEN


def test_conditions_of_other_types_can_be_removed(target: Target) -> None:
    """A write must carry every condition that it read, or what is left out is gone."""
    stored = target.update(target.create_csr(), "status", conditions=[OTHER])
    assert _types(target.update(stored, "status", conditions=[])) == []


def test_the_main_resource_keeps_conditions(target: Target) -> None:
    """A PUT without a subresource changes no status, and needs none."""
    stored = target.update(target.create_csr(), "approval", conditions=[APPROVED])
    body = {**stored, "status": {}, "metadata": {"name": stored["metadata"]["name"], "labels": {"a": "b"}}}
    replaced = target.api.put(csr_path(stored["metadata"]["name"]), body)
    assert replaced["status"] == stored["status"]
    assert replaced["metadata"]["labels"] == {"a": "b"}


@real_only
@pytest.mark.parametrize("condition", [APPROVED, DENIED, FAILED], ids=lambda condition: str(condition["type"]))
def test_decisions_are_true_or_absent(target: Target, condition: Json) -> None:
    """Approved, Denied and Failed have no other status than True."""
    made = target.create_csr()
    refused = refusal(lambda: target.update(made, "approval", conditions=[{**condition, "status": "False"}]))
    assert causes(refused) == {("status.conditions[0].status", "FieldValueNotSupported")}


@real_only
def test_conditions_have_one_type_each_and_a_known_status(target: Target) -> None:
    """Types are required and unique, statuses are True, False or Unknown; all violations are named at once."""
    wrong = [{"status": "Maybe"}, {"type": "A"}, {"type": "A", "status": "False"}]
    made = target.create_csr()
    assert causes(refusal(lambda: target.update(made, "approval", conditions=wrong))) == {
        ("status.conditions[0].type", "FieldValueRequired"),
        ("status.conditions[0].status", "FieldValueNotSupported"),
        ("status.conditions[1].status", "FieldValueRequired"),
        ("status.conditions[2].type", "FieldValueDuplicate"),
    }


@real_only
def test_status_silently_keeps_the_decision_as_it_was(target: Target) -> None:
    """What the status endpoint is told about an existing decision is ignored, not refused."""
    stored = target.update(target.create_csr(), "approval", conditions=[APPROVED])
    changed = {**APPROVED, "reason": "Changed", "lastUpdateTime": "2001-01-01T00:00:00Z"}
    updated = target.update(stored, "status", conditions=[changed, FAILED])
    assert updated["status"]["conditions"][0] == stored["status"]["conditions"][0]
    assert _types(updated) == ["Approved", "Failed"]


def test_times_that_are_absent_are_filled(target: Target) -> None:
    """Both times are there after a write; the transition time stays while the status does."""
    stored = target.update(target.create_csr(), "approval", conditions=[APPROVED])
    (first,) = stored["status"]["conditions"]
    (second,) = target.update(stored, "approval", conditions=[{**APPROVED, "message": "x"}])["status"]["conditions"]
    assert first["lastUpdateTime"] == first["lastTransitionTime"]
    assert second["lastTransitionTime"] == first["lastTransitionTime"]


@real_only
@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59-02:00", "10000-01-01T01:59:59Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ("0000-01-01T00:00:00+02:00", "-0001-12-31T22:00:00Z"),
        ("2024-02-29T23:30:00.75-01:00", "2024-03-01T00:30:00Z"),
    ],
)
def test_an_approver_writes_any_time(target: Target, written: str, stored: str) -> None:
    """Times are the client's, of any year, even outside what four digits can say: nobody may compute with them."""
    conditions = [{**APPROVED, "lastUpdateTime": written, "lastTransitionTime": written}]
    (condition,) = target.update(target.create_csr(), "approval", conditions=conditions)["status"]["conditions"]
    assert (condition["lastUpdateTime"], condition["lastTransitionTime"]) == (stored, stored)


@real_only
def test_the_zero_time_counts_as_absent(target: Target) -> None:
    """The first second of year 1 is Go's zero time, and is filled like none."""
    conditions = [{**APPROVED, "lastUpdateTime": "0001-01-01T00:00:00Z"}]
    (condition,) = target.update(target.create_csr(), "approval", conditions=conditions)["status"]["conditions"]
    assert condition["lastUpdateTime"] == condition["lastTransitionTime"]


def test_times_stay_editable_after_the_certificate(target: Target) -> None:
    """An approver can move the time of an issued CSR: no certificate may depend on it."""
    approved = target.update(target.create_csr(), "approval", conditions=[APPROVED])
    issued = target.update(approved, "status", conditions=[APPROVED], certificate=encoded(certificate_pem()))
    moved = {**APPROVED, "lastUpdateTime": "2001-01-01T00:00:00Z"}
    edited = target.update(issued, "approval", conditions=[moved])
    assert edited["status"]["conditions"][0]["lastUpdateTime"] == "2001-01-01T00:00:00Z"
    assert edited["status"]["certificate"] == issued["status"]["certificate"]


@real_only
@pytest.mark.parametrize("time", ["soon", "", "2026-01-01", "2026-02-30T00:00:00Z", "2026-01-01t00:00:00z", 5])
def test_what_is_no_time_is_a_bad_request(target: Target, time: Any) -> None:
    """Only RFC 3339 in capital letters is read."""
    made = target.create_csr()
    conditions = [{**APPROVED, "lastUpdateTime": time}]
    assert refusal(lambda: target.update(made, "approval", conditions=conditions)).reason == "BadRequest"


def test_texts_of_conditions_are_not_bounded(target: Target) -> None:
    """A message of 900 kB and control characters in a type are stored: readers must bound and escape."""
    made = target.create_csr()
    conditions = [{**APPROVED, "message": "m" * 900_000}, {"type": "a\nb\0", "status": "True"}]
    stored = target.update(made, "approval", conditions=conditions)["status"]["conditions"]
    assert len(stored[0]["message"]) == 900_000
    assert stored[1]["type"] == "a\nb\0"
