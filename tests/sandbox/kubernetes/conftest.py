"""One double per test: these tests count requests, stop it, and make it forget."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.api import Api
from sandbox.kubernetes import KubernetesServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubernetesServer]:
    """A running double."""
    with KubernetesServer(tmp_path, bookmark_seconds=0.1) as server:
        yield server


@pytest.fixture
def api(server: KubernetesServer) -> Iterator[Api]:
    """An administrator."""
    with Api.from_kubeconfig(server.kubeconfig) as api:
        yield api
