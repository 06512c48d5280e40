"""`scripts/bench`: measurements.

`scripts/bench judge` measures what a request costs the function, `scripts/bench issue` what a certificate does,
`scripts/bench profile` where the function's CPU time goes, and `scripts/bench reconnects` what lost connections leave
behind in the exporter; they stand here because the sandbox may not know those programs. Everything else is
`sandbox.bench`: `scripts/bench --help`.
"""

import sys
from collections.abc import Callable, Sequence

from development import issuing, judge, profile, reconnects
from sandbox import bench


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one measurement; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    programs: dict[str, Callable[[Sequence[str]], int]] = {
        "judge": judge.main,
        "issue": issuing.main,
        "profile": profile.main,
        "reconnects": reconnects.main,
    }
    if given and given[0] in programs:
        return programs[given[0]](given[1:])
    if given[:1] in (["-h"], ["--help"]):
        print("scripts/bench judge: what reading and judging a request costs (scripts/bench judge --help);")
        print("scripts/bench issue: what building and verifying a certificate costs;")
        print("scripts/bench profile N: where the function's CPU time goes;")
        print("scripts/bench reconnects N: what an exporter takes after N lost connections; or\n")
    return bench.main(given)


if __name__ == "__main__":
    sys.exit(main())
