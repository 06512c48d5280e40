"""What the heaviest CSRs that requesters can store take of the memory of exporter and function, and of their time."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import pytest

from csr_signer.policy.rules import LARGEST_OBJECT
from sandbox import capacity
from sandbox.api import CSRS, Api, ApiError, csr_path
from sandbox.calico import twists
from sandbox.calico.attackers import Attacker
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.stories import Story
from sandbox.deployment import Settings
from sandbox.usage import Usage
from tests.end_to_end.conftest import started
from tests.end_to_end.judged import Judged
from tests.unit.exporter.heavy import HEAVY, exporter_limit

LEFT_OUT = ("written as six times its size", "generateName")
"""Longer than the exporter reads a line of the watch: it counts them, and tells nobody of them."""


pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator[Judged]:
    """A deployment without guards, which would refuse such CSRs."""
    settings = Settings(
        directory=tmp_path_factory.mktemp("heavy"), plane="real", release="3.31", concurrency=capacity.concurrency(1)
    )
    with started(settings) as deployment, Observer(deployment.api) as observer:
        yield Judged(deployment, keys, observer)


def test_the_heaviest_csrs_stay_below_the_memory_limits(judged: Judged) -> None:
    """Each kind several times, listed and watched: all end, refused only for their size, and honest pods are issued."""
    deployment = judged.deployment
    story = Story(name="heavy", description="heavy", wrong="heavy", twist=twists.nothing, expected_codes=())
    kinds = list(HEAVY)
    prepared = list(zip(judged.attackers(*[story] * 4 * len(kinds)), kinds * 4, strict=True))
    fleets = judged.fleet(10), judged.fleet(10)
    uids: dict[str, list[str]] = {kind: [] for kind in kinds}
    refused = set[str]()

    def file(heavy: Sequence[tuple[Attacker, str]], fleet: Fleet) -> None:
        for attacker, kind in heavy:
            created = stored(deployment.api, attacker, HEAVY[kind](attacker.csr))
            uids[kind].append(str(created["metadata"]["uid"]))
            if len(json.dumps(created, ensure_ascii=False)) > LARGEST_OBJECT:
                refused.add(kind)
        fleet.submit()

    half = len(prepared) // 2
    with judged.before_anybody_looks():
        file(prepared[:half], fleets[0])
    file(prepared[half:], fleets[1])
    for fleet in fleets:
        judged.issued(fleet)
    for kind in set(kinds).difference(LEFT_OUT):
        for seen in judged.ended(uids[kind]):
            assert seen.conditions == (("Denied",) if kind in refused else ("Approved",)), kind
    exporter = Usage.of(deployment.exporter_pid).peak
    workers = psutil.Process(deployment.function.pid).children(recursive=True)
    function = max(Usage.of(worker.pid).peak for worker in workers)
    print(f"at most: exporter {exporter:.1f} MiB, function {function:.1f} MiB")  # noqa: T201 - what it is about
    assert exporter <= 0.8 * exporter_limit()
    assert function <= 0.8 * capacity.memory(1)


def stored(api: Api, attacker: Attacker, csr: bytes) -> dict[str, Any]:
    """Files a CSR; on a loaded machine, the API server may store it after its own deadline."""
    try:
        return api.with_token(attacker.token).post(CSRS, csr)
    except ApiError as error:
        if error.status != 504:
            raise
    return api.get(csr_path(attacker.csr["metadata"]["name"]))
