"""`scripts/test`: all tests; `scripts/test unit`: the fast part, a few minutes.

Anything else is handed to pytest: `scripts/test tests/function -k poison`. Tests on the real control plane build it
once if it is not found (6 to 8 minutes, needs Go); where it can be neither found nor built they are skipped and one
line says so, except with CI set: then they fail.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
UNIT: Final = (
    "tests/function",
    "tests/exporter",
    "tests/signerctl",
    "tests/development",
    "tests/sandbox/kms",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Replaces itself by pytest."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if given[:1] == ["unit"]:
        given[:1] = ["-m", "not real", *UNIT]
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *given])  # noqa: S606 - no shell is wanted
    return 0


if __name__ == "__main__":
    sys.exit(main())
