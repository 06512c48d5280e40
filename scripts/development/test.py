"""`scripts/test`: all tests; `scripts/test unit`: the fast part, in two minutes.

Both use all cores. pytest's options may follow `unit`. Other arguments go to pytest, which then runs in one process:
`scripts/test tests/unit/function -k poison`. If CI is set, pytest lists the slowest tests.

Tests on the real control plane build it once if it is missing (6 to 8 minutes, needs Go). If they can neither find nor
build it, they are skipped with one line of explanation; if CI is set, they fail.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
WHOLE: Final = ("-n", str((os.cpu_count() or 1) + 1))
"""One worker more than cores, because many tests wait for processes."""
UNIT: Final = (
    "-n",
    "logical",
    "-m",
    "not real and not slow",
    "tests/unit",
    "tests/sandbox/kms",
)
"""The tests that need no control plane, no Terraform and no build."""
SLOWEST: Final = "--durations=40"


def main(arguments: Sequence[str] | None = None) -> int:
    """Replaces this process with pytest."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if not given:
        given = [*WHOLE]
    elif given[0] == "unit":
        given[:1] = UNIT
    if os.environ.get("CI"):
        given.insert(0, SLOWEST)
    # Tests start hundreds of processes; without bytecode files, each would compile the project again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *given])  # noqa: S606 - no shell is wanted
    return 0


if __name__ == "__main__":
    sys.exit(main())
