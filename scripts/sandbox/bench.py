"""`scripts/bench`: figures, each with what it is compared with in the same run.

`drain N`: N Calico-shaped CSRs (P-256, pod-bound tokens) wait on a real kube-apiserver; then the signer, function and
exporter, is started; the clock runs until a watch has seen every one Approved and with its certificate. The floor is
what the same API server does when a client makes only the four calls of a certificate (GET CSR, GET pod, PUT approval,
PUT status), without any check and signature, on as many CSRs and with as many requests at once.

`waiting N`: resident memory of an exporter that starts while N CSRs wait and no function answers.

Absolute numbers drift between machines and with what else runs there: compare the ratio.
"""

import argparse
import base64
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psutil

from sandbox.api import Api, csr_path
from sandbox.calico.components import components
from sandbox.calico.fleet import Fleet, Submission, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings

AT_ONCE: Final = 32
KEYS: Final = (("ECDSAWithCurve256", "ECDSAWithSHA256"),)
MEBIBYTE: Final = 2**20
PATIENCE: Final = 600.0
SETTLED_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the answer."""

    name: str
    figure: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one measurement and prints its rows; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    drain_parser = commands.add_parser("drain", help="certificates per second, beside the floor")
    drain_parser.add_argument("count", type=_count, help="how many CSRs wait")
    drain_parser.add_argument("--kms-latency-ms", type=float, default=30.0, help="of the KMS double (default: 30)")
    drain_parser.add_argument("--workers", type=int, default=1, help="processes of the function (default: 1)")
    waiting_parser = commands.add_parser("waiting", help="the exporter's memory while CSRs wait")
    waiting_parser.add_argument("count", type=_count, help="how many CSRs wait")
    for command in (drain_parser, waiting_parser):
        command.add_argument("--embedded", action="store_true", help="on the API double instead of kube-apiserver")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="csr-signer-bench-") as folder:
        settings = Settings(
            directory=Path(folder),
            plane="embedded" if options.embedded else "real",
            kms_latency=getattr(options, "kms_latency_ms", 0.0) / 1000,
            workers=getattr(options, "workers", 1),
        )
        rows = (drain if options.command == "drain" else waiting)(settings, options.count)
    print(f"on {os.cpu_count()} cores, Python {sys.version.split()[0]}, {_plane(settings)}")
    for row in rows:
        print(f"  {row.name:<42} {row.figure}")
    return 0


def drain(settings: Settings, count: int) -> list[Row]:
    """The signer's time for `count` waiting CSRs, and the floor's."""
    with Deployment(settings) as deployment, KeyPool() as keys:
        deployment.kill_exporter()
        deployment.function.stop()
        fleets = [_fleet(deployment, keys, count, prefix) for prefix in ("drain", "floor")]
        submissions = fleets[0].submit()
        with Observer(deployment.api, deployment.signer.signer_name) as observer:
            started = time.monotonic()
            deployment.function.start()
            deployment.start_exporter()
            ready = time.monotonic()
            lost = _wait(observer, submissions)
            seconds = time.monotonic() - started
            ended = [seen.ended - ready for seen in observer.observations().values() if seen.ended is not None]
        function = _usage(deployment.function.pid)
        exporter = _usage(deployment.exporter_pid)
        deployment.kill_exporter()
        deployment.function.stop()
        floor = _floor(deployment, fleets[1])
    rate = count / seconds
    return [
        Row(name=f"signer: {count} drained in", figure=f"{seconds:.1f} s, {rate:.0f} per second, {lost} lost"),
        Row(name="  of that, start of function and exporter", figure=f"{ready - started:.1f} s"),
        Row(name="  median and last after that", figure=f"{statistics.median(ended):.1f} s, {max(ended):.1f} s"),
        Row(name="  function: CPU per certificate", figure=f"{1000 * function.seconds / count:.1f} ms"),
        Row(name="  function: resident, largest process", figure=f"{function.largest:.0f} MiB"),
        Row(name="  function: proportional, all processes", figure=f"{function.proportional:.0f} MiB"),
        Row(name="  exporter: CPU per certificate", figure=f"{1000 * exporter.seconds / count:.1f} ms"),
        Row(name="  exporter: resident", figure=f"{exporter.largest:.0f} MiB"),
        Row(name=f"floor: the four calls, {AT_ONCE} at once", figure=f"{floor:.0f} per second"),
        Row(name="signer / floor", figure=f"{rate / floor:.2f}"),
    ]


def waiting(settings: Settings, count: int) -> list[Row]:
    """The exporter's memory after it has listed `count` waiting CSRs and delivered none."""
    with Deployment(settings) as deployment, KeyPool() as keys:
        deployment.kill_exporter()
        deployment.function.kill()
        _fleet(deployment, keys, count, "waiting").submit()
        deployment.start_exporter()
        usage = peak = _usage(deployment.exporter_pid)
        end = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < end:
            usage = _usage(deployment.exporter_pid)
            peak = max(peak, usage, key=lambda seen: seen.largest)
            time.sleep(0.05)
    return [
        Row(name=f"exporter: resident with {count} waiting", figure=f"{usage.largest:.1f} MiB"),
        Row(name="  largest seen", figure=f"{peak.largest:.1f} MiB"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process and its children took.

    Attributes:
        seconds: CPU.
        largest: resident MiB of the largest process.
        proportional: MiB of all, shared pages counted once.
    """

    seconds: float
    largest: float
    proportional: float


def _usage(pid: int | None) -> Usage:
    parent = psutil.Process(pid)
    processes = [parent, *parent.children(recursive=True)]
    memory = [process.memory_full_info() for process in processes]
    times = [process.cpu_times() for process in processes]
    return Usage(
        seconds=sum(spent.user + spent.system for spent in times),
        largest=max(used.rss for used in memory) / MEBIBYTE,
        proportional=sum(used.pss for used in memory) / MEBIBYTE,
    )


def _fleet(deployment: Deployment, keys: KeyPool, count: int, prefix: str) -> Fleet:
    members = plan(
        count,
        components=components(deployment.settings.release),
        managements=managements(deployment.signer.signer_name, algorithms=KEYS),
        seed=sum(prefix.encode()),
        prefix=prefix,
    )
    fleet = Fleet(deployment.world, members, keys=keys)
    fleet.enter()
    fleet.prepare()
    return fleet


def _wait(observer: Observer, submissions: Sequence[Submission]) -> int:
    """Waits for all; returns how many were lost: not issued after ten minutes."""
    uids = [submission.uid for submission in submissions]
    observer.wait(uids, PATIENCE)
    observations = observer.observations()
    return sum(not (uid in observations and observations[uid].issued) for uid in uids)


def _floor(deployment: Deployment, fleet: Fleet) -> float:
    """CSRs per second with the four calls alone."""
    certificate = base64.b64encode(deployment.certificate_authority.read_bytes()).decode()
    names = [submission.name for submission in fleet.submit()]
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as executor:
        list(executor.map(lambda name: _four_calls(deployment.api, name, certificate), names))
    return len(names) / (time.monotonic() - started)


def _four_calls(api: Api, name: str, certificate: str) -> None:
    csr: dict[str, Any] = api.get(csr_path(name))
    api.get(f"/api/v1/namespaces/calico-system/pods/{name.partition(':')[2]}")
    csr["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "Floor", "message": ""}]
    csr = api.put(csr_path(name, "approval"), csr)
    csr["status"]["certificate"] = certificate
    api.put(csr_path(name, "status"), csr)


def _plane(settings: Settings) -> Literal["the API double", "kube-apiserver"]:
    return "the API double" if settings.plane == "embedded" else "kube-apiserver"


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 20_000:  # noqa: PLR2004 - a bench on one machine
        raise argparse.ArgumentTypeError(f"got {number}, allowed are 1 to 20000")
    return number


if __name__ == "__main__":
    sys.exit(main())
