"""The command line of scripts/acceptance: a run that cannot start writes nothing, any other writes its report."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import control_plane

SECONDS = 60.0
CONFIGURATION = {"signers": [{"cluster": "demo", "signer_name": "a/b", "issuer": {"trust_bundle": "ca.pem"}}]}


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an API server."""
    with control_plane.start("embedded", tmp_path_factory.mktemp("plane")) as plane:
        yield plane.kubeconfig


def accept(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs scripts/acceptance with modules of the folder before the project's."""
    command = [sys.executable, "-m", "sandbox.acceptance", "--report", str(folder / "report.md"), *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ['PYTHONPATH']}"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment, cwd=folder
    )


DEPLOYED = ("--deployed", "--configuration", "function.json")
WRONG = {
    "no kubeconfig": (
        ("--kubeconfig", "absent"),
        '--kubeconfig: Invalid value: "absent": must be a kubeconfig: No such file or directory',
    ),
    "no such context": (("--context", "nope"), '--context: Unsupported value: "nope": supported values: "sandbox"'),
    "no kubelet for the pod": (
        ("--image", "registry.example.com/key-cert-provisioner"),
        "--image: Forbidden: a kubelet must start a pod, and 0 of 0 nodes are Ready",
    ),
    "no kubelet for the replacement": (
        (*DEPLOYED, "--evict", "calico-system/calico-node-x7k2p"),
        "--evict: Forbidden: a kubelet must start a pod, and 0 of 0 nodes are Ready",
    ),
    "a report that is a folder": (("--report", "."), '--report: Invalid value: ".": Is a directory'),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_run_that_cannot_start_writes_nothing(
    tmp_path: Path, kubeconfig: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Exit status 2, one line that says why, and no report. Before that, nothing has changed in the cluster."""
    done = accept(tmp_path, "--kubeconfig", str(kubeconfig), *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"acceptance: {message}\n")
    assert not list(tmp_path.iterdir())


def test_a_foreign_kms_is_refused(tmp_path: Path) -> None:
    """The run would send it plaintext."""
    done = accept(tmp_path, "--kubeconfig", "absent", "--kms", "foo")
    assert done.returncode == 2
    assert '--kms: Invalid value: "foo": must be HOST:PORT on the loopback address' in done.stderr


def test_records_need_an_eviction(tmp_path: Path) -> None:
    """The run looks for the records of the evicted pod's replacement."""
    arguments = ("--deployed", "--configuration", "absent", "--project", "example")
    done = accept(tmp_path, "--kubeconfig", "absent", *arguments)
    assert done.returncode == 2
    assert "--project needs --evict" in done.stderr


def test_doctors_warnings_are_warnings(tmp_path: Path, kubeconfig: Path) -> None:
    """Neither ok nor failed, with what doctor says to do."""
    items = [
        {"check": "guards", "level": "warning", "found": "an older version", "remedy": "apply them"},
        {"check": "kms-key", "level": "ok", "found": "enabled", "remedy": ""},
    ]
    (tmp_path / "signerctl").mkdir()
    (tmp_path / "signerctl" / "__init__.py").touch()
    (tmp_path / "signerctl" / "__main__.py").write_text(f"print({json.dumps({'items': items})!r})", encoding="utf-8")
    (tmp_path / "function.json").write_text(json.dumps(CONFIGURATION), encoding="utf-8")
    arguments = ("--deployed", "--configuration", str(tmp_path / "function.json"))
    accept(tmp_path, "--kubeconfig", str(kubeconfig), *arguments)
    lines = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    assert any(each.startswith("| doctor guards | warning |") and "to do: apply them" in each for each in lines)
    assert any(each.startswith("| doctor kms-key | ok |") for each in lines)
