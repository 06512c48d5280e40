"""Key pairs, pods that end while their CSRs wait, drained nodes, and a new CA, with the real controllers."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sandbox.api import NODES
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.key_pairs import WORKLOADS
from sandbox.calico.operator import APPS
from tests.end_to_end.conftest import eventually
from tests.rollouts.cluster import CLIENTS, EMPTY, PERIOD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rollouts.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

LATE = timedelta(days=300)
"""Less than a third of a year is left."""


@pytest.fixture(autouse=True)
def _accounted_for(cluster: Cluster) -> Iterator[None]:
    """After each story every pod of a component with a client has a certificate, and each signature has a record."""
    yield
    cluster.wait_until_complete(but=WORKLOADS)
    assert cluster.unfilled() <= EMPTY
    assert cluster.misfits() == []
    assert not cluster.uids() & cluster.parts.volumes.errors.keys(), "a client failed and was restarted"
    assert "every signature is accounted for" in cluster.reconcile().output


def test_every_volume_of_calico_gets_its_key_pair_and_is_renewed(cluster: Cluster) -> None:
    """For openssl each certificate is good for its uses; the renewal restarts only Goldmane and Whisker."""
    eventually(lambda: cluster.unfilled() == EMPTY)
    done = cluster.provide_key_pairs()
    assert done.exit_code == 0, done.stderr
    cluster.wait_until_complete()
    assert cluster.faults() == []
    found = json.loads(cluster.provide_key_pairs("--dry-run", "-o", "json").stdout)["items"]
    assert {each["component"] for each in found if each["state"] == "valid"} == {
        "goldmane",
        "whisker",
        "whisker-backend",
    }

    before, others = cluster.uids(*WORKLOADS), cluster.uids() - cluster.uids(*WORKLOADS)
    renewed = cluster.provide_key_pairs(clock=lambda: datetime.now(UTC) + LATE)
    assert renewed.exit_code == 0, renewed.stderr
    assert renewed.stderr.count("valid until") == 3
    eventually(lambda: not before & cluster.uids())
    cluster.wait_until_complete()
    assert cluster.faults() == []
    assert others <= cluster.uids()
    assert "every signature is accounted for" in cluster.reconcile().output


def test_pods_deleted_while_their_csrs_wait_leave_no_certificate(cluster: Cluster) -> None:
    """Their successors have new names, and get theirs; the CSRs of the deleted pods are refused."""
    with cluster.without_function():
        cluster.parts.restart()
        eventually(lambda: len(cluster.waiting() & cluster.uids("calico-node")) == 2)
        deleted = {pod["metadata"]["uid"] for pod in cluster.pods("calico-node")} & cluster.waiting()
        cluster.delete(pod for pod in cluster.pods("calico-node") if pod["metadata"]["uid"] in deleted)
        eventually(lambda: len(cluster.waiting() & cluster.uids("calico-node")) == 2)
    cluster.wait_until_complete(but=WORKLOADS)
    csrs = cluster.csrs()
    assert cluster.uids(*CLIENTS) <= {uid for uid, csr in csrs.items() if "certificate" in csr["status"]}
    eventually(lambda: not cluster.waiting())
    assert {cluster.reason(uid) for uid in deleted} == {"PodGone"}


def test_nodes_are_drained_while_csrs_wait(cluster: Cluster) -> None:
    """`kubectl drain` evicts Typha and the API server, which get certificates on other nodes."""
    with cluster.without_function():
        cluster.parts.restart(f"{APPS}/{CALICO_SYSTEM}/deployments/calico-typha")
        eventually(lambda: bool(cluster.waiting() & cluster.uids("calico-typha")))
        (typha, *_), (server, *_) = (cluster.pods(name) for name in ("calico-typha", "calico-apiserver"))
        waiting = next(pod for pod in cluster.pods("calico-typha") if pod["metadata"]["uid"] in cluster.waiting())
        nodes = {pod["spec"]["nodeName"] for pod in (typha, server, waiting)}
        cluster.kubectl("drain", *sorted(nodes), "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
    try:
        cluster.wait_until_complete(but=WORKLOADS)
        assert not {pod["metadata"]["uid"] for pod in (typha, server, waiting)} & cluster.uids()
        assert not {pod["spec"]["nodeName"] for pod in cluster.pods("calico-typha", "calico-apiserver")} & nodes
        eventually(lambda: bool(cluster.reason(waiting["metadata"]["uid"])))
    finally:
        cluster.kubectl("uncordon", *sorted(nodes))


def test_a_removed_node_takes_its_pods_along_and_a_new_one_gets_a_certificate(cluster: Cluster) -> None:
    """The node's pod is deleted while its CSR waits; the DaemonSet follows the nodes."""
    with cluster.without_function():
        cluster.parts.kubelet.add_nodes(["node-new"])
        eventually(lambda: bool(cluster.waiting() & cluster.uids("calico-node")))
        cluster.kubectl("drain", "node-new", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
        cluster.api.delete(f"{NODES}/node-new")
        cluster.delete(pod for pod in cluster.pods("calico-node") if pod["spec"]["nodeName"] == "node-new")
        cluster.parts.kubelet.add_nodes(["node-newer"])
        eventually(lambda: bool(cluster.waiting() & cluster.uids("calico-node")))
    cluster.wait_until_complete(but=WORKLOADS)
    nodes = {pod["spec"]["nodeName"] for pod in cluster.pods("calico-node")}
    assert "node-newer" in nodes
    assert "node-new" not in nodes


def test_a_ca_rotation_keeps_mutual_trust_while_pods_are_replaced(cluster: Cluster) -> None:
    """The steps of docs/rotation.md. At every moment, each pod trusts the certificate of every other pod."""

    def check() -> None:
        assert cluster.distrust() == []

    old, new = cluster.deployment.certificate_authority, cluster.new_authority("next")
    done = cluster.provide_key_pairs()
    assert done.exit_code == 0, done.stderr
    cluster.wait_until_complete()
    with replacing_pods(cluster) as wait_until_another_is_replaced:
        both = cluster.trust(old, new.certificate_authority)
        cluster.wait_until_complete(check=check)
        wait_until_another_is_replaced()
        cluster.sign_with(new, both)
        cluster.trust(new.certificate_authority, old)
        cluster.wait_until_complete(check=check)
        wait_until_another_is_replaced()
        before = cluster.uids(*WORKLOADS)
        done = cluster.provide_key_pairs("--trust-bundle", new.certificate_authority)
        assert done.exit_code == 0, done.stderr
        assert done.stderr.count("valid until") == 3
        eventually(lambda: not before & cluster.uids(*WORKLOADS))
        cluster.wait_until_complete(check=check)
        wait_until_another_is_replaced()
        cluster.trust(new.certificate_authority)
        cluster.wait_until_complete(check=check)
        wait_until_another_is_replaced()
    cluster.sign_with(new, new.certificate_authority)
    cluster.wait_until_complete(check=check)
    eventually(lambda: cluster.faults() == [], period=PERIOD)


@contextmanager
def replacing_pods(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Deletes a pod of calico-node each second, while all of them have certificates.

    It yields what waits until the next pod is deleted.
    """
    stopping, deleted = threading.Event(), []

    def run() -> None:
        while not stopping.wait(1):
            if cluster.parts.is_rolled_out():
                cluster.delete(cluster.pods("calico-node")[:1])
                deleted.append(1)

    def wait_until_another_is_replaced() -> None:
        before = len(deleted)
        eventually(lambda: replaced.done() or len(deleted) > before)

    with ThreadPoolExecutor(max_workers=1) as executor:
        replaced = executor.submit(run)
        try:
            yield wait_until_another_is_replaced
        finally:
            stopping.set()
        replaced.result()
