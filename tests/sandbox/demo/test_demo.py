"""The demo as it is run: its output, its exit status, and its end."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
from pathlib import Path

import psutil
import pytest
import urllib3

from sandbox.kms import KmsServer, connect
from tests.paths import ROOT
from tests.sandbox.demo import running
from tests.sandbox.demo.running import LONG, run


def test_main_job(tmp_path: Path) -> None:
    """A fleet is issued and verified, attackers are refused with reasons, and the status is 0."""
    done = run("--pods", "9", "--directory", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"certificates issued +9 of 9\n", done.stdout)
    assert re.search(r"chains verified +9 of 9 \(openssl verify\)\n", done.stdout)
    assert re.search(r"attackers refused +(\d+) of \1\n", done.stdout)
    assert re.search(r"key pairs mounted +2 of 2 \(Goldmane, Whisker\)\n", done.stdout)
    assert re.search(r"KMS signatures +\d+ \(11 certificates, 1 CA certificate\)\n", done.stdout)
    assert re.search(r"goldmane-key-pair: +mounted, verified for servers\n", done.stdout)
    assert re.search(r"whisker-backend-key-pair: +mounted, verified for servers and clients\n", done.stdout)
    assert re.search(r"node-certs:calico-node-\S+ +\S+ +\d+\.\d+ s\n", done.stdout)
    assert "public_key.size" in done.stdout
    assert (tmp_path / "function.log").exists()


def test_without_key_pairs(tmp_path: Path) -> None:
    """With --no-key-pairs the demo says that Goldmane and Whisker wait, and makes no Secret."""
    done = run("--pods", "2", "--no-key-pairs", "--directory", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"key-pair: +its volume is empty\n", done.stdout)) == 2
    assert re.search(r"key pairs mounted +none \(--no-key-pairs\): Goldmane and Whisker wait\n", done.stdout)
    assert "signerctl key-pairs" not in done.stdout
    assert not (tmp_path / "key-pairs.log").exists()


def test_another_kms(tmp_path: Path) -> None:
    """With --kms the keys are made in, and used by, the KMS that was named."""
    with KmsServer(instant=True) as kms:
        done = run("--pods", "2", "--kms", kms.endpoint, "--directory", str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert len([record for record in kms.audit.records("AsymmetricSign") if record.key_used]) >= 3
    assert "KMS signatures" not in done.stdout


def test_progress(tmp_path: Path) -> None:
    """The demo names each part before it starts it, so that nothing happens in silence."""
    done = run("--pods", "1", temporary=tmp_path)
    begun = re.findall(r"^\[ *\d+\.\d s\] (.+)$", done.stdout, re.MULTILINE)
    assert [each.strip() for each in begun] == [
        "starting all parts on this machine",
        "Cloud KMS (double)",
        "API server (double)",
        "CA: a key in KMS, and its certificate from signerctl",
        "function (real)",
        "Google's identity services (doubles)",
        "exporter (real)",
        "creating 1 Calico pods and their keys",
        "1 pods request certificates from csr-signer.example.com/calico",
        "openssl verifies 1 certificates",
        "signerctl key-pairs asks for Goldmane and Whisker, which cannot ask",
        "playing the operator: new pods mount the Secrets, openssl verifies",
        "attackers request certificates, each with one fault",
        "summary",
        "stopping everything",
    ]


def test_width(tmp_path: Path) -> None:
    """Lines of a pipe fit into 80 columns."""
    done = run("--pods", "9", temporary=tmp_path)
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


def test_terminal(tmp_path: Path) -> None:
    """On a terminal of 80 columns, no name and no reason is cut."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    variables = os.environ | {"TMPDIR": str(tmp_path), "TERM": "xterm"}
    with subprocess.Popen(running.command(["--pods", "9"]), stdout=end, stderr=end, env=variables, cwd=ROOT) as demo:
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # Linux reports the end of a terminal's output as an error
            while chunk := os.read(terminal, 65536):
                shown += chunk
        assert demo.wait(LONG) == 0
    os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "…" not in text
    assert re.search(r"certificates issued +9 of 9", text)
    assert "spec.extra[authentication.kubernetes.io/pod-name]" in text


