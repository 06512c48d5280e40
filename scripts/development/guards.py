"""The guards of the example manifests, made from the example of the function's configuration document.

`--check` writes nothing and fails where they are not what the code says.
"""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from development import generated
from signerctl import guarded, manifest

CLUSTER: Final = Path(__file__).resolve().parents[2] / "infra" / "cluster"
EXAMPLES: Final = {
    CLUSTER / "guards": ("demo", "csr-access-demo@example-project.iam.gserviceaccount.com"),
    CLUSTER / "overlays" / "example": ("another", "gcp:csr-signer@another-project.iam.gserviceaccount.com"),
}
"""Folders with a `function.yaml`: the cluster's key in it, and as whom its API server sees the function."""


def example(folder: Path) -> str:
    """The manifest of one folder."""
    cluster, function = EXAMPLES[folder]
    found = guarded.load(
        folder / "function.yaml", cluster=cluster, function=function, approvers=(), exporter=guarded.Exporter()
    )
    return manifest.render(manifest.documents(found))


def _is(content: str, _present: str) -> str:
    return content


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the manifests, or compares them; returns the exit status."""
    statuses = []
    for folder in EXAMPLES:
        content = example(folder)
        path = folder / "guards.yaml"
        statuses.append(
            generated.run(
                arguments,
                name="development.guards",
                description=__doc__,
                path=path,
                fresh=functools.partial(_is, content),
            )
        )
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
