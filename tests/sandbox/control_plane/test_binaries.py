"""etcd, kube-apiserver and kubectl: where they are looked for, and how they are built once."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.control_plane import NotAvailableError, binaries, modules
from tests.patience import PATIENCE
from tests.sandbox.control_plane.require import real_control_plane
from tests.sandbox.demo.running import left_running, started

# Stands for Go: notes what it was asked, waits while a file `hold` lies beside it, writes what -o names.
# A real build takes minutes; test_real.py uses the programs of one.
GO = """#!/bin/sh
here=$(dirname "$0")
echo "$PWD $*" >> "$here/asked"
while [ -e "$here/hold" ]; do sleep 0.02; done
[ -e "$here/broken" ] && { echo "no such module" >&2; exit 1; }
case "$1" in
mod)
    [ "$2" = tidy ] && { echo "sum" > go.sum; exit 0; }
    printf 'go 1.25.0\\nreplace k8s.io/api => ./staging/src/k8s.io/api\\n' > "$here/upstream.mod"
    echo "{\\"GoMod\\": \\"$here/upstream.mod\\"}" ;;
build)
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\n' > "$2"; chmod +x "$2" ;;
esac
"""


def executable(path: Path, text: str = "#!/bin/sh\n") -> None:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def programs(folder: Path, version: str = "v1.30.0") -> Path:
    """Write a folder with all three programs of a version."""
    for name in binaries.PROGRAMS:
        executable(folder / name, f"#!/bin/sh\necho Kubernetes {version}\n")
    return folder


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with an empty cache and nothing on PATH but a shell's tools and a kubectl."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tools = tmp_path / "tools"
    executable(tools / "kubectl")
    for name in ("sh", "dirname", "sleep", "chmod"):
        found = next(each for each in (Path("/bin", name), Path("/usr/bin", name)) if each.exists())
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    return tmp_path / "cache" / "kms-csr-signer" / "control-plane"


@pytest.fixture
def go(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has Go; returns the folder that the stand-in lies in."""
    executable(tmp_path / "go" / "go", GO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'go'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "go"


def asked(go: Path) -> list[str]:
    """What the stand-in for Go was asked: folder and arguments."""
    return (go / "asked").read_text().splitlines() if (go / "asked").exists() else []


def test_named_folder_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder named by KUBEBUILDER_ASSETS is taken before one on PATH."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(programs(tmp_path / "assets")))
    monkeypatch.setenv("PATH", str(programs(tmp_path / "installed")))
    assert binaries.ensure().folder == tmp_path / "assets"


def test_named_folder_must_be_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A KUBEBUILDER_ASSETS that lacks a program is an error that names it, not something to pass over."""
    (programs(tmp_path / "assets") / "etcd").unlink()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    with pytest.raises(NotAvailableError, match="assets', but etcd is not in it"):
        binaries.ensure()


def test_relative_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative folder is found from another working directory too: the programs run in one of their own."""
    programs(tmp_path / "assets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", "assets")
    assert binaries.ensure().folder == tmp_path / "assets"


def test_whole_folder_on_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first folder of PATH with all three programs is taken; a kubectl alone is no control plane."""
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], str(programs(tmp_path / "installed"))]))
    found = binaries.ensure()
    assert found.kubectl == tmp_path / "installed" / "kubectl"


def test_missing_programs_without_go_are_an_error() -> None:
    """The error names the searched places."""
    with pytest.raises(NotAvailableError, match=r"KUBEBUILDER_ASSETS .* PATH .*control-plane.* go, .* not installed"):
        binaries.ensure()


def test_built_once_from_the_pinned_modules(go: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not found is built from the committed modules, said on stderr, and found the next time."""
    built = binaries.ensure()
    assert built.folder.parent == cache
    assert built.folder.name.startswith(modules.pinned_version() + "-")
    assert all(os.access(built.folder / name, os.X_OK) for name in binaries.PROGRAMS)
    assert [line.split()[0] for line in asked(go)] == [
        str(modules.ETCD), str(modules.KUBERNETES), str(modules.KUBERNETES),
    ]  # fmt: skip
    assert all(" -mod=readonly -trimpath -buildvcs=false " in line for line in asked(go))
    assert f"version.gitVersion={modules.pinned_version()} " in asked(go)[1]
    said = capsys.readouterr()
    assert f"building kube-apiserver {modules.pinned_version()} from source, once, 6 to 8 minutes" in said.err
    assert said.out == ""
    (go / "asked").unlink()
    assert binaries.ensure() == built
    assert asked(go) == []


def test_the_controllers_are_built_only_for_callers_that_ask(go: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They take minutes more; the other programs of the same version are not built again."""
    without = binaries.ensure()
    assert not without.kube_controller_manager.exists()
    (go / "asked").unlink()
    assert binaries.ensure(controllers=True) == without
    assert [line.split()[-1] for line in asked(go)] == ["k8s.io/kubernetes/cmd/kube-controller-manager"]
    assert "building kube-controller-manager" in capsys.readouterr().err
    assert os.access(without.kube_controller_manager, os.X_OK)


def test_a_named_folder_without_the_controllers_is_an_error_only_for_callers_that_ask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """setup-envtest's folders have no kube-controller-manager, and its version must be the API server's."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(programs(tmp_path / "assets")))
    assert binaries.ensure().folder == tmp_path / "assets"
    with pytest.raises(NotAvailableError, match="assets', but kube-controller-manager is not in it"):
        binaries.ensure(controllers=True)


def test_programs_of_another_version_are_passed_over(
    go: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A version that is asked for by name is built where the programs found are of another one."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(programs(tmp_path / "assets", "v1.30.0")))
    assert binaries.ensure("v1.30.0").folder == tmp_path / "assets"
    assert binaries.ensure("v1.36.3").folder.parent == cache
    assert "mod download -json k8s.io/kubernetes@v1.36.3" in asked(go)[0]


def test_another_version_gets_a_module_of_its_own(go: Path, cache: Path) -> None:
    """go.mod and go.sum of another version are written once; other checksums mean another build."""
    first = binaries.ensure("v1.36.3")
    module = cache / "modules" / "v1.36.3"
    assert "k8s.io/api => k8s.io/api v0.36.3" in (module / "go.mod").read_text()
    assert sum(line.endswith("mod tidy") for line in asked(go)) == 1
    assert sum(line.startswith(f"{module} build") for line in asked(go)) == 2
    (module / "go.sum").write_text("another sum\n")
    assert binaries.ensure("v1.36.3") != first
    assert sum(line.endswith("mod tidy") for line in asked(go)) == 1


def test_failed_build_leaves_nothing_and_says_why(go: Path, cache: Path) -> None:
    """A failed build raises with Go's last words, and the next attempt starts afresh."""
    (go / "broken").touch()
    with pytest.raises(NotAvailableError, match="ended with 1: no such module"):
        binaries.ensure()
    assert [each.name for each in cache.iterdir()] == ["lock"]
    (go / "broken").unlink()
    assert binaries.ensure().etcd.exists()


def test_unknown_version_says_why(go: Path) -> None:
    """A version that Go cannot fetch raises with Go's last words."""
    (go / "broken").touch()
    with pytest.raises(NotAvailableError, match=r"v1\.99\.0 ended with 1: no such module"):
        binaries.ensure("v1.99.0")


def test_remains_of_a_killed_build_are_removed(go: Path, cache: Path) -> None:
    """A build that was killed leaves a folder; the next build removes it, and a broken result is replaced."""
    built = binaries.ensure()
    built.etcd.unlink()
    (cache / "building-x" / "bin").mkdir(parents=True)
    assert binaries.ensure() == built
    assert built.etcd.exists()
    assert not list(cache.glob("building-*"))


def building() -> subprocess.Popen[str]:
    """Start the command that only gets the programs."""
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.control_plane", "build"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_at_once_build_once(go: Path) -> None:
    """Of two processes that start at once, one builds; the other says that it waits, and uses the result."""
    (go / "hold").touch()
    with building() as first:
        end = time.monotonic() + PATIENCE
        while not asked(go):
            assert first.poll() is None
            assert time.monotonic() < end
        with building() as second:
            assert second.stderr is not None
            assert second.stderr.readline() == "another process builds the control plane; waiting for it\n"
            (go / "hold").unlink()
            folder, _ = first.communicate(timeout=PATIENCE)
            assert second.communicate(timeout=PATIENCE) == (folder, "")
    assert (first.returncode, second.returncode) == (0, 0)
    assert (Path(folder.strip()) / "etcd").exists()
    assert len(asked(go)) == 3


class Terminal(io.StringIO):
    """An error output that lets the build go on as soon as it says that the build still runs."""

    def __init__(self, hold: Path) -> None:
        super().__init__()
        self._hold = hold

    def write(self, text: str) -> int:
        """Takes the text."""
        if "still building" in text:
            self._hold.unlink(missing_ok=True)
        return super().write(text)


def test_long_build_is_not_silent(go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a build runs, it says so regularly."""
    hold = go / "hold"
    hold.touch()
    monkeypatch.setattr(binaries, "PROGRESS_SECONDS", 0.01)
    monkeypatch.setattr(sys, "stderr", Terminal(hold))
    assert binaries.ensure().etcd.exists()
    assert not hold.exists()


def test_interrupted_build_leaves_nothing(go: Path, cache: Path, tmp_path: Path) -> None:
    """Ctrl-C during the build ends the demo with one more line, and Go with its children."""
    (go / "hold").touch()
    executable(go / "openssl")
    with started("--real", "--pods", "0", temporary=tmp_path) as demo:
        assert demo.stderr is not None
        assert demo.stderr.readline().startswith("building etcd")
        end = time.monotonic() + PATIENCE
        while not asked(go):
            assert demo.poll() is None
            assert time.monotonic() < end
        demo.send_signal(signal.SIGINT)
        assert demo.communicate(timeout=PATIENCE)[1] == "demo: interrupted\n"
    assert demo.returncode == 130
    assert left_running(tmp_path) == []
    assert [each.name for each in cache.iterdir()] == ["lock"]


def test_missing_control_plane_is_never_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no control plane can be had, tests that need one are skipped with the reason, and fail in CI."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED on a real control plane: no control plane: "):
        real_control_plane(tmp_path)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"CI is set .* no control plane: "):
        real_control_plane(tmp_path)


def test_command_line_reports_in_one_line() -> None:
    """Where there is no control plane the command says why in one line, and fails."""
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.control_plane", "build"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("control-plane: no control plane: ")
    assert done.stderr.count("\n") == 1
