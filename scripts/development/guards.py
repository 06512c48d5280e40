"""Generates the guards of the example manifests from the example configuration documents.

`--check` writes nothing, and fails if the guards differ from the code's output.
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
"""Folders with a `function.yaml`: the cluster's key in it, and the function's username."""


def example(folder: Path) -> str:
    """Returns the manifest of one folder."""
    cluster, function = EXAMPLES[folder]
    found = guarded.load(
        folder / "function.yaml", cluster=cluster, function=function, approvers=(), exporter=guarded.Exporter()
    )
    return manifest.render(manifest.documents(found))


def _is(content: str, _present: str) -> str:
    return content


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or compares the manifests; returns the exit status."""
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
