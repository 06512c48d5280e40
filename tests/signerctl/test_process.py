"""signerctl as a process of its own, with real pipes and terminals that know fewer letters."""

import os
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.signerctl.authorities import foreign, write
from tests.signerctl.stage import Stage


def process(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs it as scripts/python does."""
    return subprocess.run(
        [sys.executable, "-m", "signerctl", "ca", *map(str, arguments)],
        input=stdin,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_a_root_is_made_by_a_process(stage: Stage, tmp_path: Path) -> None:
    """Records on standard error, the summary on standard output, the file in its place."""
    out = tmp_path / "ca.pem"
    endpoint = ("--unsafe-plaintext-kms-endpoint", stage.server.endpoint)
    done = process("create", "--key-version", stage.key(), "--common-name", "Calico CA", "--out", out, *endpoint)
    assert done.returncode == 0, done.stderr
    assert [line[:1] for line in done.stderr.splitlines()] == [b"{", b"{"]
    assert b"made a root CA certificate" in done.stdout
    assert out.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----\n")


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
