"""docs/tutorial.md, part 2: its commands run as they stand, on a real API server."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

from sandbox.control_plane import NotAvailableError, binaries
from tests.paths import DOCS, ROOT
from tests.sandbox.demo import running
from tests.sandbox.demo.running import LONG

pytestmark = pytest.mark.real

PAGE: Final = (DOCS / "tutorial.md").read_text(encoding="utf-8")
FOLDER: Final = "/tmp/signer"  # noqa: S108 - the page's
PART: Final = PAGE[PAGE.index("## 2. ") : PAGE.index("## 3. ")]


def blocks() -> list[str]:
    """Returns the shell blocks of part 2: the first starts the demo, the last needs another cluster."""
    return re.findall(r"^```sh\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)


def _programs() -> Path:
    try:
        return binaries.ensure(None).folder
    except NotAvailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and a real control plane is needed: {error}")
        pytest.skip(f"NOT TESTED on a real control plane: {error}")


def test_the_commands_of_part_2(tmp_path: Path) -> None:
    """A reader sees issued and denied CSRs, gets a certificate as a pod, and finds it in every record."""
    folder, temporary, programs = tmp_path / "signer", tmp_path / "temporary", _programs()
    temporary.mkdir()
    start, *rest, other_cluster = blocks()
    assert other_cluster.startswith("scripts/demo --kubeconfig ")
    words = shlex.split(start.replace(FOLDER, str(folder)))
    assert words[0] == "scripts/demo"
    with running.started(*words[1:], temporary=temporary) as demo:
        running.read_until(demo, "all logs")
        text = "\n".join(rest).replace(FOLDER, str(folder))
        text = text.replace(" NAME ", " \"$(kubectl get csr | awk '/Denied/{print $1; exit}')\" ")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            capture_output=True,
            check=False,
            text=True,
            timeout=LONG,
            cwd=ROOT,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        )
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.search(r"^```\n(subject=.*?)^```$", PART, re.MULTILINE | re.DOTALL)
    assert shown
    for line in shown[1].splitlines():
        assert line.strip().startswith("notAfter") or line.strip() in done.stdout, line
    for expected in (
        "Approved,Issued",
        "Denied",
        "Unsupported value",
        "tbs-sha256=",
        "every signature is accounted for",
    ):
        assert expected in done.stdout, expected
    assert re.search(r"^  state +refused$", done.stdout, re.MULTILINE)  # explain
