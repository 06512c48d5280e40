"""Builds the files of a release: `development.release --image IMAGE --renewal-image IMAGE --out FOLDER`.

The files are the wheel and the sdist, the function's code as a zip file, the manifests of the example clusters with the
release's images, the bills of materials, this version's part of the changelog, and the SHA-256 of each file.
"""

import argparse
import dataclasses
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from csr_signer import VERSION
from development import manifests
from signerctl.cluster import folder

ROOT: Final = Path(__file__).resolve().parents[2]
NOTES: Final = "CHANGES.md"
CHECKSUMS: Final = "SHA256SUMS"


def notes() -> str:
    """Returns the changelog's section of this version.

    Raises:
        ValueError: The changelog has no such section.
    """
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## {re.escape(VERSION)} - \d{{4}}-\d\d-\d\d\n"
    section = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if section is None:
        raise ValueError(f"CHANGELOG.md: Required value: a section `## {VERSION} - DATE`")
    return section[1].strip() + "\n"


def packages(out: Path) -> None:
    """Builds the wheel and the sdist with the build backend of the development lock."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "--directory", str(out)], cwd=ROOT, check=True)


def build(out: Path, image: str, renewal_image: str) -> None:
    """Writes all files of the release into a folder.

    Args:
        out: An empty folder, or one that does not exist.
        image: The exporter's image, REPOSITORY@sha256:DIGEST.
        renewal_image: signerctl's image, in the same form.
    """
    out.mkdir(parents=True, exist_ok=True)
    packages(out)
    function = out / f"csr-signer-function-{VERSION}.zip"
    subprocess.run(["git", "archive", f"--output={function}", "HEAD:function"], cwd=ROOT, check=True)
    options = dataclasses.replace(manifests.OPTIONS, image=image, renewal_image=renewal_image)
    with tempfile.TemporaryDirectory() as temporary:
        for name in manifests.CLUSTERS:
            files = manifests.rendered(name, options)
            cluster = Path(temporary) / name
            folder.write(cluster, folder.compare(cluster, files), files)
        shutil.make_archive(str(out / f"example-manifests-{VERSION}"), "zip", temporary)
    for bill in sorted((ROOT / "sbom").iterdir()):
        shutil.copy(bill, out)
    (out / NOTES).write_text(notes(), encoding="utf-8")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(out.iterdir())]
    (out / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds a release; returns the exit status."""
    parser = argparse.ArgumentParser(prog="development.release", description=__doc__)
    parser.add_argument("--image", required=True, help="the exporter's image, REPOSITORY@sha256:DIGEST")
    parser.add_argument("--renewal-image", required=True, help="signerctl's image, in the same form")
    parser.add_argument("--out", required=True, type=Path, help="an empty folder, or one that does not exist")
    options = parser.parse_args(arguments)
    if options.out.exists() and not (options.out.is_dir() and not any(options.out.iterdir())):
        parser.error(f'--out: Invalid value: "{options.out}": must be an empty folder, or a path that does not exist')
    build(options.out, options.image, options.renewal_image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
