"""Pods are replaced one at a time, or the run stops; nothing here waits, because the cluster's clock is virtual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.managed_fields import DEEPEST, nested
from signerctl.interface.program import CommandError
from tests.unit.signerctl.renewal.cluster import ACCEPTED, TIMEOUT, csr_of, owner

if TYPE_CHECKING:
    from tests.unit.signerctl.renewal.cluster import Cluster

BUDGET = (429, {"message": "Cannot evict pod as it would violate the pod's disruption budget."})
MANY_BUDGETS = (500, {"message": "This pod has more than one PodDisruptionBudget"})
UNAVAILABLE = (503, {"message": "the server is shutting down"})
WHILE = 45.0
"""Seconds that a passing fault takes."""


def stopped(cluster: Cluster, name: str = "calico-node-1", **changes: Any) -> str:
    """Returns why a pod's replacement is given up, which must be at the timeout."""
    pod = cluster.add(name, **changes)
    with pytest.raises(CommandError) as error:
        list(cluster.renewal().run([pod]))
    assert cluster.now == pytest.approx(TIMEOUT.total_seconds())
    return str(error.value)


def replaced(cluster: Cluster, **changes: Any) -> float:
    """Replaces a pod, and returns when the API server accepted its eviction."""
    ((_, new),) = cluster.renewal().run([cluster.add(**changes)])
    assert new is not None
    assert new.name == "calico-node-1-new"
    when, _ = cluster.evictions[-1]
    return when


def test_a_pod_is_evicted_once_and_its_replacement_has_its_certificate(cluster: Cluster) -> None:
    """The eviction names the pod's uid: a pod that has got its name in the meantime stays."""
    assert replaced(cluster) == 0
    ((_, body),) = cluster.evictions
    assert body["deleteOptions"] == {"preconditions": {"uid": "uid-calico-node-1"}}
    assert cluster.now >= 4
    assert cluster.said == ["pod_evicted", "pod_renewed"]


@pytest.mark.parametrize(
    ("never", "message"),
    [
        ("ended", "calico-system/calico-node-1 has not terminated yet"),
        ("created", "DaemonSet calico-node has created no replacement"),
        ("ready", "calico-system/calico-node-1-new is not Ready"),
        ("certified", "calico-system/calico-node-1-new is Ready, but none of its CSRs has a certificate"),
    ],
)
def test_a_replacement_that_is_not_complete_in_time_stops_the_run(cluster: Cluster, never: str, message: str) -> None:
    """The message says what is missing. Ready alone is not enough: other clients may ask later."""
    cluster.never = never
    why = stopped(cluster)
    assert "no complete replacement within 600 s" in why
    assert message in why
    assert why.endswith("; stopping without further evictions")
    assert len(cluster.evictions) == 1


@pytest.mark.parametrize(
    "replacement",
    [{"spec__nodeName": "node-2"}, {"metadata__ownerReferences": [owner(name="another")]}],
    ids=["another node's pod", "another owner's pod"],
)
def test_another_new_pod_is_no_replacement(cluster: Cluster, replacement: dict[str, Any]) -> None:
    """A DaemonSet's replacement runs on the node of the old pod."""
    cluster.replacement = replacement
    assert "DaemonSet calico-node has created no replacement" in stopped(cluster)


def test_a_deployments_replacement_may_run_on_another_node(cluster: Cluster) -> None:
    """The scheduler chooses one."""
    deployment = {"metadata__ownerReferences": [owner("ReplicaSet", "typha")]}
    cluster.replacement = {**deployment, "spec__nodeName": "node-2"}
    assert replaced(cluster, **deployment) == 0


@pytest.mark.parametrize("answer", [BUDGET, UNAVAILABLE], ids=["budget", "503"])
def test_a_refusal_that_passes_is_waited_for(cluster: Cluster, answer: tuple[int, object]) -> None:
    """A PodDisruptionBudget allows a disruption again, or the API server is back."""
    cluster.evicts = cluster.until(WHILE, answer)
    assert replaced(cluster) >= WHILE
    assert cluster.said == ["pod_evicted", "pod_renewed"]


