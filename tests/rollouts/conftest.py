"""One cluster with all of Calico for the tests of a module."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandbox.calico import running
from sandbox.calico.key_pairs import WORKLOADS
from sandbox.deployment import Settings
from tests.end_to_end.conftest import started
from tests.key_pairs.cluster import RELEASE
from tests.key_pairs.conftest import apply, manifest
from tests.rollouts.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODES = 6


@contextmanager
def calico(folder: Path, *, release: str = RELEASE, max_unavailable: int = 2) -> Iterator[Cluster]:
    """All of Calico on a real control plane with controllers, guards and the CronJob's rights; no node yet."""
    for name in ("signer", "volumes", "manifests"):
        (folder / name).mkdir()
    settings = Settings(directory=folder / "signer", plane="real", controllers=True, guards=True, release=release)
    with (
        started(settings) as deployment,
        running.calico(deployment, folder / "volumes", max_unavailable=max_unavailable) as parts,
    ):
        apply(deployment.api, manifest(folder / "manifests"))
        yield Cluster(deployment, parts)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All of Calico on six nodes; all but Goldmane and Whisker have certificates."""
    with calico(tmp_path_factory.mktemp("calico")) as present:
        present.parts.add_nodes(NODES)
        present.wait_until_complete(but=WORKLOADS)
        yield present
