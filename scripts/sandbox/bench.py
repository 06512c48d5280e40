"""`scripts/bench`: figures, each with what it is compared with in the same run.

- `drain N`: certificates per second while N CSRs wait, and the same API server's floor.
- `burst N`: the waits of N pods that ask at once.
- `cold`: the function's start, and that of a hello-world.
- `large-key N`: what one RSA-8192 key adds to the waits of N P-256 keys.
- `waiting N`: resident memory of an exporter that starts while N CSRs wait and no function answers.
- `latency N`: the time from a CSR's creation to its event.
- `rollout N`: the waits of N pods of calico-node in a rolling restart by the real DaemonSet controller.
- `hostile-cluster N`: the waits of N CSRs of each of three clusters, beside a fourth cluster that is hostile.
- `poison`: what hostile CSRs add to the waits of 24 honest pods.

`drain`, `burst` and `cold` compare this tree with another revision if you name one (`--against REF`). Absolute numbers
differ between machines and with the load: compare the ratio.
"""

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sandbox.deployment import Settings
from sandbox.function_runtime import ROOT
from sandbox.measurements.burst import burst
from sandbox.measurements.cold import cold
from sandbox.measurements.common import RevisionError, Row
from sandbox.measurements.drain import drain
from sandbox.measurements.hostile_cluster import hostile_cluster
from sandbox.measurements.large_key import large_key
from sandbox.measurements.latency import latency
from sandbox.measurements.poison import poison
from sandbox.measurements.rollout import rollout
from sandbox.measurements.waiting import waiting
from sandbox.options import MAX_PODS


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
            id_token=True,  # as in a cluster that trusts Google: no kubeconfig is read
        )
        try:
            rows = _measured(settings, options)
        except RevisionError as error:
            print(f'bench: --against: Invalid value: "{options.against}": {error}', file=sys.stderr)
            return 2
    print(f"on {os.cpu_count()} cores, Python {sys.version.split()[0]}, {_plane(settings)}")
    for row in rows:
        print(f"  {row.name:<48} {row.figure}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    drain_parser = commands.add_parser("drain", help="certificates per second, beside the floor")
    drain_parser.add_argument("--rounds", type=int, help="how many runs of each (default: 1, with --against 3)")
    drain_parser.add_argument("--workers", type=int, default=1, help="processes of the function (default: 1)")
    waiting_parser = commands.add_parser("waiting", help="the exporter's memory while CSRs wait")
    waiting_parser.add_argument("--megabytes", action="store_true", help="each of more than a megabyte")
    latency_parser = commands.add_parser("latency", help="a CSR's creation to its event, one by one")
    cold_parser = commands.add_parser("cold", help="the function's start, beside that of a hello-world")
    cold_parser.add_argument("--starts", type=int, default=7, help="how many of each (default: 7)")
    burst_parser = commands.add_parser("burst", help="the waits of pods that ask at once")
    rollout_parser = commands.add_parser("rollout", help="the waits of pods in a rolling restart")
    rollout_parser.add_argument(
        "--at-once", type=_count, default=20, help="the DaemonSet's maxUnavailable (default: 20)"
    )
    large_parser = commands.add_parser("large-key", help="what one RSA-8192 key adds to the waits of P-256 keys")
    large_parser.add_argument("--rounds", type=int, default=5, help="how many runs (default: 5)")
    for command in (drain_parser, cold_parser, burst_parser):
        command.add_argument("--against", metavar="REF", help="a git revision to compare with, in the same run")
    hostile_parser = commands.add_parser("hostile-cluster", help="the waits of three clusters beside a hostile one")
    poison_parser = commands.add_parser("poison", help="what poison adds to the wait of 24 honest pods")
    poison_parser.add_argument("--guards", action="store_true", help="with the admission policies in force")
    latencies = (drain_parser, poison_parser, burst_parser, cold_parser, large_parser, rollout_parser, hostile_parser)
    for command in latencies:
        command.add_argument("--kms-latency-ms", type=float, default=30.0, help="of the KMS double (default: 30)")
    counted = (drain_parser, waiting_parser, latency_parser, burst_parser, large_parser, rollout_parser, hostile_parser)
    for command in counted:
        command.add_argument("count", type=_count, help="how many CSRs")
    embeddable = (drain_parser, waiting_parser, latency_parser, cold_parser, burst_parser, large_parser, hostile_parser)
    for where in embeddable:
        where.add_argument("--embedded", action="store_true", help="on the API double instead of kube-apiserver")
    return parser


def _measured(settings: Settings, options: argparse.Namespace) -> list[Row]:
    with revision(getattr(options, "against", None)) as tree:
        measurements: dict[str, Callable[[], list[Row]]] = {
            "burst": lambda: burst(settings, options.count, against=tree),
            "cold": lambda: cold(settings, options.starts, against=tree),
            "drain": lambda: drain(
                settings, options.count, against=tree, rounds=options.rounds or (1 if tree is None else 3)
            ),
            "hostile-cluster": lambda: hostile_cluster(settings, options.count),
            "large-key": lambda: large_key(settings, options.count, rounds=options.rounds),
            "latency": lambda: latency(settings, options.count),
            "rollout": lambda: rollout(settings, options.count, at_once=options.at_once),
            "poison": lambda: poison(settings),
            "waiting": lambda: waiting(settings, options.count, megabytes=options.megabytes),
        }
        return measurements[options.command]()


@contextmanager
def revision(reference: str | None) -> Iterator[Path | None]:
    """Checks a revision's function and exporter out into a folder, compiled; None for none.

    Raises:
        RevisionError: There is no such revision, or it lacks them.
    """
    if reference is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="csr-signer-revision-") as folder:
        command = ["git", "archive", reference, "function", "infra/exporter"]
        archive = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
        if archive.returncode:
            raise RevisionError(f"git archive: {' '.join(archive.stderr.decode(errors='replace').split())}")
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
        compileall.compile_dir(folder, quiet=1)
        yield Path(folder)


def _plane(settings: Settings) -> Literal["the API double", "kube-apiserver"]:
    return "the API double" if settings.plane == "embedded" else "kube-apiserver"


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_PODS:
        raise argparse.ArgumentTypeError(f"Invalid value: {number}: must be 1 to {MAX_PODS}")
    return number


if __name__ == "__main__":
    sys.exit(main())
