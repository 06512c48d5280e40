"""Ctrl-C, SIGTERM and a closed pipe: the demo ends in one line or none, and leaves nothing behind."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.api import CSRS, NAMESPACES, NODES, Api
from sandbox.kubernetes import KubernetesServer
from tests.sandbox.demo import running
from tests.sandbox.demo.running import LONG

SECRETS = "/api/v1/secrets"
STAGES = [
    "kms-csr-signer demo",
    "starting all parts",
    "Cloud KMS",
    "API server",
    "CA: a key",
    "function",
    "Google's identity services",
    "exporter",
    "creating 6 Calico pods",
    "request certificates from",
    "openssl verifies",
    "signerctl key-pairs",
    "playing the operator",
    "attackers request",
    "stopping everything",
]


def interrupted(demo: subprocess.Popen[str], stage: str, number: signal.Signals = signal.SIGINT) -> str:
    """Sends a signal as soon as the demo announces a stage; returns its errors."""
    running.read_until(demo, stage)
    demo.send_signal(number)
    return demo.communicate(timeout=LONG)[1]


@pytest.mark.parametrize("stage", STAGES)
def test_interrupt(stage: str, tmp_path: Path) -> None:
    """Whatever the demo is doing, Ctrl-C ends it with one line and status 130; no process and no file stays."""
    with running.started("--pods", "6", temporary=tmp_path) as demo:
        assert interrupted(demo, stage) == "demo: interrupted\n"
    assert demo.returncode == 130
    assert running.left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_termination(tmp_path: Path) -> None:
    """SIGTERM ends the demo in the same way."""
    with running.started("--pods", "6", temporary=tmp_path) as demo:
        assert interrupted(demo, "exporter", signal.SIGTERM) == "demo: interrupted\n"
    assert demo.returncode == 130
    assert running.left_running(tmp_path) == []


def test_impatient_user(tmp_path: Path) -> None:
    """More signals change nothing: there is still one line and no traceback."""
    with running.started("--pods", "6", temporary=tmp_path) as demo:
        running.read_until(demo, "function")
        for _ in range(3):
            demo.send_signal(signal.SIGINT)
        assert demo.communicate(timeout=LONG)[1] == "demo: interrupted\n"
    assert demo.returncode == 130
    assert running.left_running(tmp_path) == []


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesServer]:
    """A cluster that is not the demo's own; the demo must leave it empty."""
    with KubernetesServer(tmp_path / "cluster") as cluster, Api.from_kubeconfig(cluster.kubeconfig) as api:
        yield cluster
        assert [each["metadata"]["name"] for path in (CSRS, NODES, SECRETS) for each in api.get(path)["items"]] == []
        assert "calico-system" not in [each["metadata"]["name"] for each in api.get(NAMESPACES)["items"]]


@pytest.mark.parametrize(
    "stage", ["exporter", "request certificates from", "signerctl key-pairs", "playing the operator"]
)
def test_interrupt_in_another_cluster(stage: str, cluster: KubernetesServer, tmp_path: Path) -> None:
    """An interrupted demo deletes its objects from a cluster that is not its own."""
    arguments = ("--pods", "6", "--kubeconfig", str(cluster.kubeconfig))
    with running.started(*arguments, temporary=tmp_path) as demo:
        assert interrupted(demo, stage) == "demo: interrupted\n"
    assert demo.returncode == 130


def test_closed_pipe_in_another_cluster(cluster: KubernetesServer, tmp_path: Path) -> None:
    """The demo also deletes its objects if its output is closed."""
    arguments = ("--pods", "6", "--kubeconfig", str(cluster.kubeconfig))
    with running.started(*arguments, temporary=tmp_path) as demo:
        assert demo.stdout is not None
        running.read_until(demo, "exporter")
        demo.stdout.close()
        assert demo.wait(LONG) == 141


@pytest.mark.parametrize("lines", ["starting all parts", "issued in"])
def test_closed_pipe(lines: str, tmp_path: Path) -> None:
    """If the reader of the output ends, as in `scripts/demo | head`, the demo ends without a word."""
    with running.started("--pods", "6", temporary=tmp_path) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        running.read_until(demo, lines)
        demo.stdout.close()
        assert demo.stderr.read() == ""
        assert demo.wait(LONG) == 141
    assert running.left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
