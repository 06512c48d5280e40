"""Which replica sends at once, and how long the others leave a CSR to it."""

import uuid

import pytest

from csr_exporter.queue.replicas import Replicas

UIDS = [
    str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128), version=4)) for number in range(3000)
]


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_each_csr_has_one_owner_and_an_order_behind_it(count: int) -> None:
    """The delays of the replicas are 0, 1, 2, ... times the delay, and each owns its share."""
    replicas = [Replicas(count=count, ordinal=ordinal, delay_seconds=15.0) for ordinal in range(count)]
    for uid in UIDS:
        assert sorted(each.delay(uid) for each in replicas) == [15.0 * distance for distance in range(count)]
    for each in replicas:
        share = sum(1 for uid in UIDS if each.delay(uid) == 0.0) / len(UIDS)
        assert share == pytest.approx(1 / count, rel=0.3)


def test_the_owner_follows_from_the_uid_alone() -> None:
    """Another process, another version of Python, another start: the same owners (fixed values)."""
    uids = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(1, 9)]
    assert [Replicas(count=2).delay(uid) > 0 for uid in uids] == [True, True, True, False, False, False, False, True]
