"""`scripts/bench`: measurements, each with its baseline from the same run.

`drain N`: certificates per second while N CSRs wait, beside the same API server's floor. `waiting N`: resident memory
of an exporter that starts while N CSRs wait and no function answers. `latency N`: a CSR's creation to its event.
`poison`: how much hostile CSRs, made to stop the signer, delay 24 honest pods.

Absolute numbers depend on the machine and its load: compare the ratio.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sandbox.deployment import Settings
from sandbox.measurements.common import Row
from sandbox.measurements.drain import drain
from sandbox.measurements.latency import latency
from sandbox.measurements.poison import poison
from sandbox.measurements.waiting import waiting


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one measurement and prints its rows; returns the exit status."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="csr-signer-bench-") as folder:
        settings = Settings(
            directory=Path(folder),
            plane="embedded" if getattr(options, "embedded", False) else "real",
            kms_latency=getattr(options, "kms_latency_ms", 0.0) / 1000,
            workers=getattr(options, "workers", 1),
            guards=getattr(options, "guards", False),
        )
        rows = _measured(settings, options)
    print(f"on {os.cpu_count()} cores, Python {sys.version.split()[0]}, {_plane(settings)}")
    for row in rows:
        print(f"  {row.name:<48} {row.figure}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    drain_parser = commands.add_parser("drain", help="measure certificates per second, and the floor")
    drain_parser.add_argument("--workers", type=int, default=1, help="number of the function's processes (default: 1)")
    waiting_parser = commands.add_parser("waiting", help="measure the exporter's memory while CSRs wait")
    waiting_parser.add_argument("--megabytes", action="store_true", help="use CSRs of more than a megabyte")
    latency_parser = commands.add_parser("latency", help="measure the time from a CSR's creation to its event")
    poison_parser = commands.add_parser("poison", help="measure how much hostile CSRs delay 24 honest pods")
    poison_parser.add_argument("--guards", action="store_true", help="enforce the admission policies")
    for command in (drain_parser, poison_parser):
        command.add_argument(
            "--kms-latency-ms", type=float, default=30.0, help="latency of the KMS double (default: 30)"
        )
    for command in (drain_parser, waiting_parser, latency_parser):
        command.add_argument("count", type=_count, help="number of CSRs")
        command.add_argument("--embedded", action="store_true", help="use the API double instead of kube-apiserver")
    return parser


def _measured(settings: Settings, options: argparse.Namespace) -> list[Row]:
    if options.command == "drain":
        return drain(settings, options.count)
    if options.command == "latency":
        return latency(settings, options.count)
    if options.command == "poison":
        return poison(settings)
    return waiting(settings, options.count, megabytes=options.megabytes)


def _plane(settings: Settings) -> Literal["the API double", "kube-apiserver"]:
    return "the API double" if settings.plane == "embedded" else "kube-apiserver"


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 20_000:  # noqa: PLR2004 - a bench on one machine
        raise argparse.ArgumentTypeError(f"Invalid value: {number}: must be 1 to 20000")
    return number


if __name__ == "__main__":
    sys.exit(main())