def test_a_budget_that_allows_no_disruption_stops_the_run(cluster: Cluster) -> None:
    """The pod stays."""
    cluster.evicts = lambda: BUDGET
    why = stopped(cluster)
    assert "not evicted within 600 s" in why
    assert "disruption budget" in why
    assert list(cluster.pods) == ["calico-node-1"]


@pytest.mark.parametrize(
    "answer", [BUDGET, (403, {"message": "forbidden"}), MANY_BUDGETS], ids=["budget", "403", "two budgets"]
)
def test_a_pod_that_may_not_be_evicted_delays_no_pod_of_another_owner(
    cluster: Cluster, answer: tuple[int, object]
) -> None:
    """Another user may have made the pod and its budget. The run stops when no other pod is left."""
    blocked = cluster.add("blocked", metadata__ownerReferences=[owner("ReplicaSet", "blocked")])
    cluster.protected["blocked"] = answer
    others = [cluster.add("calico-node-1"), cluster.add("calico-node-2")]
    with pytest.raises(CommandError, match=rf"blocked: not evicted within 600 s: .* eviction: {answer[0]}: "):
        list(cluster.renewal().run([blocked, *others]))
    assert list(cluster.pods) == ["blocked", "calico-node-1-new", "calico-node-2-new"]
    assert cluster.now < 2 * TIMEOUT.total_seconds()


def test_a_refused_owner_is_asked_once_in_each_round(cluster: Cluster) -> None:
    """A thousand pods behind one budget must not become a thousand requests every few seconds."""
    cluster.evicts = lambda: BUDGET
    pods = [cluster.add(f"calico-node-{number}") for number in range(20)]
    with pytest.raises(CommandError, match="; pods that wait behind it: 19"):
        list(cluster.renewal().run(pods))
    moments = [when for when, _ in cluster.evictions]
    assert len(moments) == len(set(moments))


def test_an_eviction_whose_answer_is_lost_is_not_repeated(cluster: Cluster) -> None:
    """The pod is already being deleted."""

    def lost() -> tuple[int, object]:
        cluster.evict("calico-node-1")
        return UNAVAILABLE

    cluster.evicts = lost
    assert replaced(cluster) == 0
    assert cluster.now >= 4
    assert len(cluster.evictions) == 1


@pytest.mark.parametrize("status", [404, 409], ids=["gone", "another pod has the name"])
def test_a_pod_that_another_program_evicts_at_the_same_moment_counts(cluster: Cluster, status: int) -> None:
    """Its replacement has a new certificate too."""

    def gone() -> tuple[int, object]:
        cluster.evict("calico-node-1")
        return status, {}

    cluster.evicts = gone
    assert replaced(cluster) == 0
    assert cluster.said == ["pod_renewed"]


@pytest.mark.parametrize(
    "changes", [None, {"metadata__deletionTimestamp": "2026-11-01T00:00:00Z"}], ids=["gone", "ends"]
)
def test_a_pod_that_another_program_has_replaced_is_left_out(cluster: Cluster, changes: dict[str, Any] | None) -> None:
    """An earlier run, a node's drain or a rollout did so."""
    pod = cluster.add()
    cluster.pods.clear()
    if changes is not None:
        cluster.add(**changes)
    assert list(cluster.renewal().run([pod])) == [(pod, None)]
    assert (cluster.said, cluster.evictions) == (["pod_replaced"], [])


def test_an_outage_after_the_eviction_is_waited_for(cluster: Cluster) -> None:
    """The API server may restart while the replacement starts."""
    every = cluster.lists
    cluster.lists = lambda: UNAVAILABLE if 0 < cluster.now < WHILE else every()
    assert replaced(cluster) == 0
    assert cluster.now >= WHILE


def test_max_unavailable_of_a_daemon_set_is_waited_for(cluster: Cluster) -> None:
    """The eviction API ignores it, so the run asks for no eviction."""
    cluster.daemon_set = {"spec": {}, "status": {"desiredNumberScheduled": 3, "numberUnavailable": 1}}
    cluster.after(WHILE, lambda: cluster.daemon_set and cluster.daemon_set["status"].pop("numberUnavailable"))
    assert replaced(cluster) >= WHILE
    assert len(cluster.evictions) == 1


