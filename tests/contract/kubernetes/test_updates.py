"""Versions, preconditions, and what no update changes."""

import functools

import pytest

from sandbox.api import Json, csr_path
from tests.contract.kubernetes.support import APPROVED, Target, causes, csr, real_only, refusal, unique

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def _path(stored: Json, subresource: str = "") -> str:
    return csr_path(stored["metadata"]["name"], subresource)


@pytest.mark.parametrize("endpoint", ["", "approval", "status"])
def test_spec_uid_and_creation_time_do_not_change(target: Target, endpoint: str) -> None:
    """Through no endpoint: a certificate may be derived from them."""
    made = target.create_csr()
    name = made["metadata"]["name"]
    other = csr(
        name,
        signerName="other.example.com/x",
        usages=["any"],
        username="x",
        metadata={"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "labels": {"a": "b"}},
    )
    updated = target.api.put(csr_path(name, endpoint), other)
    assert updated["spec"] == made["spec"]
    assert updated["metadata"]["labels"] == {"a": "b"}
    for field in ("uid", "creationTimestamp"):
        assert updated["metadata"][field] == made["metadata"][field]
    assert "generation" not in updated["metadata"]


@pytest.mark.parametrize("endpoint", ["", "approval", "status"])
def test_an_old_version_is_a_conflict(target: Target, endpoint: str) -> None:
    """A write that carries the version it read loses against a newer one, and says so."""
    made = target.create_csr()
    target.update(made, "approval", conditions=[APPROVED])
    refused = refusal(lambda: target.api.put(_path(made, endpoint), made))
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert refused.message.endswith(MODIFIED)


def test_another_uid_is_told_apart_from_an_old_version(target: Target) -> None:
    """Where both are wrong the uid is named: the object is another one, not a newer one."""
    made = target.create_csr()
    stale = {**made, "metadata": {**made["metadata"], "uid": "other", "resourceVersion": "1"}}
    refused = refusal(lambda: target.api.put(_path(made, "status"), stale))
    assert refused.status == 409
    assert "Precondition failed: UID in precondition: other" in refused.message
    assert MODIFIED not in refused.message


@pytest.mark.parametrize("version", [None, "", "0"])
def test_without_a_version_an_update_overwrites(target: Target, version: str | None) -> None:
    """Unconditional updates are allowed: whoever sends no version checks nothing."""
    made = target.create_csr()
    target.update(made, "approval", conditions=[APPROVED])
    metadata = {"name": made["metadata"]["name"], "labels": {"a": "b"}}
    if version is not None:
        metadata["resourceVersion"] = version
    updated = target.api.put(_path(made), {**made, "metadata": metadata})
    assert updated["metadata"]["labels"] == {"a": "b"}
    assert updated["status"]["conditions"][0]["type"] == "Approved"


def test_an_update_that_changes_nothing_is_no_new_version(target: Target) -> None:
    """The same content leaves the version, so that nobody is told."""
    made = target.create_csr()
    updated = target.api.put(_path(made, "status"), made)
    assert updated["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_every_change_is_a_new_version(target: Target) -> None:
    """Versions grow by change."""
    made = target.create_csr()
    updated = target.update(made, "approval", conditions=[APPROVED])
    assert int(updated["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_a_name_is_taken_once(target: Target) -> None:
    """The second one is told that it exists."""
    made = target.create_csr()
    refused = refusal(lambda: target.create_csr(made["metadata"]["name"]))
    assert (refused.status, refused.reason) == (409, "AlreadyExists")


def test_delete_and_create_make_another_object(target: Target) -> None:
    """The name returns, the uid does not."""
    made = target.create_csr()
    deleted = target.api.delete(_path(made))
    assert deleted["status"] == "Success"
    assert deleted["details"]["uid"] == made["metadata"]["uid"]
    again = target.create_csr(made["metadata"]["name"])
    assert again["metadata"]["uid"] != made["metadata"]["uid"]


@pytest.mark.parametrize("endpoint", ["", "approval", "status"])
def test_nothing_is_written_where_nothing_is(target: Target, endpoint: str) -> None:
    """A PUT does not create: 404, with the name in its details."""
    name = unique()
    refused = refusal(lambda: target.api.put(csr_path(name, endpoint), csr(name)))
    assert (refused.status, refused.reason) == (404, "NotFound")
    assert isinstance(refused.body, dict)
    assert refused.body["details"] == {
        "name": name,
        "group": "certificates.k8s.io",
        "kind": "certificatesigningrequests",
    }


@real_only
def test_the_name_in_the_body_is_the_one_in_the_path(target: Target) -> None:
    """Another name, or none, is a bad request."""
    made = target.create_csr()
    for body in (csr(unique()), {**made, "metadata": {}}):
        put = functools.partial(target.api.put, _path(made, "status"), body)
        assert refusal(put).reason == "BadRequest"


def test_a_merge_patch_changes_what_it_names(target: Target) -> None:
    """A patch adds and removes fields, also of the approval; null removes."""
    made = target.create_csr(metadata={"labels": {"a": "b", "c": "d"}})
    patched = target.api.patch(
        _path(made), {"metadata": {"labels": {"a": None, "e": "f"}}, "spec": {"signerName": "x"}}
    )
    assert patched["metadata"]["labels"] == {"c": "d", "e": "f"}
    assert patched["spec"] == made["spec"]
    approved = target.api.patch(_path(made, "approval"), {"status": {"conditions": [APPROVED]}})
    assert approved["status"]["conditions"][0]["type"] == "Approved"


def test_a_patch_can_be_conditional(target: Target) -> None:
    """With a version or a uid in it, a patch is refused where they differ."""
    made = target.create_csr()
    by_version = {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}}
    assert refusal(lambda: target.api.patch(_path(made), by_version)).message.endswith(MODIFIED)
    by_uid = refusal(lambda: target.api.patch(_path(made), {"metadata": {"uid": "other"}}))
    assert causes(by_uid) == {("metadata.uid", "FieldValueInvalid")}
