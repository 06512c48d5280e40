"""What the exporter's tests ask for by name."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.unit.exporter.cluster import Cluster


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Every thread that a test starts ends with it, except the one that starts a test's processes."""
    before = set(threading.enumerate())
    yield
    left = [each for each in threading.enumerate() if each not in before and not each.name.startswith("parts")]
    for thread in left:
        thread.join(PATIENCE)
    assert not [thread.name for thread in left if thread.is_alive()]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The API double, alone."""
    it = Cluster(tmp_path)
    yield it
    it.stop()
