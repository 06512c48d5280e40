"""A rolling restart of 200 pods of calico-node by the real DaemonSet controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rollouts.cluster import WITHOUT_CLIENT
from tests.rollouts.conftest import calico

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

PODS = 200
AT_ONCE = 20
"""The DaemonSet's maxUnavailable."""


def test_no_pod_of_a_rolling_restart_starves(tmp_path: Path) -> None:
    """While a pod waits, at most 40 other pods get certificates. Each pod gets exactly one certificate, its own."""
    with calico(tmp_path, max_unavailable=AT_ONCE) as cluster:
        cluster.parts.add_nodes(PODS)
        cluster.wait_until_complete(but=WITHOUT_CLIENT)
        before = cluster.uids("calico-node")
        cluster.parts.restart()
        cluster.wait_until_complete(but=WITHOUT_CLIENT)
        after = cluster.uids("calico-node")
        assert len(before) == len(after) == PODS
        assert not before & after
        assert not cluster.parts.volumes.errors
        filled = [each for each in cluster.parts.volumes.filled if each.pod_uid in after]
        assert len(filled) == PODS
        overtaken = [sum(one.begun < other.ended < one.ended for other in filled) for one in filled]
        assert max(overtaken) <= 2 * AT_ONCE
        assert [fault for fault in cluster.faults() if "empty" not in fault] == []
        issued = [csr for csr in cluster.csrs().values() if "certificate" in csr["status"]]
        assert len({csr["status"]["certificate"] for csr in issued}) == len(cluster.csrs())
        assert "every signature is accounted for" in cluster.reconcile().output