def test_max_unavailable_that_stays_reached_stops_the_run(cluster: Cluster) -> None:
    """Nothing is evicted."""
    cluster.daemon_set = {"spec": {}, "status": {"desiredNumberScheduled": 3, "numberUnavailable": 1}}
    assert "1 pods are unavailable, and maxUnavailable is 1" in stopped(cluster)
    assert not cluster.evictions


def test_an_unavailable_pod_is_evicted_although_max_unavailable_is_reached(cluster: Cluster) -> None:
    """Its eviction makes no pod unavailable; otherwise pods that lost their certificates could never be renewed."""
    cluster.daemon_set = {"spec": {}, "status": {"desiredNumberScheduled": 3, "numberUnavailable": 3}}
    assert replaced(cluster, ready=False) == 0


def test_the_last_ready_pod_of_a_deployment_stays(cluster: Cluster) -> None:
    """Without a PodDisruptionBudget, the API server would evict the only pod that works."""
    typha = {"metadata__ownerReferences": [owner("ReplicaSet", "typha")]}
    cluster.add("typha-2", ready=False, **typha)
    assert "ReplicaSet calico-system/typha: pod typha-2 is not Ready" in stopped(cluster, "typha-1", **typha)
    assert not cluster.evictions


def test_a_namespace_with_an_owner_that_lacks_pods_keeps_its_ready_pods(cluster: Cluster) -> None:
    """An earlier run stopped there because new pods get no certificates: each run would cost one pod of each owner."""
    cluster.daemon_set = {"spec": {}, "status": {"desiredNumberScheduled": 3, "numberUnavailable": 1}}
    typha = {"metadata__ownerReferences": [owner("ReplicaSet", "typha")]}
    cluster.replacement = typha
    pods = [cluster.add("calico-node-1"), cluster.add("typha", **typha), cluster.add("failed", ready=False, **typha)]
    with pytest.raises(
        CommandError, match="1 pods are unavailable, and maxUnavailable is 1; pods that wait behind it: 1"
    ):
        list(cluster.renewal().run(pods))
    assert [name for name in cluster.pods if name != "failed-new"] == ["calico-node-1", "typha"]


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet"])
def test_an_owner_that_lacks_replicas_keeps_those_it_has(cluster: Cluster, kind: str) -> None:
    """A quota or an admission policy may prevent new pods; each run would evict one more, down to the last."""
    cluster.workloads[kind, "typha"] = {"spec": {"replicas": 2}, "status": {"readyReplicas": 1}}
    why = stopped(cluster, "typha-1", metadata__ownerReferences=[owner(kind, "typha")])
    assert f"{kind} calico-system/typha: 1 of 2 replicas are Ready" in why
    assert not cluster.evictions


def test_an_owner_of_another_kind_needs_no_right_to_read_it(cluster: Cluster) -> None:
    """Only the group apps says how many replicas there must be."""
    custom = {"metadata__ownerReferences": [owner("CloneSet", "typha")]}
    cluster.replacement = custom
    assert replaced(cluster, **custom) == 0


def test_a_hostile_csr_hides_no_certificate(cluster: Cluster) -> None:
    """Any client may nest managedFields deeper than Python parses, and write bytes that are not UTF-8."""
    csr = csr_of("hostile")
    hostile = nested({**csr, "apiVersion": "certificates.k8s.io/v1", "metadata": {"name": "csr"}}, DEEPEST)
    assert b'"f:a"' in hostile
    cluster.hostile = hostile.replace(b'"f:a"', b'"f:\xff"', 1)
    assert replaced(cluster) == 0


def test_a_pod_whose_daemon_set_is_gone_is_not_evicted(cluster: Cluster) -> None:
    """No pod would replace it."""
    cluster.daemon_set = None
    assert "DaemonSet calico-system/calico-node does not exist, so nothing would replace the pod" in stopped(cluster)
    assert not cluster.evictions
    assert cluster.evicts() == ACCEPTED
