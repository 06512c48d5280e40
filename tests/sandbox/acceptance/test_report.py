"""The lines and the report of an acceptance run: the cluster's text is data, and --redact leaves no names."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.acceptance.report import Outcome, Run, failed, redacted, warning

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "\x1b]0;owned\x07\n| <img src=x> | [click](http://evil.example) `![a](b)` \u202e https://evil.example"


def written(path: Path, text: str, *, name: str = "check", redact: bool = False) -> str:
    """Returns the line of a check in the report."""
    run = Run()
    run.add(name, failed(text))
    run.write(path, mode="any", redact=redact)
    return path.read_text(encoding="utf-8").splitlines()[-1]


def test_no_text_of_the_cluster_reaches_the_terminal_unescaped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Neither an outcome nor the name of a check: both may be text of an Event or of the exporter."""
    written(tmp_path / "report.md", HOSTILE, name=f"doctor {HOSTILE}")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isprintable()
    assert "\\x1b]0;owned" in line


def test_the_report_shows_the_clusters_text_as_code(tmp_path: Path) -> None:
    """No link, no image, no HTML and no further cell: all of it is in one code span."""
    line = written(tmp_path / "report.md", HOSTILE)
    assert line.isprintable()
    before, text, after = line.split("`")
    assert before == "| check | failed | 0.0 | "
    assert after == " |"
    assert "\\| <img src=x> \\| [click](http://evil.example)" in text
    assert "|" not in text.replace("\\|", "")
    assert written(tmp_path / "report.md", "ok", name="[a](b)").startswith("| `[a](b)` | failed |")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://gke-1a2b.europe-west1-a.gke.goog:443/readyz", "https://HOST:443/readyz"),
        ("my.corp.cloud refused", "HOST refused"),
        ("API.Example.COM.", "HOST."),
        ("10.0.0.7:6443", "HOST:6443"),
        ("dial [2001:db8::1]:443: refused", "dial [ADDRESS]:443: refused"),
        ("fe80::1%eth0, ::1", "ADDRESS, ADDRESS"),
        ("2001:db8:0:0:0:0:0:1/64", "ADDRESS/64"),
        ("ask jane.doe+pki@corp.example now", "ask EMAIL now"),
        ("csr-access@my-project.iam.gserviceaccount.com", "EMAIL"),
        ("projects/my-project/locations/global", "projects/PROJECT/locations/global"),
        ("Kubernetes v1.34.2-gke.1001; 3 nodes, 12:30:59", "Kubernetes v1.34.2-gke.1001; 3 nodes, 12:30:59"),
        ("node-certs:calico-node-x7k2p: Ready after 1.5 s", "node-certs:calico-node-x7k2p: Ready after 1.5 s"),
    ],
)
def test_redaction_leaves_no_host_address_email_or_project(tmp_path: Path, text: str, shown: str) -> None:
    """A report can be attached to a public issue; versions and names of CSRs stay."""
    assert redacted(text) == shown
    assert f"`{shown}`" in written(tmp_path / "report.md", text, redact=True)


def fail() -> Outcome:
    """Runs into an error that no check expects."""
    raise subprocess.TimeoutExpired("gcloud", 120)


def test_an_error_that_no_check_expects_is_a_failed_line() -> None:
    """The run goes on, and the report says what happened."""
    run = Run()
    run.check("records", fail)
    with run.checks("doctor"):
        fail()
    assert [(line.name, line.outcome.level) for line in run.lines] == [("records", "failed"), ("doctor", "failed")]
    assert all("gcloud" in line.outcome.text for line in run.lines)


def test_a_warning_is_no_success_and_no_failure() -> None:
    """It has a level of its own, and does not change the exit status."""
    run = Run()
    run.add("check", warning("look at it"))
    assert run.summary() == "0 ok, 1 warning, 0 failed, 0 skipped"
    assert not run.has_failed
