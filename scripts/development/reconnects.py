"""`scripts/bench reconnects N`: measures an exporter's resources after N lost connections to the API server.

A fault proxy ends each connection, alternately with RST and FIN, during the handshake or during the watch. The exporter
reconnects almost at once (`development.hasty`). The measurement compares the process after the first hundredth and at
the end: descriptors and threads must not grow, and memory must not keep growing.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox.deployment import Deployment, Link, Settings
from sandbox.proxy import Fault, FaultProxy
from sandbox.usage import Usage

HASTY: Final = (str(Path(__file__).with_name("hasty.py")),)
LINK: Final[Link] = "api-server-for-exporter"
CUTS: Final = (Fault(reset_after_down=0), Fault(truncate_after_down=0))
# A little more than a TLS handshake: the watch runs after this many bytes.
RUNNING: Final = 1900
_SECONDS = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench reconnects", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many")
    count = parser.parse_args(arguments).count
    with tempfile.TemporaryDirectory(prefix="csr-signer-bench-") as folder:
        settings = Settings(directory=Path(folder), front_door=False, exporter=HASTY, proxies=frozenset({LINK}))
        with Deployment(settings) as deployment:
            proxy = deployment.proxies[LINK]
            for goal in sorted({max(1, count // 100), max(1, count // 10), count}):
                cut(proxy, goal)
                usage = Usage.of(deployment.exporter_pid)
                print(
                    f"  after {proxy.counts.connections:>6} connections: {usage.descriptors} descriptors, "
                    f"{usage.threads} threads, {usage.largest:.1f} MiB resident, {usage.peak:.1f} at most"
                )
    return 0


def cut(proxy: FaultProxy, goal: int) -> None:
    """Ends the given number of connections."""
    before = proxy.counts
    while before.connections < goal:
        proxy.set(CUTS[before.connections % 2], only=proxy.connections)
        if not proxy.wait(lambda counts, least=before.connections: counts.connections > least, _SECONDS):  # type: ignore[misc]
            raise TimeoutError(f"no new connection within {_SECONDS:g} s after {before.connections}")
        if before.connections % 4 > 1:
            proxy.wait(lambda counts, least=before.bytes_down + RUNNING: counts.bytes_down >= least, 1.0)  # type: ignore[misc]
        before = proxy.counts


if __name__ == "__main__":
    sys.exit(main())
