"""`scripts/bench`: measurements.

`scripts/bench judge` measures the function's cost per request, `scripts/bench issue` its cost per certificate, and
`scripts/bench reconnects` the resources that lost connections leave behind in the exporter. They are here because the
sandbox must not import function or exporter. `sandbox.bench` has all others: `scripts/bench --help`.
"""

import sys
from collections.abc import Sequence

from development import issuing, judge, reconnects
from sandbox import bench


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one measurement; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["judge"]:
        return judge.main(given[1:])
    if given[:1] == ["issue"]:
        return issuing.main(given[1:])
    if given[:1] == ["reconnects"]:
        return reconnects.main(given[1:])
    if given[:1] in (["-h"], ["--help"]):
        print("scripts/bench judge: what reading and judging a request costs (scripts/bench judge --help);")
        print("scripts/bench issue: what building and verifying a certificate costs;")
        print("scripts/bench reconnects N: what an exporter takes after N lost connections; or\n")
    return bench.main(given)


if __name__ == "__main__":
    sys.exit(main())
