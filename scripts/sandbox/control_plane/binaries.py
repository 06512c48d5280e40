"""Finds the control plane's programs on this machine, or builds them once from Go modules."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.control_plane import modules
from sandbox.control_plane.errors import NotAvailableError
from sandbox.process import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
CONTROLLERS = "kube-controller-manager"
BUILD_SECONDS = 3600
PROGRESS_SECONDS = 15.0
_ETCD_PACKAGE = "go.etcd.io/etcd/server/v3"
_DURATIONS = {
    "etcd": "half a minute",
    "kube-apiserver": "6 to 8 minutes",
    "kubectl": "half a minute",
    CONTROLLERS: "2 to 4 minutes",  # after kube-apiserver, with which it shares most packages
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A folder with the programs."""

    folder: Path

    @property
    def etcd(self) -> Path:
        """Returns the path of etcd."""
        return self.folder / "etcd"

    @property
    def kube_apiserver(self) -> Path:
        """Returns the path of kube-apiserver."""
        return self.folder / "kube-apiserver"

    @property
    def kubectl(self) -> Path:
        """Returns the path of kubectl."""
        return self.folder / "kubectl"

    @property
    def kube_controller_manager(self) -> Path:
        """Returns the path of kube-controller-manager, which only `ensure(controllers=True)` looks for."""
        return self.folder / CONTROLLERS


def ensure(version: str | None = None, *, controllers: bool = False) -> Binaries:
    """Finds the programs, or builds them once per version: 6 to 8 minutes on 2 cores, 5 GB of Go's caches.

    It searches `KUBEBUILDER_ASSETS`, then the folders of `PATH`, then the user's cache (`XDG_CACHE_HOME`, otherwise
    `~/.cache`). A folder must have all programs, because another kubectl may be years older than its API server.

    Args:
        version: The required Kubernetes version, like `v1.36.3`; by default, any version that is found, or the pinned
            version if none is found.
        controllers: Whether kube-controller-manager is required too. It is built only for callers that ask.

    Raises:
        ValueError: `version` is malformed.
        NotAvailableError: The programs are missing, and building them failed.
    """
    if version is not None:
        modules.checked_version(version)
    programs = (*PROGRAMS, CONTROLLERS) if controllers else PROGRAMS
    return _found(version, programs) or _cached_or_built(version or modules.pinned_version(), programs, _cache())


def _found(version: str | None, programs: Sequence[str]) -> Binaries | None:
    folders = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        if missing := _missing(Path(assets), programs):
            raise NotAvailableError(f"KUBEBUILDER_ASSETS is {assets!r}, but {', '.join(missing)} is not in it")
        folders.insert(0, Path(assets))
    for folder in folders:
        if not _missing(folder, programs) and version in {None, _reported_version(folder)}:
            return Binaries(folder=folder.absolute())
    return None


def _missing(folder: Path, programs: Sequence[str]) -> list[str]:
    return [each for each in programs if shutil.which(each, path=str(folder)) is None]


def _reported_version(folder: Path) -> str | None:
    """Returns the output of `kube-apiserver --version`; None if the program does not run on this machine."""
    try:
        done = subprocess.run(
            [folder / "kube-apiserver", "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"Kubernetes (v\S+)", done.stdout)
    return match[1] if match else None


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "kms-csr-signer" / "control-plane"


def _cached_or_built(version: str, programs: Sequence[str], cache: Path) -> Binaries:
    module = modules.KUBERNETES if version == modules.pinned_version() else cache / "modules" / version
    if (module / "go.sum").exists() and not _missing(target := _target(version, module, cache), programs):
        return Binaries(folder=target)
    if shutil.which("go") is None:
        raise NotAvailableError(
            f"no control plane: neither KUBEBUILDER_ASSETS nor a folder of PATH nor {str(cache)!r} holds"
            f" {', '.join(programs)} {version}, and go, which could build them, is not installed"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"), _building(cache) as workspace:
        if not (module / "go.sum").exists():
            _make_module(version, module, workspace)
        target = _target(version, module, cache)
        for program in _missing(target, programs):
            _build(program, version, module, workspace, target)
    return Binaries(folder=target)


def _target(version: str, module: Path, cache: Path) -> Path:
    """Returns a folder for this set of pinned sources and flags: a new go.sum causes a new build."""
    digest = hashlib.sha256(repr(_flags(version)).encode())
    for folder in (module, modules.ETCD):
        for name in ("go.mod", "go.sum"):
            digest.update((folder / name).read_bytes())
    return cache / f"{version}-{digest.hexdigest()[:16]}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets only one process build; the others wait, and then use its result."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process builds the control plane; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _building(cache: Path) -> Iterator[Path]:
    """Creates a temporary folder beside the result, so that a rename installs each program at once."""
    # Only the holder of the lock builds, so an existing folder belongs to a killed build.
    for stale in cache.glob("building-*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as folder:
        yield Path(folder)


def _make_module(version: str, module: Path, workspace: Path) -> None:
    _say(f"finding the modules of Kubernetes {version}")
    folder = workspace / "module"
    folder.mkdir()
    modules.write_module(version, folder)
    module.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(module)


def _build(program: str, version: str, module: Path, workspace: Path, target: Path) -> None:
    source = modules.ETCD if program == "etcd" else module
    package = _ETCD_PACKAGE if program == "etcd" else f"k8s.io/kubernetes/cmd/{program}"
    of = "" if program == "etcd" else f" {version}"
    _say(f"building {program}{of} from source, once, {_DURATIONS[program]} on two cores")
    built = workspace / program
    _go_build([*_flags(version), "-o", str(built), package], source, workspace / "log")
    target.mkdir(exist_ok=True)
    built.rename(target / program)
    _say(f"built {target / program}")


def _flags(version: str) -> list[str]:
    _, minor, _ = version.split(".")
    names = {"gitVersion": version, "gitMajor": "1", "gitMinor": minor}
    # Without these flags, a Kubernetes program reports v0.0.0-master. etcd ignores them.
    stated = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in names.items())
    # readonly: the build fails if it would have to change go.mod or go.sum.
    return ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {stated}"]


def _go_build(arguments: list[str], source: Path, log: Path) -> None:
    build = Part.start_program(
        ["go", "build", *arguments],
        log=log,
        directory=source,
        environment=modules.GO_ENVIRONMENT,
        says_ready=False,
    )
    try:
        status = _wait(build)
    except subprocess.TimeoutExpired as error:
        raise NotAvailableError(f"go build in {str(source)!r} did not end: {error}") from error
    finally:
        build.kill()  # an interrupted build ends with its compilers
    if status != 0:
        said = log.read_text(errors="replace")[-1000:].strip()
        raise NotAvailableError(f"go build in {str(source)!r} ended with {status}: {said}")


def _wait(build: Part) -> int:
    """Waits for a build, and says regularly that it still runs.

    Raises:
        subprocess.TimeoutExpired: It did not end.
    """
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < BUILD_SECONDS:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return build.wait(PROGRESS_SECONDS)
        _say(f"  still building after {passed + PROGRESS_SECONDS:.0f} s")
    return build.wait(0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
