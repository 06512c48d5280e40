"""A client that does not mind that the API server is away for a moment."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.api import NAMESPACES, ApiError
from sandbox.kubeconfig import redirect
from sandbox.kubernetes import KubernetesServer
from sandbox.patient_api import PATIENCE, PatientApi
from sandbox.proxy import Fault, FaultProxy


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FaultProxy]:
    """In front of an API server."""
    with KubernetesServer(tmp_path / "server") as server, FaultProxy(server.server.partition("://")[2]) as proxy:
        redirect(server.kubeconfig, f"https://{proxy.endpoint}", tmp_path / "kubeconfig")
        yield proxy


def test_requests_are_repeated_until_they_are_answered(proxy: FaultProxy, tmp_path: Path) -> None:
    """Connections that are closed, and one that is reset within an answer: the object is there in the end."""
    proxy.add(Fault(close=True), times=2)
    proxy.add(Fault(reset_after_down=500))
    with PatientApi.from_kubeconfig(tmp_path / "kubeconfig") as api:
        api.post(NAMESPACES, {"metadata": {"name": "patience"}})
        assert api.get(f"{NAMESPACES}/patience")["metadata"]["name"] == "patience"
    assert proxy.counts.connections >= 4


def test_answers_are_believed(proxy: FaultProxy, tmp_path: Path) -> None:
    """What the API server refuses is not asked for again, and what is gone need not be deleted."""
    with PatientApi.from_kubeconfig(tmp_path / "kubeconfig") as api:
        with pytest.raises(ApiError, match="404"):
            api.get(f"{NAMESPACES}/absent")
        assert api.delete(f"{NAMESPACES}/absent") == {}


def test_bearers_of_tokens_are_patient_too(proxy: FaultProxy, tmp_path: Path) -> None:
    """A pod's client is of the same kind."""
    with PatientApi.from_kubeconfig(tmp_path / "kubeconfig") as api:
        assert isinstance(api.with_token("token"), PatientApi)


def test_an_interrupted_program_does_not_wait_for_an_api_server() -> None:
    """It has killed all its parts, so that none will answer."""
    program = """
import urllib3
from sandbox import process
from sandbox.patient_api import PatientApi
process.kill_all()
pool = urllib3.HTTPSConnectionPool("127.0.0.1", 1)
PatientApi(server="https://127.0.0.1:1", pool=pool, anonymous_pool=pool).get("/")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE / 2, check=False
    )
    assert "Connection refused" in done.stderr
