"""The API server that swallows what it should show."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from sandbox.api import NAMESPACES, Api
from sandbox.kubernetes import KubernetesServer
from sandbox.proxy.lossy import LossyApiServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubernetesServer]:
    """The API server behind it."""
    with KubernetesServer(tmp_path / "server") as server:
        yield server


@pytest.fixture
def lossy(server: KubernetesServer, tmp_path: Path) -> Iterator[LossyApiServer]:
    """Every third new object is swallowed."""
    with LossyApiServer(server.server, server.certificate_authority, tmp_path, every=3) as lossy:
        yield lossy


def test_some_lines_of_a_watch_are_not_shown(server: KubernetesServer, lossy: LossyApiServer) -> None:
    """New objects only, and which ones is known; a list shows all."""
    with (
        Api.from_kubeconfig(server.kubeconfig) as api,
        urllib3.PoolManager(ca_certs=str(lossy.certificate_authority), retries=False, timeout=10) as pool,
    ):
        api.post(NAMESPACES, {"metadata": {"name": "account"}})
        api.post(f"{NAMESPACES}/account/serviceaccounts", {"metadata": {"name": "account"}})
        token = api.post(f"{NAMESPACES}/account/serviceaccounts/account/token", {"spec": {}})["status"]["token"]
        before = len(api.get(NAMESPACES)["items"])
        for number in range(7):
            api.post(NAMESPACES, {"metadata": {"name": f"new-{number}"}})
        headers = {"Authorization": f"Bearer {token}"}
        listed = pool.request("GET", f"{lossy.server}{NAMESPACES}", headers=headers).json()["items"]
        query = "watch=true&timeoutSeconds=1"
        watched = pool.request("GET", f"{lossy.server}{NAMESPACES}?{query}", headers=headers).data.splitlines()
    assert len(listed) == before + 7
    assert len(lossy.swallowed) == (before + 7) // 3
    assert len(watched) == before + 7 - len(lossy.swallowed)
    assert {json.loads(line)["type"] for line in lossy.swallowed} == {"ADDED"}
    assert not set(watched) & {line.rstrip() for line in lossy.swallowed}
