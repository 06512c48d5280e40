"""`scripts/bench profile N`: which packages use the function's CPU time for N certificates.

The function runs in this process without its HTTP server. The CSRs wait in a real control plane, and the KMS is the
double. The program calls the function's handler with the CSRs' events, several at once. It times a first run, and
profiles a second run with cProfile. cProfile slows Python code more than C code, so read its figures as shares.
"""

import argparse
import asyncio
import cProfile
import importlib
import os
import pstats
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sandbox.calico.fleet import Submission
from sandbox.calico.keys import KeyPool
from sandbox.deployment import Deployment, Settings
from sandbox.measurements.cold import event
from sandbox.measurements.common import fleet

SHOWN: Final = 30
_OK: Final = 200
Handler = Callable[[Request], Awaitable[Response]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="number of certificates")
    parser.add_argument("--embedded", action="store_true", help="use the API double instead of kube-apiserver")
    parser.add_argument("--at-once", type=int, default=16, help="number of requests in flight (default: 16)")
    parser.add_argument("--kms-latency-ms", type=float, default=30.0, help="latency of the KMS double (default: 30)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="csr-signer-bench-") as folder, KeyPool() as keys:
        settings = Settings(
            directory=Path(folder),
            plane="embedded" if options.embedded else "real",
            kms_latency=options.kms_latency_ms / 1000,
            concurrency=options.at_once,
            front_door=False,
            id_token=True,
        )
        with Deployment(settings) as deployment:
            deployment.kill_exporter()
            deployment.function.stop()
            runs = [fleet(deployment, keys, options.count, name).submit() for name in ("timed", "profiled")]
            os.environ |= deployment.function.environment
            os.environ["CSR_SIGNER_CONFIGURATION"] = str(deployment.directory / "function.json")
            os.environ["CSR_SIGNER_CONCURRENCY"] = str(options.at_once)
            cpu, wall, profile = asyncio.run(_measure(*runs, at_once=options.at_once, log=deployment.log("profile")))
    print(f"{1000 * cpu / options.count:.2f} ms of CPU time per certificate, without HTTP server and start")
    print(f"{options.at_once} at once: {options.count / wall:.0f} per second, {100 * cpu / wall:.0f} % of one CPU")
    _print(profile)
    return 0


async def _measure(
    timed: Sequence[Submission], profiled: Sequence[Submission], *, at_once: int, log: Path
) -> tuple[float, float, cProfile.Profile]:
    """Returns CPU and wall seconds of the first run, and the profile of the second; the log gets the audit records."""
    output = os.dup(1)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        try:
            handle: Handler = importlib.import_module("main").handle
            await _drain(handle, timed[:1], at_once)  # loads the configuration
            cpu, wall = time.process_time(), time.monotonic()
            await _drain(handle, timed[1:], at_once)
            cpu, wall = time.process_time() - cpu, time.monotonic() - wall
            profile = cProfile.Profile()
            with profile:
                await _drain(handle, profiled, at_once)
        finally:
            os.dup2(output, 1)
            os.close(output)
    return cpu, wall, profile


async def _drain(handle: Handler, submissions: Sequence[Submission], at_once: int) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(submission: Submission) -> None:
        async with places:
            response = await handle(_request(submission))
        if response.status_code != _OK:
            raise RuntimeError(f"the function answered {response.status_code}: {bytes(response.body)!r}")

    await asyncio.gather(*map(one, submissions))


def _request(submission: Submission) -> Request:
    body = event(submission)
    headers = {"content-type": "application/cloudevents+json", "content-length": str(len(body))}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": encoded}, receive)


def _print(profile: cProfile.Profile) -> None:
    statistics = pstats.Stats(profile)
    own: Counter[str] = Counter()
    for (path, _, name), (_, _, spent, _, _) in statistics.stats.items():  # type: ignore[attr-defined]  # typeshed lacks it
        own[_package(path, name)] += spent
    total = sum(own.values())
    print("\nshare of CPU time by package, without callees:")
    for package, spent in own.most_common(SHOWN):
        print(f"  {100 * spent / total:5.1f} %  {package}")
    print()
    statistics.strip_dirs().sort_stats("cumulative").print_stats("csr_signer|pipeline|client|key|lint|pkcs10", SHOWN)


def _package(path: str, name: str) -> str:
    """Returns a function's package, or its own name if it is written in C."""
    if path == "~":
        return name
    parts = Path(path).with_suffix("").parts
    for anchor in ("csr_signer", "site-packages"):
        if anchor in parts:
            start = parts.index(anchor) + (anchor == "site-packages")
            return ".".join(parts[start : start + 2])
    return "asyncio" if "asyncio" in parts else parts[-1]


if __name__ == "__main__":
    sys.exit(main())
