"""A rolling restart of 200 pods of calico-node by the real DaemonSet controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.calico.key_pairs import WORKLOADS
from tests.end_to_end.conftest import PATIENCE
from tests.rollouts.cluster import CLIENTS, EMPTY
from tests.rollouts.conftest import calico

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

PODS = 200
AT_ONCE = 20
"""The DaemonSet's maxUnavailable."""


def test_no_pod_of_a_rolling_restart_starves(tmp_path: Path) -> None:
    """While a pod waits, at most 60 other pods get certificates. Each pod gets exactly one certificate, its own."""
    with calico(tmp_path, max_unavailable=AT_ONCE) as cluster:
        cluster.parts.add_nodes(PODS)
        cluster.wait_until_complete(but=WORKLOADS)
        before = cluster.uids("calico-node")
        cluster.parts.restart()
        cluster.wait_until_complete(but=WORKLOADS, patience=PATIENCE * PODS / AT_ONCE)
        after = cluster.uids("calico-node")
        assert len(before) == len(after) == PODS
        assert not before & after
        assert not cluster.parts.volumes.errors
        filled = [each for each in cluster.parts.volumes.filled if each.pod_uid in after]
        assert {each.pod_uid for each in filled} == after
        # One process reads the watches of all clients. The API server ends those that it reads too slowly.
        again = set(cluster.parts.volumes.ended_watches)
        assert len(again) <= PODS // 10
        waited = [each for each in filled if each.pod_uid not in again]
        overtaken = [sum(one.begun < other.ended < one.ended for other in filled) for one in waited]
        assert max(overtaken) <= 3 * AT_ONCE
        assert cluster.unfilled() <= EMPTY
        assert cluster.misfits() == []
        once, issued = (before | after | cluster.uids(*CLIENTS)) - again, cluster.issued()
        assert {uid: issued[uid] for uid in once} == dict.fromkeys(once, 1)
        assert "every signature is accounted for" in cluster.reconcile().output
