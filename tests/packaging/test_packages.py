"""What the wheel, the sdist and the files of a release hold."""

import hashlib
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import csr_exporter
from csr_signer import VERSION
from development import release
from tests.packaging.conftest import Packages
from tests.paths import ROOT

NAME = f"kms_csr_signer-{VERSION}"
IMAGE = f"ghcr.io/example/csr-exporter@sha256:{'2' * 64}"
RENEWAL_IMAGE = f"ghcr.io/example/signerctl@sha256:{'3' * 64}"


def sources(*folders: str) -> set[str]:
    """The files of the folders that belong in git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {line for line in listed.stdout.splitlines() if (ROOT / line).is_file()}


def test_the_wheel_holds_both_packages_and_nothing_else(packages: Packages) -> None:
    """Code, profiles, their schema and the templates: every file of the two packages, and metadata."""
    names = set(zipfile.ZipFile(packages.wheel).namelist())
    metadata = {name for name in names if name.startswith(f"{NAME}.dist-info/")}
    expected = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in _packaged()}
    assert names - metadata == expected
    assert {"csr_signer/profiles/calico.yaml", "signerctl/cluster/templates/exporter.yaml.j2"} <= expected


def test_the_sdist_builds_the_same_wheel(packages: Packages, tmp_path: Path) -> None:
    """The sdist holds the two packages and the project's own files; the wheel from it has the same bytes."""
    with tarfile.open(packages.sdist) as archive:
        names = {member.name.removeprefix(f"{NAME}/") for member in archive if member.isfile()}
        archive.extractall(tmp_path, filter="data")
    assert names - _packaged() == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert _packaged() <= names
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path / NAME, check=True)
    assert (tmp_path / packages.wheel.name).read_bytes() == packages.wheel.read_bytes()


def test_a_release_has_all_its_files(tmp_path: Path) -> None:
    """Each file is in the checksums; the function's zip is `function/`; the manifests name the release's image."""
    release.build(tmp_path, IMAGE, RENEWAL_IMAGE)
    checksums = (tmp_path / release.CHECKSUMS).read_text(encoding="utf-8")
    files = {path.name: path for path in tmp_path.iterdir() if path.name != release.CHECKSUMS}
    assert set(files) == {
        f"{NAME}-py3-none-any.whl",
        f"{NAME}.tar.gz",
        f"csr-signer-function-{VERSION}.zip",
        f"example-manifests-{VERSION}.zip",
        "csr-exporter.cdx.json",
        "csr-signer.cdx.json",
        "signerctl.cdx.json",
        release.NOTES,
    }
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert checksums == "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    function = zipfile.ZipFile(files[f"csr-signer-function-{VERSION}.zip"])
    committed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD:function"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {name for name in function.namelist() if not name.endswith("/")} == set(committed.stdout.splitlines())
    manifests = zipfile.ZipFile(files[f"example-manifests-{VERSION}.zip"])
    assert IMAGE in manifests.read("demo/exporter.yaml").decode()
    assert RENEWAL_IMAGE in manifests.read("demo/renewal.yaml").decode()
    assert (tmp_path / release.NOTES).read_text(encoding="utf-8") == release.notes()


def test_a_release_goes_into_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other files would get into the checksums, and into the release."""
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SystemExit, match="2"):
        release.main(["--image", IMAGE, "--renewal-image", RENEWAL_IMAGE, "--out", str(tmp_path)])
    assert "must be an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_all_parts_have_one_version() -> None:
    """The function, signerctl and the wheel share a constant; the exporter, which shares no code, has the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "function/csr_signer/__init__.py"
    assert csr_exporter.VERSION == VERSION
    assert release.notes()


def _packaged() -> set[str]:
    of_the_image = {
        f"scripts/signerctl/{name}" for name in ("Dockerfile", "Dockerfile.dockerignore", "requirements.txt")
    }
    found = sources("function/csr_signer", "scripts/signerctl")
    assert of_the_image < found
    return found - of_the_image
