"""signerctl as a process of its own, with real pipes and terminals that know fewer letters."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.kms import Fault
from tests.unit.signerctl.authorities import foreign, write
from tests.unit.signerctl.stage import Stage

pytestmark = pytest.mark.slow


def process(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs it as scripts/python does."""
    return subprocess.run(
        command(*arguments), input=stdin, env=surroundings(**environment), capture_output=True, timeout=60, check=False
    )


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """The same, still running, on a terminal's terms: an interrupt reaches it. It ends with the test."""
    devnull = subprocess.DEVNULL
    # A background job's ignored interrupts would be inherited.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(command(*arguments), env=surroundings(), stdout=devnull, stderr=devnull)
    finally:
        signal.signal(signal.SIGINT, inherited)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def command(*arguments: str | Path) -> list[str]:
    """What is started."""
    return [sys.executable, "-m", "signerctl", "ca", *map(str, arguments)]


def surroundings(**environment: str) -> dict[str, str]:
    """The variables that it is started with."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}


def test_a_root_is_made_by_a_process(stage: Stage, tmp_path: Path) -> None:
    """Records on standard error, the summary on standard output, the file in its place."""
    out = tmp_path / "ca.pem"
    endpoint = ("--unsafe-plaintext-kms-endpoint", stage.server.endpoint)
    done = process("create", "--key-version", stage.key(), "--common-name", "Calico CA", "--out", out, *endpoint)
    assert done.returncode == 0, done.stderr
    assert [line[:1] for line in done.stderr.splitlines()] == [b"{", b"{"]
    assert b"made a root CA certificate" in done.stdout
    assert out.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----\n")


def test_an_interrupt_while_kms_hangs_is_accounted_for(stage: Stage, tmp_path: Path) -> None:
    """KMS may have signed by then: the intent has its outcome, and nothing else stays behind."""
    log = tmp_path / "log"
    options = ("--common-name", "Calico CA", "--out", tmp_path / "ca.pem", "--audit-log", log)
    endpoint = ("--unsafe-plaintext-kms-endpoint", stage.server.endpoint)
    stage.server.faults.add(Fault(method="AsymmetricSign", hang=True, times=0))
    with started("create", "--key-version", stage.key(), *options, *endpoint) as running:
        stage.server.faults.wait_until_hanging(1, timeout=30)
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 1
    stage.server.faults.release()
    intent, abandoned = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert (intent["event"], abandoned["event"]) == ("intent", "abandoned")
    assert (abandoned["fault"], abandoned["severity"]) == ("KeyboardInterrupt", "ERROR")
    assert abandoned["tbs_sha256"] == intent["tbs_sha256"]
    assert list(tmp_path.iterdir()) == [log]


def test_binary_standard_input_and_a_poor_terminal() -> None:
    """DER comes in by a pipe, and a letter that the output has not is escaped."""
    certificate = foreign("Prüfstelle")
    done = process("show", "-", stdin=certificate.public_bytes(Encoding.DER), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert b"CN=Pr\\xfcfstelle" in done.stdout


def test_a_failure_is_one_line_and_status_1(tmp_path: Path) -> None:
    """Nothing else on either stream."""
    path = tmp_path / "ca.pem"
    path.write_bytes(b"hello")
    done = process("show", path)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"error: ")


def test_a_snippet_is_all_of_standard_output(tmp_path: Path) -> None:
    """What is redirected to a file is what kubectl reads."""
    ca = write(tmp_path / "ca.pem", foreign("Calico CA", days=(-20, -10)))
    done = process("bundle", "--certificate", ca, "--signer-name", "example.com/calico")
    assert done.returncode == 0
    assert done.stdout.startswith(b"spec:\n  certificateManagement:\n    caCert: ")
    assert done.stderr.startswith(b"warning: ")
