"""Strategic merge patches of CSRs, by which the function writes: what they change, and when they are refused."""

from typing import Any

import pytest

from sandbox.api import CSRS, Json, csr_path
from tests.contract.kubernetes.support import (
    APPROVED,
    DENIED,
    FAILED,
    Target,
    causes,
    certificate_pem,
    csr,
    encoded,
    refusal,
)

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
OTHER = {"type": "Checked", "status": "Unknown", "reason": "Contract", "message": "theirs"}


def write(target: Target, read: Json, subresource: str, *, metadata: Json | None = None, **status: Any) -> Json:
    """Writes as the function does: only if the object is the one that was read."""
    precondition = {key: read["metadata"][key] for key in ("uid", "resourceVersion")}
    body = {"metadata": {**precondition, **(metadata or {})}, "status": status}
    return target.api.patch(csr_path(read["metadata"]["name"], subresource), body, "strategic-merge")


def test_a_patch_changes_what_it_names_and_nothing_else(target: Target) -> None:
    """Metadata and spec stay; the list of conditions is replaced, as it is no list that is merged."""
    metadata = {"labels": {"a": "b"}, "annotations": {"note": "theirs"}, "generateName": "g"}
    made = target.create_csr(metadata=metadata)
    approved = write(target, made, "approval", conditions=[OTHER, APPROVED])
    issued = write(target, approved, "status", certificate=encoded(certificate_pem()))
    for key in ("labels", "annotations", "generateName", "uid", "creationTimestamp"):
        assert issued["metadata"][key] == made["metadata"][key]
    assert issued["spec"] == made["spec"]
    assert [each["type"] for each in issued["status"]["conditions"]] == ["Checked", "Approved"]
    assert issued["status"]["certificate"] == encoded(certificate_pem())
    replaced = write(target, made | issued, "status", conditions=[APPROVED, FAILED])
    assert [each["type"] for each in replaced["status"]["conditions"]] == ["Approved", "Failed"]


@pytest.mark.parametrize("subresource", ["approval", "status"])
def test_a_patch_of_an_old_version_is_a_conflict(target: Target, subresource: str) -> None:
    """Whoever wrote in between wins."""
    made = target.create_csr()
    target.api.patch(csr_path(made["metadata"]["name"]), {"metadata": {"labels": {"edit": "1"}}})
    refused = refusal(lambda: write(target, made, subresource, conditions=[OTHER]))
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert refused.message.endswith(MODIFIED)


def test_a_patch_of_a_csr_that_was_created_again_changes_nothing(target: Target) -> None:
    """The name has another uid and another version: a conflict; while there is none of that name: 404."""
    made = target.create_csr()
    name = made["metadata"]["name"]
    target.api.delete(csr_path(name))
    certificate = encoded(certificate_pem())
    refused = refusal(lambda: write(target, made, "status", certificate=certificate))
    assert (refused.status, refused.reason) == (404, "NotFound")
    assert isinstance(refused.body, dict)
    assert (refused.body["details"]["kind"], refused.body["details"]["name"]) == ("certificatesigningrequests", name)
    target.api.post(CSRS, csr(name))
    refused = refusal(lambda: write(target, made, "status", certificate=certificate))
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert target.api.get(csr_path(name))["status"] == {}


def test_a_patch_of_another_uid_at_the_same_version_is_invalid(target: Target) -> None:
    """A uid does not change."""
    made = target.create_csr()
    refused = refusal(lambda: write(target, made, "approval", metadata={"uid": "other"}, conditions=[APPROVED]))
    assert causes(refused) == {("metadata.uid", "FieldValueInvalid")}


def test_a_patch_writes_a_certificate_once(target: Target) -> None:
    """The second one is refused, and so is none in its place."""
    approved = write(target, target.create_csr(), "approval", conditions=[APPROVED])
    issued = write(target, approved, "status", certificate=encoded(certificate_pem()))
    for certificate in (encoded(certificate_pem("another")), None):
        refused = refusal(lambda other=certificate: write(target, issued, "status", certificate=other))  # type: ignore[misc]
        assert causes(refused) == {("status.certificate", "FieldValueForbidden")}


@pytest.mark.parametrize(("first", "second"), [(APPROVED, DENIED), (DENIED, APPROVED)], ids=["approved", "denied"])
def test_a_patch_decides_once(target: Target, first: Json, second: Json) -> None:
    """Approved and Denied exclude one another, and neither is taken back."""
    decided = write(target, target.create_csr(), "approval", conditions=[first])
    refused = refusal(lambda: write(target, decided, "approval", conditions=[first, second]))
    assert causes(refused) == {("status.conditions", "FieldValueInvalid")}
    refused = refusal(lambda: write(target, decided, "approval", conditions=[]))
    assert causes(refused) == {("status.conditions", "FieldValueForbidden")}


@pytest.mark.parametrize("subresource", ["approval", "status"])
def test_a_patch_may_change_metadata_too(target: Target, subresource: str) -> None:
    """Whoever may patch a subresource may change the metadata by it: README and the guards rest on that."""
    made = target.create_csr()
    patched = write(target, made, subresource, metadata={"labels": {"a": "b"}})
    assert patched["metadata"]["labels"] == {"a": "b"}
