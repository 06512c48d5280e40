"""Pods that end while their CSRs wait, drained nodes, and a new CA, with the real controllers."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandbox.api import NODES
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.operator import APPS
from tests.end_to_end.conftest import eventually
from tests.rollouts.cluster import PERIOD, WITHOUT_CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rollouts.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

CLIENTS = ("calico-node", "calico-typha", "calico-apiserver")


@pytest.fixture(autouse=True)
def _accounted_for(cluster: Cluster) -> Iterator[None]:
    """After each story every pod of a component with a client has a certificate, and each signature has a record."""
    yield
    cluster.wait_until_complete(but=WITHOUT_CLIENT)
    assert [fault for fault in cluster.faults() if "empty" not in fault] == []
    assert not {uid for uid in cluster.uids() if cluster.parts.volumes.errors.get(uid)}, (
        "a client failed and was restarted"
    )
    assert "every signature is accounted for" in cluster.reconcile().output


def test_pods_deleted_while_their_csrs_wait_leave_no_certificate(cluster: Cluster) -> None:
    """Their successors have new names, and get theirs; the CSRs of the deleted pods are refused."""
    with cluster.without_function():
        cluster.parts.restart()
        eventually(lambda: len(cluster.waiting() & cluster.uids("calico-node")) == 2)
        deleted = {pod["metadata"]["uid"] for pod in cluster.pods("calico-node")} & cluster.waiting()
        cluster.delete(pod for pod in cluster.pods("calico-node") if pod["metadata"]["uid"] in deleted)
        eventually(lambda: len(cluster.waiting() & cluster.uids("calico-node")) == 2)
        assert not deleted & cluster.uids()
    cluster.wait_until_complete(but=WITHOUT_CLIENT)
    csrs = cluster.csrs()
    assert cluster.uids(*CLIENTS) <= {uid for uid, csr in csrs.items() if "certificate" in csr["status"]}
    eventually(lambda: not cluster.waiting())
    assert not [csr for uid, csr in cluster.csrs().items() if uid in deleted and "certificate" in csr["status"]]


def test_two_nodes_are_drained_while_csrs_wait(cluster: Cluster) -> None:
    """`kubectl drain` evicts Typha and the API server, which get certificates on other nodes."""
    evicted = {"node-000", "node-001"}
    with cluster.without_function():
        cluster.parts.restart(f"{APPS}/{CALICO_SYSTEM}/deployments/calico-typha")
        eventually(lambda: bool(cluster.waiting() & cluster.uids("calico-typha")))
        cluster.kubectl("drain", *sorted(evicted), "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
    cluster.wait_until_complete(but=WITHOUT_CLIENT)
    nodes = {pod["spec"]["nodeName"] for pod in cluster.pods("calico-typha", "calico-apiserver")}
    assert not nodes & evicted
    cluster.kubectl("uncordon", *sorted(evicted))


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
    cluster.wait_until_complete(but=WITHOUT_CLIENT)
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
    with replacing_pods(cluster):
        both = cluster.trust(old, new.certificate_authority)
        cluster.wait_until_complete(check=check)
        cluster.sign_with(new, both)
        cluster.trust(new.certificate_authority, old)
        cluster.wait_until_complete(check=check)
        done = cluster.provide_key_pairs("--trust-bundle", new.certificate_authority)
        assert done.exit_code == 0, done.stderr
        assert done.stderr.count("valid until") == 3
        cluster.wait_until_complete(check=check)
        cluster.trust(new.certificate_authority)
        cluster.wait_until_complete(check=check)
    cluster.sign_with(new, new.certificate_authority)
    cluster.wait_until_complete(check=check)
    eventually(lambda: cluster.faults() == [], period=PERIOD)


@contextmanager
def replacing_pods(cluster: Cluster) -> Iterator[None]:
    """Deletes a pod of calico-node again and again."""
    stopping = threading.Event()
    deleted: list[str] = []

    def run() -> None:
        while not stopping.wait(0.2):
            pod = cluster.pods("calico-node")[0]
            cluster.delete([pod])
            deleted.append(pod["metadata"]["uid"])
            eventually(lambda: deleted[-1] not in cluster.uids() or stopping.is_set(), period=PERIOD)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    assert len(deleted) > 3
