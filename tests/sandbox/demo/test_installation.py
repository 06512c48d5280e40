"""`scripts/python`, which installs the packages before the demo's first line."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.patience import PATIENCE

# Stands for python3: `-m venv` copies it to the environment, and `-m pip` prints what pip prints.
PYTHON = f"""#!/bin/sh
case "$*" in
"-c import fcntl"*) exec {sys.executable} "$@" ;;
"-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
"-m pip install "*)
    for number in $(seq 20); do echo "Collecting package$number==1.0"; done
    echo "Traceback (most recent call last)" >&2
    case "$END" in
    failure) exit 1 ;;
    interrupt) kill -INT 0 ;;
    wait) cat "$RELEASE" ;;
    esac
    echo "Installing collected packages: package1" ;;
"-c import sys"*) ;;
*) echo "ran $*" ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone without an environment, on a machine whose python3 is the stand-in."""
    (tmp_path / "scripts").mkdir()
    for name in ("python", "requirements-dev.txt"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(PYTHON)
    (tmp_path / "bin" / "python3").chmod(0o755)
    (tmp_path / "temporary").mkdir()
    return tmp_path


@contextmanager
def _started(clone: Path, end: str = "") -> Iterator[subprocess.Popen[str]]:
    variables = {"PATH": f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(clone / "temporary")}
    with subprocess.Popen(
        [clone / "scripts" / "python", "program"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables | {"END": end, "RELEASE": str(clone / "release")},
        start_new_session=True,
    ) as running:
        yield running


def _run(clone: Path, end: str = "") -> subprocess.CompletedProcess[str]:
    with _started(clone, end) as running:
        stdout, stderr = running.communicate(timeout=PATIENCE)
    assert list((clone / "temporary").iterdir()) == []
    return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)


def test_progress(clone: Path) -> None:
    """The installation says what it does before it takes time; the next run starts at once."""
    first, second = _run(clone), _run(clone)
    said = first.stderr.splitlines()
    assert said[0].startswith("installing the packages")
    assert [line.split(" of ")[0] for line in said[1:3]] == ["  10", "  20"]
    assert said[3:] == ["  unpacking them, half a minute"]
    assert (first.stdout, second.stdout, second.stderr) == ("ran program\n", "ran program\n", "")


def test_failure(clone: Path) -> None:
    """If pip fails, its errors are shown, the program does not run, and the next run installs again."""
    done = _run(clone, "failure")
    assert done.returncode == 1
    assert done.stderr.endswith("Traceback (most recent call last)\n")
    assert done.stdout == ""
    assert _run(clone).stdout == "ran program\n"


def test_interrupt(clone: Path) -> None:
    """Ctrl-C ends the installation with one line and status 130, without pip's traceback."""
    done = _run(clone, "interrupt")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in done.stderr
    assert _run(clone).stdout == "ran program\n"


@pytest.mark.parametrize("is_killed", [False, True], ids=["ended", "killed"])
def test_a_second_run_waits_for_the_first(clone: Path, *, is_killed: bool) -> None:
    """It says that it waits, and uses what the first run has installed; after a killed one, it installs again."""
    os.mkfifo(clone / "release")
    with _started(clone, "wait") as first:
        assert first.stderr is not None
        assert first.stderr.readline().startswith("installing the packages")
        with _started(clone) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == "waiting for another run, which installs the packages into .venv\n"
            if is_killed:
                os.killpg(first.pid, signal.SIGKILL)
            else:
                (clone / "release").write_text("")
            stdout, stderr = second.communicate(timeout=PATIENCE)
    assert stdout == "ran program\n"
    assert ("installing" in stderr) == is_killed
