"""`scripts/bench`: measurements.

`scripts/bench judge` measures the function's cost per request, `scripts/bench issue` its cost per certificate,
`scripts/bench profile` its CPU time by package, and `scripts/bench reconnects` the resources that lost connections
leave behind in the exporter. They are here because the sandbox must not import function or exporter. `sandbox.bench`
has all others: `scripts/bench --help`.
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
        print("scripts/bench profile N: which packages use the function's CPU time;")
        print("scripts/bench reconnects N: what an exporter takes after N lost connections; or\n")
    return bench.main(given)


if __name__ == "__main__":
    sys.exit(main())
