"""The wheel and the sdist, built once, and `signerctl` installed from the wheel into a clean virtual environment."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from development import release

INSTALLING = 300
"""Seconds after which an installation is taken for stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """What the build backend makes."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A virtual environment that holds the wheel and its dependencies, and nothing of this project's environment."""

    venv: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> str:
        """Runs a program of the environment outside the repository; returns its output."""
        command = [str(self.venv / "bin" / program), *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The packages of the current files; this needs no network."""
    out = tmp_path_factory.mktemp("packages")
    release.packages(out)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Packages(wheel=wheel, sdist=sdist)


@pytest.fixture(scope="session")
def installed(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, installed from the package index, without the development lock; by uv, because pip takes minutes.

    Without a package index, the tests are skipped with the reason, or fail if `CI` is set.
    """
    venv = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    done = _install(venv, "--only-binary", ":all:", str(packages.wheel))
    if done.returncode != 0:
        probe = _install(venv, "--dry-run", "--refresh", "--no-deps", "click")
        if probe.returncode == 0 or os.environ.get("CI"):
            pytest.fail(f"the wheel cannot be installed: {done.stderr}")
        pytest.skip(f"NOT TESTED in a clean environment: uv gets no package from the index: {probe.stderr}")
    return Installed(venv=venv, folder=tmp_path_factory.mktemp("outside"))


def _install(venv: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(venv / "bin" / "python")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=INSTALLING, check=False)
