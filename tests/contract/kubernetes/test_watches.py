"""Watches: nothing between a list and its watch is lost, and what is forgotten is said."""

import itertools
from typing import Any

import pytest

from sandbox.api import CSRS, Json, csr_path
from tests.contract.kubernetes.support import APPROVED, Target, real_only, refusal, unique


def _selector() -> tuple[str, str]:
    signer = f"{unique('s')}.example.com/x"
    return signer, f"spec.signerName={signer}"


def _take(target: Target, count: int, **query: Any) -> list[Json]:
    with target.api.watch(CSRS, timeoutSeconds=60, **query) as events:
        return list(itertools.islice(events, count))


def _seen(events: list[Json]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


def test_a_watch_goes_on_from_a_lists_version(target: Target) -> None:
    """Everything after the list comes, in order and once; nothing that the list showed already."""
    signer, selector = _selector()
    old = target.create_csr(signerName=signer)
    version = target.api.get(CSRS, fieldSelector=selector)["metadata"]["resourceVersion"]
    first = target.create_csr(signerName=signer)
    target.create_csr()
    approved = target.update(first, "approval", conditions=[APPROVED])
    target.api.delete(csr_path(old["metadata"]["name"]))
    events = _take(target, 3, fieldSelector=selector, resourceVersion=version)
    names = [each["metadata"]["name"] for each in (first, approved, old)]
    assert _seen(events) == list(zip(("ADDED", "MODIFIED", "DELETED"), names, strict=True))
    assert events[0]["object"] == first
    assert events[1]["object"] == approved


def test_a_running_watch_is_told_of_changes(target: Target) -> None:
    """A change that is made while the watch waits arrives on it."""
    signer, selector = _selector()
    version = target.api.get(CSRS, fieldSelector=selector)["metadata"]["resourceVersion"]
    with target.api.watch(CSRS, fieldSelector=selector, resourceVersion=version, timeoutSeconds=60) as events:
        made = target.create_csr(signerName=signer)
        assert next(events) == {"type": "ADDED", "object": made}
        approved = target.update(made, "approval", conditions=[APPROVED])
        assert next(events) == {"type": "MODIFIED", "object": approved}


def test_a_deletion_shows_the_last_state_with_a_new_version(target: Target) -> None:
    """The version of a DELETED event is the deletion's, so that a watch can go on from it."""
    signer, selector = _selector()
    made = target.create_csr(signerName=signer)
    version = made["metadata"]["resourceVersion"]
    target.api.delete(csr_path(made["metadata"]["name"]))
    (event,) = _take(target, 1, fieldSelector=selector, resourceVersion=version)
    assert event["type"] == "DELETED"
    assert event["object"]["spec"] == made["spec"]
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)


@pytest.mark.parametrize("version", ["", "0"])
def test_without_a_version_a_watch_starts_with_what_is_there(target: Target, version: str) -> None:
    """The present objects come as ADDED."""
    signer, selector = _selector()
    names = {target.create_csr(signerName=signer)["metadata"]["name"] for _ in range(3)}
    events = _take(target, 3, fieldSelector=selector, resourceVersion=version)
    assert {event["type"] for event in events} == {"ADDED"}
    assert {event["object"]["metadata"]["name"] for event in events} == names


def test_bookmarks_carry_the_version_past_foreign_changes(target: Target) -> None:
    """A watch that selects nothing still learns newer versions, in objects with nothing else in them."""
    _, selector = _selector()
    version = target.api.get(CSRS, fieldSelector=selector)["metadata"]["resourceVersion"]
    with target.api.watch(
        CSRS, timeoutSeconds=10, fieldSelector=selector, resourceVersion=version, allowWatchBookmarks=True
    ) as events:
        made = target.create_csr()
        bookmark = next(event for event in events if _version(event) >= _version({"object": made}))
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["kind"] == "CertificateSigningRequest"
    assert set(bookmark["object"]["metadata"]) == {"resourceVersion"}
    assert bookmark["object"]["spec"] == {"request": None, "signerName": ""}


def test_without_being_asked_there_are_no_bookmarks(target: Target) -> None:
    """A watch of a second for nothing ends, cleanly and empty."""
    _, selector = _selector()
    version = target.api.get(CSRS, fieldSelector=selector)["metadata"]["resourceVersion"]
    with target.api.watch(CSRS, timeoutSeconds=1, fieldSelector=selector, resourceVersion=version) as events:
        assert list(events) == []


def test_a_watch_can_select_one_object(target: Target) -> None:
    """metadata.name works for watches as for lists."""
    made = target.create_csr()
    name = made["metadata"]["name"]
    target.create_csr()
    approved = target.update(made, "approval", conditions=[APPROVED])
    version = made["metadata"]["resourceVersion"]
    (event,) = _take(target, 1, fieldSelector=f"metadata.name={name}", resourceVersion=version)
    assert event == {"type": "MODIFIED", "object": approved}


@real_only
def test_a_version_that_makes_no_sense_is_refused(target: Target) -> None:
    """The real one answers 500 here, and so does the double."""
    assert refusal(lambda: target.api.watch(CSRS, resourceVersion="x")).status == 500


def test_a_forgotten_version_is_an_error_event(target: Target) -> None:
    """410 comes inside a stream that began with 200, and ends it."""
    old = target.create_csr()["metadata"]["resourceVersion"]
    target.create_csr()
    target.forget_history()
    with target.api.watch(CSRS, resourceVersion=old, timeoutSeconds=60) as events:
        (event,) = list(events)
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["reason"], status["code"]) == ("Status", "Expired", 410)


def test_what_is_forgotten_is_still_listed(target: Target) -> None:
    """After a 410 a new list and a watch from its version lose nothing."""
    signer, selector = _selector()
    made = target.create_csr(signerName=signer)
    target.forget_history()
    page = target.api.get(CSRS, fieldSelector=selector)
    assert [item["metadata"]["name"] for item in page["items"]] == [made["metadata"]["name"]]
    version = page["metadata"]["resourceVersion"]
    later = target.create_csr(signerName=signer)
    assert _take(target, 1, fieldSelector=selector, resourceVersion=version) == [{"type": "ADDED", "object": later}]


def _version(event: Json) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])
