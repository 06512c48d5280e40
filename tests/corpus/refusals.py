"""`scripts/python -m tests.corpus.refusals`: writes the list of what a real kube-apiserver refuses by itself.

The list is checked in, so that a change of Kubernetes shows. Whoever runs this reads in the difference what changed.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from sandbox.api import Api
from sandbox.control_plane.real import RealControlPlane
from tests.corpus.offered import Offers, offer_all
from tests.corpus.recorded import CASES, recorded

LIST: Final = CASES / "refused-by-kube-apiserver.txt"


def lines(offers: Offers) -> list[str]:
    """A case, and the status and the fields with which the API server refuses it, by line."""
    return [f"{place}  {offer.cause}" for place, offer in sorted(offers.by_place.items()) if offer.refusal]


def counts(offers: Offers) -> str:
    """How many cases were let in, and how many refused for what."""
    return str(dict(Counter(offer.cause or "let in" for offer in offers.by_place.values())))


def main() -> int:
    """Starts a control plane, files the corpus there, and writes the list."""
    with (
        tempfile.TemporaryDirectory() as directory,
        RealControlPlane.start(Path(directory) / "plane") as plane,
        Api.from_kubeconfig(plane.kubeconfig) as api,
    ):
        offers = offer_all(api, recorded(), version=plane.version)
    LIST.write_text("".join(f"{line}\n" for line in lines(offers)))
    sys.stdout.write(f"{plane.version}: {counts(offers)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
