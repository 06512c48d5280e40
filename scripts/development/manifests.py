"""Renders the example folders of infra/cluster from the templates, as `signerctl cluster manifests` does.

`--check` writes nothing, and fails if a folder differs from the code's output.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from signerctl.cluster import folder, rendering, terraform_output
from signerctl.cluster.chosen_options import Options

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "infra" / "cluster" / "examples"
TERRAFORM_OUTPUT: Final = EXAMPLES / "terraform-output.json"
CLUSTERS: Final = ("databases", "demo")
WITH_KEY_PAIRS: Final = ("demo",)
"""The other one has a profile of its own."""
OPTIONS: Final = Options(
    approvers=(),
    guards="deny",
    image=f"registry.example.com/csr-exporter@sha256:{'1' * 64}",
    image_pull_secret=None,
    renewal_image=f"registry.example.com/signerctl@sha256:{'2' * 64}",
    replicas=2,
)


def rendered(name: str, options: Options) -> Mapping[str, str]:
    """Returns the files of an example cluster's folder by name."""
    if name in WITH_KEY_PAIRS:
        options = replace(options, key_pairs_image=options.renewal_image)
    cluster = terraform_output.read(TERRAFORM_OUTPUT, name)
    return rendering.render(cluster, terraform_output.load_guarded(cluster, approvers=()), options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or compares the folders; returns the exit status."""
    parser = argparse.ArgumentParser(prog="development.manifests", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    check = parser.parse_args(arguments).check
    stale = False
    for name in CLUSTERS:
        files = rendered(name, OPTIONS)
        changes = folder.compare(EXAMPLES / name, files)
        if check and changes:
            stale = True
            print(f"{EXAMPLES / name} is not what the code says: run scripts/python -m development.manifests")
        elif changes:
            folder.write(EXAMPLES / name, changes, files)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