def test_used_folder(tmp_path: Path) -> None:
    """The demo refuses a folder with files before it starts a part: the files may be those of a running demo."""
    (tmp_path / "ca.pem").touch()
    done = run("--directory", str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f'demo: --directory: Invalid value: "{tmp_path}": must be a new or an empty folder\n'
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    """The demo refuses a file as its folder in the same way."""
    path = tmp_path / "file"
    path.touch()
    done = run("--directory", str(path))
    assert done.returncode == 2
    assert "must be a new or an empty folder" in done.stderr


def test_serve(tmp_path: Path) -> None:
    """--serve prints addresses and files that exist, and commands that work as printed and write only to its folder.

    If a part ends, the demo says so, and the others still run.
    """
    folder, temporary = tmp_path / "a folder", tmp_path / "temporary"
    temporary.mkdir()
    before = _entries_of_the_clone()
    with running.started("--serve", "--pods", "3", "--directory", str(folder), temporary=temporary) as demo:
        running.read_until(demo, "serving until you press Ctrl-C")
        facts = dict(re.findall(r"^  (.+?): +(.+)$", "".join(running.read_until(demo, "all logs")), re.MULTILINE))
        client, reconcile = _command(demo, "sandbox.calico"), _command(demo, "signerctl reconcile")
        assert _output(client) == ""
        assert "every signature is accounted for" in _output(reconcile)
        with connect(facts["KMS (gRPC, plaintext)"]) as kms:
            assert kms.get_public_key(name=_key_version(facts)).pem
        assert b"csr_exporter_" in urllib3.request("GET", facts["exporter's metrics"]).data
        _kill_exporter(demo)
        ended = f"exporter ended with signal SIGKILL; the other parts still run; its log: {folder}/exporter.log\n"
        running.read_until(demo, ended)
        assert urllib3.request("GET", facts["function"]).status == 400
        names = ("function's configuration", "exporter's configuration", "function's audit records", "KMS audit log")
        assert {Path(facts[name]).name for name in names} == {
            "function.json",
            "exporter.json",
            "function.log",
            "kms-audit.log",
        }
        assert all(Path(facts[name]).parent == folder and Path(facts[name]).stat().st_size for name in names)
        assert Path(facts["kubeconfig"]).exists()
        demo.send_signal(signal.SIGINT)
        assert demo.communicate(timeout=LONG)[1] == ""
    assert demo.returncode == 0
    assert {path.name for path in (folder / "client").iterdir()} == {"ca.crt", "tls.crt", "tls.key"}
    assert _entries_of_the_clone() == before
    assert running.left_running(tmp_path) == []


def _kill_exporter(demo: subprocess.Popen[str]) -> None:
    """Kills it, as a user does who tries `signerctl doctor`."""
    (exporter,) = (each for each in psutil.Process(demo.pid).children() if "csr_exporter" in each.cmdline())
    exporter.kill()


def _entries_of_the_clone() -> set[str]:
    done = subprocess.run(["git", "status", "--short", "--ignored=matching"], capture_output=True, check=True, cwd=ROOT)
    return set(done.stdout.decode().splitlines())


def _command(demo: subprocess.Popen[str], name: str) -> str:
    """Reads the next command with that name from the output, with its continued lines."""
    lines = running.read_until(demo, name)[-1:]
    while lines[-1].endswith("\\\n"):
        lines += running.read_until(demo, "")
    return "".join(lines)


def _output(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=LONG, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _key_version(facts: dict[str, str]) -> str:
    document = json.loads(Path(facts["function's configuration"]).read_text())
    return str(document["signers"][0]["issuer"]["key_version"])


def test_part_that_does_not_answer(tmp_path: Path) -> None:
    """Where a part is not there, the demo says which, where the logs are, and ends with status 1."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    done = run("--pods", "1", "--kms", f"127.0.0.1:{port}", temporary=tmp_path)
    assert done.returncode == 1
    kept = done.stderr.rpartition(" ")[2].strip()
    assert Path(kept).parent == tmp_path
    assert re.search(
        rf"^demo: no KMS answers at '127.0.0.1:{port}'\nlogs are kept in (\S+)$", done.stderr, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("text", "must"),
    [
        (None, "be a kubeconfig: No such file or directory"),
        ("clusters: []", "have a usable context: it lacks 'contexts'"),
    ],
    ids=["absent", "without context"],
)
def test_an_unusable_kubeconfig_is_refused(text: str | None, must: str, tmp_path: Path) -> None:
    """One line names it, the status is 2, and no part has started."""
    path, folder = tmp_path / "kubeconfig", tmp_path / "folder"
    if text is not None:
        path.write_text(text)
    done = run("--kubeconfig", str(path), "--directory", str(folder))
    message = f'demo: --kubeconfig: Invalid value: "{path}": must {must}\n'
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert not folder.exists()


def test_openssl_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the openssl program the demo does not begin."""
    monkeypatch.setenv("PATH", os.devnull)
    done = run()
    assert done.returncode == 2
    assert "openssl" in done.stderr
