"""Deletion: preconditions, finalizers, and pods that take their time."""

import pytest

from sandbox.api import Json, csr_path
from tests.contract.kubernetes.support import FAILED, Pod, Target, make_pod, real_only, refusal

FINALIZER = "example.com/wait"


def _held(target: Target) -> tuple[str, Json]:
    """A CSR with a finalizer, deleted."""
    made = target.create_csr(metadata={"finalizers": [FINALIZER]})
    path = csr_path(made["metadata"]["name"])
    return path, target.api.delete(path)


def test_what_is_not_there_is_not_deleted(target: Target) -> None:
    """Deleting twice is 404 the second time."""
    path = csr_path(target.create_csr()["metadata"]["name"])
    target.api.delete(path)
    assert refusal(lambda: target.api.delete(path)).reason == "NotFound"


@real_only
def test_a_finalizer_keeps_the_object_and_its_name(target: Target) -> None:
    """A deleted CSR with a finalizer stays, says so, and its name stays taken."""
    path, deleted = _held(target)
    assert "deletionTimestamp" in deleted["metadata"]
    assert target.api.get(path)["metadata"] == deleted["metadata"]
    refused = refusal(lambda: target.create_csr(deleted["metadata"]["name"]))
    assert (refused.status, refused.reason) == (409, "AlreadyExists")
    assert refused.message.startswith("object is being deleted")


@real_only
def test_a_held_object_can_still_be_written_to(target: Target) -> None:
    """Status writes pass while a finalizer holds the object: a signer must look for deletionTimestamp."""
    path, deleted = _held(target)
    body = {**deleted, "status": {"conditions": [FAILED]}}
    assert target.api.put(f"{path}/status", body)["status"]["conditions"][0]["type"] == "Failed"
    assert target.api.get(path)["metadata"]["deletionTimestamp"] == deleted["metadata"]["deletionTimestamp"]


def test_a_pod_on_a_node_terminates(target: Target, pod: Pod) -> None:
    """Deleting marks it; without a kubelet it stays, as it does while its containers end."""
    target.api.delete(pod.path)
    metadata = target.api.get(pod.path)["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 30
    assert "deletionTimestamp" in metadata
    assert metadata["uid"] == pod.pod["metadata"]["uid"]


@pytest.mark.parametrize("graceful_first", [False, True])
def test_a_pod_without_grace_is_gone_at_once(target: Target, pod: Pod, graceful_first: bool) -> None:  # noqa: FBT001 - parameter
    """Deleting with gracePeriodSeconds 0 removes a pod, also one that terminates already."""
    if graceful_first:
        target.api.delete(pod.path)
    target.api.delete(pod.path, {"gracePeriodSeconds": 0})
    assert refusal(lambda: target.api.get(pod.path)).status == 404


def test_a_pod_without_a_node_is_gone_at_once(target: Target) -> None:
    """Nobody has to end what never started."""
    pod = make_pod(target.api, scheduled=False)
    target.api.delete(pod.path)
    assert refusal(lambda: target.api.get(pod.path)).status == 404
