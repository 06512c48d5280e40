"""The demo as it is run: its output, its exit status, and its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.kms import KmsServer

_LONG = 120.0


def _run(*arguments: str, temporary: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox.demo", *arguments]
    environment = os.environ | ({} if temporary is None else {"TMPDIR": str(temporary)})
    return subprocess.run(command, capture_output=True, text=True, timeout=_LONG, check=False, env=environment)


def test_main_job(tmp_path: Path) -> None:
    """A fleet is issued and verified, attackers are refused with reasons, and the status is 0."""
    done = _run("--pods", "9", "--directory", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"certificates issued +9 of 9\n", done.stdout)
    assert re.search(r"chains verified +9 of 9 \(openssl verify\)\n", done.stdout)
    assert re.search(r"attackers refused +(\d+) of \1\n", done.stdout)
    assert re.search(r"KMS signatures +\d+ \(9 certificates, 1 CA certificate\)\n", done.stdout)
    assert re.search(r"node-certs:calico-node-\S+ +\S+ +Approved,Issued +\d", done.stdout)
    assert "public_key.size" in done.stdout
    assert (tmp_path / "function.log").exists()


def test_another_kms(tmp_path: Path) -> None:
    """With --kms the keys are made in, and used by, the KMS that was named."""
    with KmsServer(instant=True) as kms:
        done = _run("--pods", "2", "--kms", kms.endpoint, "--directory", str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert len([record for record in kms.audit.records("AsymmetricSign") if record.key_used]) >= 3
    assert "KMS signatures" not in done.stdout


def test_serve(tmp_path: Path) -> None:
    """--serve says what a client needs; a client gets its certificate; an interrupt ends it with status 0."""
    command = [sys.executable, "-m", "sandbox.demo", "--serve", "--pods", "0", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        said: dict[str, str] = {}
        for line in demo.stdout:
            name, _, value = line.strip().partition(":")
            said[name] = value.strip()
            if name == "one client":
                break
        client = [sys.executable, "-m", "sandbox.calico", "--kubeconfig", said["kubeconfig"]]
        more = ["--signer-name", said["signerName"], "--ca", said["CA file"], "--directory", str(tmp_path / "files")]
        done = subprocess.run([*client, *more], capture_output=True, text=True, timeout=_LONG, check=False)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(_LONG) == 0
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "files").iterdir()} == {"ca.crt", "tls.crt", "tls.key"}


def test_part_that_does_not_answer(tmp_path: Path) -> None:
    """Where a part is not there, the demo says which, where the logs are, and ends with status 1."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    done = _run("--pods", "1", "--kms", f"127.0.0.1:{port}", temporary=tmp_path)
    assert done.returncode == 1
    kept = done.stderr.rpartition(" ")[2].strip()
    assert Path(kept).parent == tmp_path
    assert re.search(
        rf"^demo: no KMS answers at '127.0.0.1:{port}'\nlogs are kept in (\S+)$", done.stderr, re.MULTILINE
    )


def test_unusable_kubeconfig(tmp_path: Path) -> None:
    """A kubeconfig that names no cluster is refused in one line, with status 2."""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({"clusters": []}))
    done = _run("--kubeconfig", str(path), "--pods", "1")
    assert done.returncode == 2
    assert "no usable current context" in done.stderr


def test_missing_kubeconfig(tmp_path: Path) -> None:
    """A kubeconfig that is not there is refused in one line, with status 2."""
    done = _run("--kubeconfig", str(tmp_path / "nothing"), "--pods", "1")
    assert done.returncode == 2
    assert done.stderr.startswith("demo: ")
    assert "nothing" in done.stderr


def test_openssl_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the openssl program the demo does not begin."""
    monkeypatch.setenv("PATH", os.devnull)
    done = _run()
    assert done.returncode == 2
    assert "openssl" in done.stderr
