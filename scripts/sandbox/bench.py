"""`scripts/bench`: measurements, each with its baseline from the same run.

`drain N`: certificates per second while N CSRs wait, beside the same API server's floor. `waiting N`: resident memory
of an exporter that starts while N CSRs wait and no function answers. `latency N`: a CSR's creation to its event.
`poison`: how much hostile CSRs, made to stop the signer, delay 24 honest pods. `cold`: the function's start time,
beside a hello-world function's. `burst N`: the waits of N pods that create their CSRs at once.

`--against REF` measures another git revision too. Absolute numbers depend on the machine and its load: compare the
ratio.
"""

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sandbox.deployment import Settings
from sandbox.function_runtime import ROOT
from sandbox.measurements.burst import burst
from sandbox.measurements.cold import cold
from sandbox.measurements.common import Row
from sandbox.measurements.drain import drain
from sandbox.measurements.latency import latency
from sandbox.measurements.poison import poison
from sandbox.measurements.waiting import waiting


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one measurement and prints its rows; returns the exit status."""
    options = _parser().parse_args(arguments)
    # Without bytecode, each start of the function would compile it again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="csr-signer-bench-") as folder:
        settings = Settings(
            directory=Path(folder),
            plane="embedded" if getattr(options, "embedded", False) else "real",
            kms_latency=getattr(options, "kms_latency_ms", 0.0) / 1000,
            workers=getattr(options, "workers", 1),
            guards=getattr(options, "guards", False),
            id_token=True,  # as in a cluster that trusts Google, so that the function reads no kubeconfig
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
    drain_parser.add_argument("--rounds", type=int, help="number of runs of each (default: 1, with --against: 3)")
    drain_parser.add_argument("--workers", type=int, default=1, help="number of the function's processes (default: 1)")
    waiting_parser = commands.add_parser("waiting", help="measure the exporter's memory while CSRs wait")
    waiting_parser.add_argument("--megabytes", action="store_true", help="use CSRs of more than a megabyte")
    latency_parser = commands.add_parser("latency", help="measure the time from a CSR's creation to its event")
    cold_parser = commands.add_parser("cold", help="measure the function's start, and a hello-world function's")
    cold_parser.add_argument("--starts", type=int, default=7, help="number of starts of each (default: 7)")
    burst_parser = commands.add_parser("burst", help="measure the waits of pods that create their CSRs at once")
    for command in (drain_parser, cold_parser, burst_parser):
        command.add_argument("--against", metavar="REF", help="also measure this git revision, and compare")
    poison_parser = commands.add_parser("poison", help="measure how much hostile CSRs delay 24 honest pods")
    poison_parser.add_argument("--guards", action="store_true", help="enforce the admission policies")
    for command in (drain_parser, poison_parser, burst_parser, cold_parser):
        command.add_argument(
            "--kms-latency-ms", type=float, default=30.0, help="latency of the KMS double (default: 30)"
        )
    for command in (drain_parser, waiting_parser, latency_parser, burst_parser):
        command.add_argument("count", type=_count, help="number of CSRs")
    for where in (drain_parser, waiting_parser, latency_parser, cold_parser, burst_parser):
        where.add_argument("--embedded", action="store_true", help="use the API double instead of kube-apiserver")
    return parser


def _measured(settings: Settings, options: argparse.Namespace) -> list[Row]:
    if options.command in {"drain", "cold", "burst"}:
        with revision(options.against) as tree:
            if options.command == "cold":
                return cold(settings, options.starts, against=tree)
            if options.command == "burst":
                return burst(settings, options.count, against=tree)
            rounds = options.rounds or (1 if tree is None else 3)
            return drain(settings, options.count, against=tree, rounds=rounds)
    if options.command == "latency":
        return latency(settings, options.count)
    if options.command == "poison":
        return poison(settings)
    return waiting(settings, options.count, megabytes=options.megabytes)


@contextmanager
def revision(reference: str | None) -> Iterator[Path | None]:
    """Checks out a revision's function and exporter into a folder, and compiles them; gives None without a revision."""
    if reference is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="csr-signer-revision-") as folder:
        archive = subprocess.run(
            ["git", "archive", reference, "function", "infra/exporter"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
        compileall.compile_dir(folder, quiet=1)
        yield Path(folder)


def _plane(settings: Settings) -> Literal["the API double", "kube-apiserver"]:
    return "the API double" if settings.plane == "embedded" else "kube-apiserver"


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 20_000:  # noqa: PLR2004 - a bench on one machine
        raise argparse.ArgumentTypeError(f"Invalid value: {number}: must be 1 to 20000")
    return number


if __name__ == "__main__":
    sys.exit(main())
