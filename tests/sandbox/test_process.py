"""Parts: ready lines, ends, and that no part outlives its parent."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from sandbox.process import Part, PartError
from tests.patience import PATIENCE

READY = "import json, time; print(json.dumps({'part': 'x'}), flush=True); time.sleep(60)"


def python(code: str) -> list[str]:
    """Return the command line that runs a program text."""
    return [sys.executable, "-c", code]


def test_ready_line_is_read() -> None:
    """A part's JSON line is its `ready`, and the part runs until it is stopped."""
    with Part.start_program(python(READY)) as part:
        assert part.ready == {"part": "x"}
        assert part.alive
    assert not part.alive


def test_stop_reports_the_signal() -> None:
    """A part that does not handle SIGTERM ends by it; stopping it twice is harmless."""
    part = Part.start_program(python(READY))
    assert part.stop() == -15
    assert part.stop() == -15


def test_stop_kills_a_part_that_does_not_end() -> None:
    """A part that ignores SIGTERM is killed after the grace time."""
    part = Part.start_program(python(f"import signal; signal.signal(15, signal.SIG_IGN); {READY}"))
    assert part.stop(grace=0.1) == -9


def test_kill_ends_the_workers_of_a_part() -> None:
    """A killed part takes along the processes that it started."""
    part = Part.start_program(
        python(
            "import json, subprocess, sys, time\n"
            "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
            "print(json.dumps({'worker': worker.pid}), flush=True); time.sleep(60)"
        )
    )
    worker = psutil.Process(part.ready["worker"])
    assert part.kill() == -9
    worker.wait(PATIENCE)


def test_part_that_ends_early_is_an_error_with_its_log(tmp_path: Path) -> None:
    """A part that ends before it is ready raises, with its exit status and the end of its log."""
    with pytest.raises(PartError, match=r"(?s)status 3 .*no key ring"):
        Part.start_program(
            python("import sys; print('no key ring', file=sys.stderr); sys.exit(3)"), log=tmp_path / "log"
        )


def test_silent_part_is_ended_at_the_deadline() -> None:
    """A part without a ready line within the deadline raises."""
    with pytest.raises(PartError, match=r"not ready within 0\.2 s"):
        Part.start_program(python("import time; time.sleep(60)"), deadline=0.2)


@pytest.mark.parametrize("line", ["listening", "[1]"])
def test_other_ready_lines_are_refused(line: str) -> None:
    """Only a JSON object is a ready line."""
    with pytest.raises(PartError, match="must be a JSON object"):
        Part.start_program(python(f"import time; print({line!r}, flush=True); time.sleep(60)"))


def test_program_without_ready_line(tmp_path: Path) -> None:
    """What a program without ready line prints goes to its log, and its exit status can be waited for."""
    part = Part.start_program(python("print('hello')"), log=tmp_path / "log", says_ready=False)
    assert part.wait(PATIENCE) == 0
    assert (tmp_path / "log").read_text() == "hello\n"


def test_environment_and_directory(tmp_path: Path) -> None:
    """A part gets the given variables, the given directory, and finds the sandbox's packages."""
    code = "import json, os, sandbox.process; print(json.dumps([os.environ['COLOUR'], os.getcwd()]), flush=True)"
    part = Part.start_program(
        python(code),
        environment={"COLOUR": "red", "PYTHONPATH": ""},
        directory=tmp_path,
        log=tmp_path / "log",
        says_ready=False,
    )
    assert part.wait(PATIENCE) == 0
    assert (tmp_path / "log").read_text() == f'["red", "{tmp_path}"]\n'


def test_part_outlives_the_thread_that_started_it() -> None:
    """A part that a short-lived thread started runs on when the thread has ended."""
    parts: list[Part] = []
    thread = threading.Thread(target=lambda: parts.append(Part.start_program(python(READY))))
    thread.start()
    thread.join()
    with parts[0] as part:
        with pytest.raises(subprocess.TimeoutExpired):
            part.wait(0.3)
        assert part.alive


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_part_dies_with_its_parent() -> None:
    """A part whose parent is killed is killed too."""
    parent = Part.start_program(
        python(
            "import json, sys, time\n"
            "from sandbox.process import Part\n"
            f"part = Part.start_program([sys.executable, '-c', {READY!r}])\n"
            "print(json.dumps({'child': part.pid}), flush=True); time.sleep(60)"
        )
    )
    child = psutil.Process(parent.ready["child"])
    os.kill(parent.pid, 9)
    parent.wait(PATIENCE)
    child.wait(PATIENCE)
    assert not child.is_running()
