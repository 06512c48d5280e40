"""The Prometheus operator's own types accept monitoring.yaml, on the host network and on the pod network."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.signerctl.outputs import IMAGE, TERRAFORM_OUTPUT, function_user
from tests.unit.signerctl.stage import signerctl


def monitoring(folder: Path, cluster: str, *more: str) -> str:
    """Returns the file of an example cluster."""
    options = ("--terraform-output", TERRAFORM_OUTPUT, "--cluster", cluster, "--image", IMAGE, "--out", folder)
    user = ("--function-user", function_user(cluster))
    scraped = ("--metrics", "0.0.0.0:9877", "--monitoring", "prometheus-operator")
    result = signerctl("cluster", "manifests", *options, *user, *scraped, *more)
    assert result.exit_code == 0, result.output
    return (folder / "monitoring.yaml").read_text(encoding="utf-8")


def reads(program: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Lets the operator's types read documents."""
    return subprocess.run([str(program)], input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("more", [(), ("--metrics-tls", "metrics")], ids=["plain", "TLS"])
@pytest.mark.parametrize("cluster", ["demo", "databases"])
def test_the_operator_knows_every_field(
    prometheus_operator: Path, tmp_path: Path, cluster: str, more: tuple[str, ...]
) -> None:
    """An unknown field would be dropped in silence, and the exporters would not be scraped."""
    done = reads(prometheus_operator, monitoring(tmp_path, cluster, *more))
    assert (done.stdout.split(), done.stderr) == (["PodMonitor", "PrometheusRule"], "")


def test_an_unknown_field_is_found(prometheus_operator: Path, tmp_path: Path) -> None:
    """A misspelled one is an error."""
    text = monitoring(tmp_path, "demo", "--metrics-tls", "metrics").replace("serverName", "server")
    done = reads(prometheus_operator, text)
    assert done.returncode == 1
    assert 'unknown field "server"' in done.stderr
