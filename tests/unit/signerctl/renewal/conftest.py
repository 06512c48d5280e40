"""The cluster that the tests of renewal evict pods of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.signerctl.answers import answering
from tests.unit.signerctl.renewal.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without pods."""
    with answering() as answers:
        yield Cluster(answers, tmp_path)
