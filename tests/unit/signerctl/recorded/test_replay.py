"""`signerctl replay` shows how far it is; tests/end_to_end/test_records.py has its decisions."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.unit.signerctl.recorded.journal import Journal
from tests.unit.signerctl.test_process import surroundings


@pytest.mark.slow
def test_a_terminal_shows_progress_and_the_output_stays_json(configuration: Path, tmp_path: Path) -> None:
    """Standard error is a terminal, and standard output is a file."""
    journal = Journal()
    journal.issue("calico-node-x")
    path = journal.write(tmp_path / "function.log")
    terminal, end = pty.openpty()
    command = ("-m", "signerctl", "replay", "--records", path, "--configuration", configuration, "--json")
    done = subprocess.run(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=end,
        timeout=PATIENCE,
        check=True,
        env=surroundings(TERM="xterm"),
    )
    os.close(end)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert json.loads(done.stdout)["summary"]["decisions"] == 1
    assert "replaying  [" in shown
    assert "100%" in shown
