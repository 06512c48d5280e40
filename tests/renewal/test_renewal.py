"""`signerctl renew` on a real control plane with controllers: 28 pods of a DaemonSet and 2 of a Deployment.

It has exactly the CronJob's rights. tests/unit/signerctl/renewal has the waits and faults of one replacement.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import eventually
from tests.renewal.cluster import PODS, is_available, least_available
from tests.unit.signerctl.stage import logged

if TYPE_CHECKING:
    from tests.renewal.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

SHORT = ("--timeout", "3s")
"""For a run that must stop at its timeout."""


def test_thirty_pods_are_renewed_one_at_a_time_over_an_interruption(cluster: Cluster) -> None:
    """Ctrl-C ends the first run; the second run renews the others, and no pod twice; then no pod is due."""
    before, since = cluster.pods(), cluster.version()
    status, lines = cluster.renew_and_interrupt(after=7)
    assert status == 130
    assert lines[-1]["event"] == "renewal_stopped"
    assert "interrupted" in lines[-1]["message"]
    after_interruption = cluster.uids()
    done = cluster.renew("-o", "json")
    assert done.exit_code == 0, done.stderr
    renewed = json.loads(done.stdout)["items"]
    assert {each["state"] for each in renewed} == {"renewed"}
    assert len(after_interruption - {each["metadata"]["uid"] for each in before}) + len(renewed) in {PODS, PODS + 1}
    assert not cluster.uids() & {each["metadata"]["uid"] for each in before}
    assert cluster.uids() <= cluster.certified_uids()
    assert least_available(cluster, before, since) == PODS - 1
    assert "30 pods hold certificates, 0 are due" in cluster.renew("--dry-run").stderr
    young = cluster.renew("--dry-run", "--remaining", "999999999/1000000000")
    assert "30 pods hold certificates, 30 are due" in young.stderr, "without a record, by the pod's creation"


def test_a_replacement_that_does_not_become_ready_stops_the_run(cluster: Cluster) -> None:
    """One pod is evicted, and no other one by the next run, which sees an unavailable pod."""
    cluster.kubelet.starts = lambda _: False
    before = cluster.uids()
    done = cluster.renew(*SHORT)
    assert done.exit_code == 1
    assert "no complete replacement within 3 s" in done.stderr
    assert "stopping without further evictions" in done.stderr
    eventually(lambda: len(before - cluster.uids()) == 1)
    eventually(lambda: cluster.unavailable() == 1)
    again = cluster.renew(*SHORT)
    assert again.exit_code == 1
    assert "1 pods are unavailable, and maxUnavailable is 1" in again.stderr
    assert len(before - cluster.uids()) == 1
    assert sum(map(is_available, cluster.pods())) == PODS - 1


def test_a_pod_disruption_budget_is_waited_for_and_never_broken(cluster: Cluster) -> None:
    """While it allows no disruption, the run stops at its timeout; once it allows one, the pods follow."""
    typhas = cluster.uids_of("calico-typha")
    records = ("--records", str(cluster.records(dict.fromkeys(typhas, "2026-01-01"))))
    with cluster.budget(max_unavailable=0):
        done = cluster.renew(*SHORT, *records)
        assert done.exit_code == 1
        assert "disruption budget" in done.stderr
        assert typhas <= cluster.uids()
    with cluster.budget(max_unavailable=1):
        done = cluster.renew(*records)
    assert done.exit_code == 0, done.stderr
    assert not typhas & cluster.uids()


def test_the_cron_job_reads_only_the_requesters_namespaces(cluster: Cluster) -> None:
    """RBAC has no right for other ones. The alert finds the same event as when a pod is not replaced."""
    done = cluster.renew("--log-format", "json", "--requesters", "example.com/any", "30d", "default/any")
    assert done.exit_code == 1
    (line,) = logged(done)
    assert (line["severity"], line["event"]) == ("ERROR", "renewal_stopped")
    assert "403" in line["message"]
