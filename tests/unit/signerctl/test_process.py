"""signerctl as a separate process, with real pipes, signals and output encodings."""

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
from tests.patience import PATIENCE
from tests.unit.signerctl.answers import answering
from tests.unit.signerctl.authorities import Corporate, foreign, write
from tests.unit.signerctl.recorded.journal import Journal
from tests.unit.signerctl.stage import Stage
from tests.unit.signerctl.test_guards import signer, written

pytestmark = pytest.mark.slow


def process(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs signerctl as scripts/python does."""
    return subprocess.run(
        command(*arguments), input=stdin, env=surroundings(**environment), capture_output=True, timeout=60, check=False
    )


@contextmanager
def started(*arguments: str | Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts signerctl; kills it at the end of the test."""
    devnull, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command(*arguments), env=surroundings(**environment), stdout=devnull, stderr=pipe) as running:
        try:
            yield running
        finally:
            running.kill()


def command(*arguments: str | Path) -> list[str]:
    """Returns the command line."""
    return [sys.executable, "-m", "signerctl", "ca", *map(str, arguments)]


def surroundings(**environment: str) -> dict[str, str]:
    """Returns the environment variables."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}


def test_create_works_as_a_process(stage: Stage, tmp_path: Path) -> None:
    """The records go to standard error, the summary to standard output, and the certificate to its file."""
    out = tmp_path / "ca.pem"
    endpoint = ("--unsafe-plaintext-kms-endpoint", stage.server.endpoint)
    done = process("create", "--key-version", stage.key(), "--common-name", "Calico CA", "--out", out, *endpoint)
    assert done.returncode == 0, done.stderr
    assert [line[:1] for line in done.stderr.splitlines()] == [b"{", b"{"]
    assert b"created a root CA certificate" in done.stdout
    assert out.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----\n")


def test_an_interrupt_while_kms_hangs_is_recorded(stage: Stage, tmp_path: Path) -> None:
    """KMS may have signed already, so the intent gets an outcome; no other file remains."""
    log = tmp_path / "log"
    options = ("--common-name", "Calico CA", "--out", tmp_path / "ca.pem", "--audit-log", log)
    endpoint = ("--unsafe-plaintext-kms-endpoint", stage.server.endpoint)
    stage.server.faults.add(Fault(method="AsymmetricSign", hang=True, times=0))
    with started("create", "--key-version", stage.key(), *options, *endpoint) as running:
        stage.server.faults.wait_until_hanging(1)
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
    stage.server.faults.release()
    intent, abandoned = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert (intent["event"], abandoned["event"]) == ("intent", "abandoned")
    assert (abandoned["fault"], abandoned["severity"]) == ("KeyboardInterrupt", "ERROR")
    assert abandoned["tbs_sha256"] == intent["tbs_sha256"]
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize("module", ["", "yaml.py"], ids=["reads a file", "imports"])
def test_ctrl_c_ends_a_command_in_one_line(module: str, tmp_path: Path) -> None:
    """The exit code is that of SIGINT; a test of `renew` has the runs, which log it."""
    path = tmp_path / (module or "never-written")
    os.mkfifo(path)
    modules = os.pathsep.join([str(tmp_path), *sys.path])
    with started("show", path, PYTHONPATH=modules) as running, path.open("wb"):  # opens as soon as the command reads
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=PATIENCE)[1] == b"interrupted\n"
    assert running.returncode == 130


FUNCTION = ("--configuration", "function.yaml", "--cluster", "prod")
CLUSTER = (*FUNCTION, "--kubeconfig", "answers.kubeconfig")
PRINTING = {
    "help": ("--help",),
    "lines": ("list", "--records", "log"),
    "a document": ("guards", *FUNCTION, "--function-user", "csr-signer"),
    "a run": ("key-pairs", *CLUSTER, "--trust-bundle", "ca.pem", "--dry-run"),
    "a log": ("key-pairs", *CLUSTER, "--trust-bundle", "ca.pem", "--dry-run", "--log-format", "json"),
    "checks": ("doctor", *CLUSTER),
}


@pytest.mark.parametrize("arguments", PRINTING.values(), ids=PRINTING)
def test_a_full_device_is_one_error(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever a command prints, and however: status 1, and no traceback."""
    written(tmp_path, signer())
    write(tmp_path / "ca.pem", foreign("CA"))
    journal = Journal()
    journal.issue("calico-node-1")
    journal.write(tmp_path / "log")
    with answering() as answers, Path("/dev/full").open("wb") as full:
        answers.kubeconfig(tmp_path)
        answers.prepared["GET /api/v1/namespaces/calico-system/pods"] = 200, {"items": []}
        program = [sys.executable, "-m", "signerctl", *arguments]
        pipe = subprocess.PIPE
        done = subprocess.run(
            program, stdout=full, stderr=pipe, cwd=tmp_path, env=surroundings(), timeout=PATIENCE, check=False
        )
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, last) == (1, b"error: standard output: cannot write: No space left on device")
    assert b"Traceback" not in done.stderr


def test_der_on_standard_input_and_output_in_ascii() -> None:
    """The command reads DER from a pipe, and escapes characters that the output encoding lacks."""
    certificate = foreign("Prüfstelle")
    done = process("show", "-", stdin=certificate.public_bytes(Encoding.DER), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert b"CN=Pr\\xfcfstelle" in done.stdout


def test_a_failure_is_one_line_and_status_1(tmp_path: Path) -> None:
    """Standard output stays empty."""
    path = tmp_path / "ca.pem"
    path.write_bytes(b"hello")
    done = process("show", path)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"error: ")


def test_standard_output_of_bundle_is_only_the_patch(corporate: Corporate, tmp_path: Path) -> None:
    """Warnings go to standard error, so that kubectl can read the redirected output."""
    ca = write(tmp_path / "ca.pem", corporate.intermediate)
    done = process("bundle", "--certificate", ca, "--signer-name", "example.com/calico")
    assert done.returncode == 0
    assert done.stdout.startswith(b"spec:\n  certificateManagement:\n    caCert: ")
    assert done.stderr.startswith(b"warning: ")


def test_a_usage_error_names_the_program() -> None:
    """Also if Python runs the package: the name is signerctl, and the status is 2."""
    done = process("shw")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Usage: signerctl ca [OPTIONS] COMMAND [ARGS]...\n")


@pytest.mark.parametrize("columns", [60, 100, 160])
def test_help_is_as_wide_as_the_terminal(columns: int) -> None:
    """A paragraph fills its lines at any width; only the lines of an example may be longer."""
    text = process("verify", "-h", COLUMNS=str(columns)).stdout.decode()
    paragraph = text[text.index("  You need it") :].partition("\n\n")[0]
    assert columns - 20 < max(map(len, paragraph.splitlines())) < columns
