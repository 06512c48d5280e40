"""The release: only protected jobs can publish, and they publish what the workflow built from pinned images."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.paths import ROOT

WORKFLOWS: Final[dict[str, dict[str, Any]]] = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
PUBLISHING: Final = {"contents", "packages", "id-token", "attestations"}
"""Permissions with which a job can publish or sign."""
IMAGE: Final = f"registry.example.com/image:1@sha256:{'0' * 64}"


def step(job: str, name: str) -> str:
    """Returns the script of a step of the release."""
    (found,) = (each["run"] for each in WORKFLOWS["release.yml"]["jobs"][job]["steps"] if each.get("name") == name)
    return str(found)


def passes(script: str, folder: Path, **variables: str) -> bool:
    """Tells whether a step's script succeeds in GitHub's default shell."""
    command = ["bash", "-e", "-c", script]
    return subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin:/bin"} | variables, check=False).returncode == 0


def test_a_job_that_can_publish_waits_for_the_protected_environment() -> None:
    """No other job of any workflow has a permission with which it can publish or sign."""
    protected = set()
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            writes = {each for each, level in job["permissions"].items() if level == "write"}
            if writes & PUBLISHING:
                assert job["environment"] == "release", name
                protected.add(name)
    assert protected == {"images", "publish"}


@pytest.mark.parametrize(
    ("images", "passing"),
    [
        ([IMAGE] * 4, True),
        ([IMAGE] * 3, False),
        ([IMAGE] * 3 + ["registry.example.com/image:1"], False),
        ([IMAGE] * 3 + [IMAGE[:-1]], False),
        ([IMAGE, "", IMAGE, IMAGE], False),
        ([""] * 4, False),
    ],
    ids=["four digests", "an absent one", "a tag", "a cut digest", "an empty one", "none"],
)
def test_an_image_without_a_digest_stops_the_release(tmp_path: Path, images: list[str], *, passing: bool) -> None:
    """The owner of a tag decides what a build by tag runs."""
    assert passes(step("images", "Each image has a digest"), tmp_path, IMAGES=" ".join(images)) is passing


@pytest.mark.parametrize(
    ("change", "passing"),
    [
        (lambda _: None, True),
        (lambda dist: (dist / "a.whl").write_text("other"), False),
        (lambda dist: (dist / "a.whl").unlink(), False),
        (lambda dist: (dist / "more.whl").write_text("more"), False),
        (lambda dist: (dist / "SHA256SUMS").write_text(f"{hashlib.sha256(b'other').hexdigest()}  a.whl\n"), False),
    ],
    ids=["unchanged", "another content", "a missing file", "a further file", "other checksums"],
)
def test_attack_a_file_that_the_release_did_not_build(
    tmp_path: Path, change: Callable[[Path], object], *, passing: bool
) -> None:
    """A writer of the workflow's artifacts changes them between the jobs: the job that attests them stops first."""
    dist = tmp_path / "dist"
    dist.mkdir()
    sums = "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("a.whl", "b.zip"))
    for name in ("a.whl", "b.zip"):
        (dist / name).write_text(name)
    (dist / "SHA256SUMS").write_text(sums)
    change(dist)
    checksums = hashlib.sha256(sums.encode()).hexdigest()
    script = step("publish", "The files are those that were built")
    assert passes(script, tmp_path, CHECKSUMS=checksums) is passing
