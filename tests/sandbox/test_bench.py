"""`scripts/bench --against`: a revision whose programs do not fit this tree is named, with the reason."""

from pathlib import Path

import pytest

from sandbox import bench
from sandbox.api import Api
from sandbox.calico.observer import Observer
from sandbox.deployment import Settings
from sandbox.kubernetes import KubernetesServer
from sandbox.measurements.common import RevisionError, wait
from sandbox.measurements.drain import drain
from tests.paths import ROOT

EXPORTER = "infra/exporter/csr_exporter/__main__.py"
UNKNOWN = "identity.unsafe_sts_url: Forbidden: unknown field"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment on the API server's double."""
    folder = tmp_path / "deployment"
    folder.mkdir()
    return Settings(directory=folder, plane="embedded")


@pytest.mark.parametrize(
    ("program", "text", "message"),
    [
        (
            "function/main.py",
            "raise ValueError('no such key')",
            "function does not start here.*ValueError: no such key",
        ),
        (EXPORTER, f"raise SystemExit('Error: {UNKNOWN}')", f"exporter does not start here.*Error: {UNKNOWN}"),
    ],
    ids=["function", "exporter"],
)
def test_a_revision_that_does_not_start_ends_the_bench(
    program: str, text: str, message: str, settings: Settings, tmp_path: Path
) -> None:
    """The error names the program, and has the line of its log that says why."""
    tree = tmp_path / "tree"
    (tree / "function").parent.mkdir()
    if program == EXPORTER:
        (tree / "function").symlink_to(ROOT / "function")
    (tree / program).parent.mkdir(parents=True)
    (tree / program).write_text(text)
    (tree / program).with_name("__init__.py").touch()
    with pytest.raises(RevisionError, match=rf"(?s)^its {message}$"):
        drain(settings, 1, against=tree)


def test_a_revision_that_issues_nothing_ends_the_bench(tmp_path: Path) -> None:
    """After a minute without progress, or here after an instant."""
    log = tmp_path / "log"
    log.write_text('{"severity":"ERROR","error":"404"}\n{"severity":"INFO"}\n')
    message = r"^it issues no certificate here; the exporter's log:\n.*404.*$"
    with (
        KubernetesServer(tmp_path / "cluster") as cluster,
        Api.from_kubeconfig(cluster.kubeconfig) as api,
        Observer(api) as observer,
        pytest.raises(RevisionError, match=message),
    ):
        wait(observer, {"uid"}, tmp_path, log, patience=0.01)


def test_an_unknown_revision_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # the bench removes it
    assert bench.main(["drain", "1", "--embedded", "--against", "nope"]) == 2
    message = 'bench: --against: Invalid value: "nope": git archive: fatal: not a valid object name: nope\n'
    assert capsys.readouterr().err == message
