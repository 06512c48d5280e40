"""`signerctl renew` on a real control plane with controllers: 28 pods of a DaemonSet and 2 of a Deployment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.renewal.cluster import DAEMON_SET, PODS, least_available

if TYPE_CHECKING:
    from tests.renewal.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

SHORT = ("--timeout", "3s")
"""For a run that must evict nothing."""
PATIENT = ("--timeout", "10s")
"""For a run that must see its replacement."""


def test_thirty_pods_are_renewed_one_at_a_time_over_an_interruption(cluster: Cluster) -> None:
    """Ctrl-C ends the first run; the second run renews the others, and no pod twice; the third finds none."""
    before, since = cluster.pods(), cluster.version()
    status, lines = cluster.renew_and_interrupt(after=7)
    assert status == 1
    assert lines[-1]["event"] == "renewal_stopped"
    assert "interrupted" in lines[-1]["message"]
    after_interruption = cluster.uids()
    done = cluster.renew("-o", "json")
    assert done.returncode == 0, done.stderr
    renewed = json.loads(done.stdout)["items"]
    assert {each["state"] for each in renewed} == {"renewed"}
    assert len(after_interruption - {each["metadata"]["uid"] for each in before}) + len(renewed) in {PODS, PODS + 1}
    assert not cluster.uids() & {each["metadata"]["uid"] for each in before}
    assert cluster.uids() <= cluster.certified_uids()
    assert least_available(cluster, before, since) == PODS - 1
    assert "30 pods hold certificates, 0 are due" in cluster.renew().stderr


def test_the_certificate_that_ends_first_is_renewed_first(cluster: Cluster) -> None:
    """Records decide where there are some: a pod whose record ends later is not due, whatever its age."""
    pods = cluster.pods()
    first, second, *others = (pod["metadata"]["uid"] for pod in pods)
    ends = {first: "2026-01-02", second: "2026-01-01", **dict.fromkeys(others, "2099-01-01")}
    done = cluster.renew("--dry-run", "-o", "json", "--records", str(cluster.records(ends)))
    items = json.loads(done.stdout)["items"]
    names = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods}
    assert [each["pod"] for each in items if each["state"] == "due"] == [names[second], names[first]]
    assert {each["source"] for each in items} == {"record"}


def test_a_dry_run_evicts_nothing(cluster: Cluster) -> None:
    """It lists the pods that are due."""
    before = cluster.uids()
    done = cluster.renew("--dry-run", "-o", "json")
    assert [each["state"] for each in json.loads(done.stdout)["items"]] == ["due"] * PODS
    heading, *rows = cluster.renew("--dry-run", "-o", "wide", "--remaining", "1/10").stdout.splitlines()
    assert heading.split() == ["NAMESPACE", "POD", "OWNER", "ENDS", "LEFT", "STATE", "NODE", "SOURCE", "REPLACEMENT"]
    assert len([row for row in rows if " not due " in row and " node-" in row and "pod start" in row]) == PODS
    assert cluster.uids() == before


def test_a_replacement_that_does_not_become_ready_stops_the_run(cluster: Cluster) -> None:
    """One pod is evicted, by this run and by the next: the next sees an unavailable pod."""
    cluster.kubelet.starts = lambda _: False
    before = cluster.uids()
    done = cluster.renew(*PATIENT)
    assert done.returncode == 1
    assert "to become Ready; nothing else is evicted" in done.stderr
    assert len(before - cluster.uids()) == 1
    again = cluster.renew(*SHORT)
    assert again.returncode == 1
    assert "1 pods are unavailable, and maxUnavailable is 1" in again.stderr
    assert len(before - cluster.uids()) == 1


def test_a_replacement_that_is_ready_without_a_certificate_stops_the_run(cluster: Cluster) -> None:
    """Ready alone is not enough: for other clients than Calico's, a pod may be Ready before its certificate."""
    cluster.kubelet.starts = lambda _: True
    before = cluster.uids()
    done = cluster.renew(*PATIENT)
    assert done.returncode == 1
    assert "no CSR of it has a certificate; nothing else is evicted" in done.stderr
    assert len(before - cluster.uids()) == 1


@pytest.mark.parametrize(
    ("most", "unavailable", "evicts"),
    [(1, 1, False), (2, 1, True), ("4%", 1, True), ("4%", 2, False)],
)
def test_max_unavailable_of_the_daemon_set_holds(
    cluster: Cluster, most: int | str, unavailable: int, *, evicts: bool
) -> None:
    """The eviction API ignores it. 4% of 28 pods is 1.12, and the controller rounds up to 2."""
    cluster.api.patch(DAEMON_SET, {"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": most}}}})
    broken, others = cluster.break_nodes(unavailable)
    before = cluster.uids()
    records = cluster.records(dict.fromkeys(others, "2026-01-01"))
    done = cluster.renew(*(() if evicts else SHORT), "--records", str(records))
    evicted = before - cluster.uids()
    assert bool(evicted) is evicts, done.stderr
    assert done.returncode == (0 if evicts else 1), done.stderr
    assert not evicted & broken
    if not evicts:
        assert f"{unavailable} pods are unavailable" in done.stderr


def test_an_unavailable_pod_is_replaced_although_max_unavailable_is_reached(cluster: Cluster) -> None:
    """Its eviction makes no pod unavailable; otherwise pods that lost their certificates could never be renewed."""
    broken, _ = cluster.break_nodes(2)
    done = cluster.renew("--records", str(cluster.records(dict.fromkeys(broken, "2026-01-01"))))
    assert done.returncode == 0, done.stderr
    assert not broken & cluster.uids()


def test_a_pod_disruption_budget_is_waited_for_and_never_broken(cluster: Cluster) -> None:
    """While it allows no disruption, the run waits, and stops at its timeout; once it allows one, the pods follow."""
    typhas = cluster.uids_of("calico-typha")
    records = ("--records", str(cluster.records(dict.fromkeys(typhas, "2026-01-01"))))
    with cluster.budget(max_unavailable=0):
        done = cluster.renew(*SHORT, *records)
        assert done.returncode == 1
        assert "disruption budget" in done.stderr
        assert typhas <= cluster.uids()
    with cluster.budget(max_unavailable=1):
        done = cluster.renew(*records)
    assert done.returncode == 0, done.stderr
    assert not typhas & cluster.uids()


def test_a_deployment_without_a_budget_keeps_its_last_ready_pod(cluster: Cluster) -> None:
    """Without a PodDisruptionBudget, the API server would evict the only pod that works."""
    broken, works = cluster.break_typha()
    before = cluster.uids()
    done = cluster.renew(*SHORT, "--records", str(cluster.records({works: "2026-01-01"})))
    assert done.returncode == 1
    assert "is not Ready" in done.stderr
    assert cluster.uids() == before
    done = cluster.renew("--records", str(cluster.records({broken: "2026-01-01", works: "2026-01-02"})))
    assert done.returncode == 0, done.stderr


def test_a_run_that_cannot_read_the_cluster_says_so_in_the_log(cluster: Cluster) -> None:
    """The alert finds the same event as when a pod is not replaced; here RBAC has no right for the namespace."""
    done = cluster.renew("--log-format", "json", "--signer", "example.com/any", "30d", "default/any")
    assert done.returncode == 1
    line = json.loads(done.stdout)
    assert (line["severity"], line["event"]) == ("ERROR", "renewal_stopped")
    assert "403" in line["message"]
