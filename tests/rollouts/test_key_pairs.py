"""Goldmane and Whisker from an empty volume to a renewed key pair: the operator's double mounts the Secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sandbox.calico.key_pairs import WORKLOADS
from tests.end_to_end.conftest import eventually
from tests.rollouts.cluster import EMPTY

if TYPE_CHECKING:
    from tests.rollouts.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

LATE = timedelta(days=300)
"""Less than a third of a year is left."""


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
