"""Measures certificates per second, and the floor; on request, also for another revision of this project.

N Calico CSRs (P-256, pod-bound tokens) wait, then function and exporter start. The clock stops when a watch has shown
all of them Approved with a certificate. For the floor, a client makes only the four calls of a certificate (GET CSR,
GET pod, PATCH approval, PATCH status), without checks and signatures. It uses the same API server, number of CSRs and
concurrency.

With another revision, each round measures that revision, this tree and the floor in turn, on the same control plane.
The rows are medians over the rounds.
"""

import base64
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.api import Api, Json, csr_path
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from sandbox.function_runtime import ROOT
from sandbox.measurements.common import Row, fleet, running, wait
from sandbox.usage import Usage

AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The figures of one drain.

    Attributes:
        seconds: Seconds from the signer's start to the last certificate.
        start: Seconds of these until function and exporter ran.
        lost: Number of CSRs without a certificate.
        function: The function's CPU milliseconds per certificate, with its start.
        exporter: The exporter's CPU milliseconds per certificate, without its start.
        kms: The KMS double's CPU milliseconds per certificate.
        observer: This process's CPU milliseconds per certificate; it watches the CSRs.
        resident: Resident MiB of the function's largest process.
        exporter_resident: The exporter's peak of resident MiB.
        rate: Certificates per second.
    """

    seconds: float
    start: float
    lost: int
    function: float
    exporter: float
    kms: float
    observer: float
    resident: float
    exporter_resident: float
    rate: float


def drain(settings: Settings, count: int, *, against: Path | None = None, rounds: int = 1) -> list[Row]:
    """Measures the time for `count` waiting CSRs, for the signer, the floor and, if given, the tree `against`."""
    trees = [ROOT] if against is None else [against, ROOT]
    runs: dict[Path, list[Run]] = {tree: [] for tree in trees}
    floors: list[float] = []
    with Deployment(settings) as deployment, KeyPool() as keys:
        for number in range(rounds):
            for tree in trees:
                deployment.use(tree)
                pods = fleet(deployment, keys, count, f"drain-{number}-{trees.index(tree)}")
                runs[tree].append(_run(deployment, pods, count, tree))
            deployment.kill_exporter()
            deployment.function.stop()
            floors.append(_floor(deployment, fleet(deployment, keys, count, f"floor-{number}")))
    rows = [Row(name=f"floor: the four calls, {AT_ONCE} at once", figure=f"{statistics.median(floors):.0f} per second")]
    for tree in trees:
        rows += _rows(runs[tree], floors, count, name="signer" if tree == ROOT else "the other revision's signer")
    if against is not None:
        rows += _compared(runs[against], runs[ROOT])
    return rows


def _run(deployment: Deployment, pods: Fleet, count: int, tree: Path) -> Run:
    submissions = pods.submit()
    with Observer(deployment.api, deployment.signer.signer_name) as observer:
        kms, own = Usage.of(deployment.kms_pid), time.process_time()
        started = time.monotonic()
        with running(tree):
            deployment.function.start()
            deployment.start_exporter()
        ready, start = time.monotonic(), Usage.of(deployment.exporter_pid)
        lost = count - wait(observer, {each.uid for each in submissions}, tree, deployment.log("exporter"))
        seconds = time.monotonic() - started
        own = time.process_time() - own
    function, exporter = Usage.of(deployment.function.pid), Usage.of(deployment.exporter_pid)
    return Run(
        seconds=seconds,
        start=ready - started,
        lost=lost,
        function=1000 * function.seconds / count,
        exporter=1000 * (exporter.seconds - start.seconds) / count,
        kms=1000 * (Usage.of(deployment.kms_pid).seconds - kms.seconds) / count,
        observer=1000 * own / count,
        resident=function.largest,
        exporter_resident=exporter.peak,
        rate=count / seconds,
    )


def _rows(runs: Sequence[Run], floors: Sequence[float], count: int, *, name: str) -> list[Row]:
    def median(value: Callable[[Run], float]) -> float:
        return statistics.median(map(value, runs))

    ratio = statistics.median(run.rate / floor for run, floor in zip(runs, floors, strict=True))
    figures = {
        "function: CPU per certificate": f"{median(lambda run: run.function):.1f} ms",
        "function: resident, largest process": f"{median(lambda run: run.resident):.0f} MiB",
        "exporter: CPU per certificate after its start": f"{median(lambda run: run.exporter):.2f} ms",
        "exporter: resident at most": f"{median(lambda run: run.exporter_resident):.0f} MiB",
        "beside the signer: KMS double, CPU": f"{median(lambda run: run.kms):.1f} ms",
        "beside the signer: observer, CPU": f"{median(lambda run: run.observer):.1f} ms",
    }
    return [
        Row(
            name=f"{name}: {count} drained in",
            figure=f"{median(lambda run: run.seconds):.1f} s, {median(lambda run: run.rate):.0f} per second,"
            f" {sum(run.lost for run in runs)} lost",
        ),
        Row(name="  of that, start of function and exporter", figure=f"{median(lambda run: run.start):.1f} s"),
        Row(name="  of the floor's rate", figure=f"{ratio:.2f}"),
        *(Row(name=f"  {name}", figure=figure) for name, figure in figures.items()),
    ]


def _compared(before: Sequence[Run], now: Sequence[Run]) -> list[Row]:
    def ratio(value: Callable[[Run], float]) -> str:
        ratios = [value(after) / value(earlier) for earlier, after in zip(before, now, strict=True)]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    return [
        Row(name="this tree / the other revision: rate", figure=ratio(lambda run: run.rate)),
        Row(name="  function: CPU per certificate", figure=ratio(lambda run: run.function)),
        Row(name="  function: resident", figure=ratio(lambda run: run.resident)),
        Row(name="  exporter: CPU per certificate", figure=ratio(lambda run: run.exporter)),
    ]


def _floor(deployment: Deployment, waiting: Fleet) -> float:
    """Returns CSRs per second with only the four calls."""
    certificate = base64.b64encode(deployment.certificate_authority.read_bytes()).decode()
    names = [submission.name for submission in waiting.submit()]
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as executor:
        list(executor.map(lambda name: _four_calls(deployment.api, name, certificate), names))
    return len(names) / (time.monotonic() - started)


def _four_calls(api: Api, name: str, certificate: str) -> None:
    csr = api.get(csr_path(name))
    api.get(f"/api/v1/namespaces/calico-system/pods/{name.partition(':')[2]}")
    approved = [{"type": "Approved", "status": "True", "reason": "Floor", "message": ""}]
    csr = _patch(api, csr, "approval", {"conditions": approved})
    _patch(api, csr, "status", {"certificate": certificate})


def _patch(api: Api, csr: Json, subresource: str, status: Json) -> Json:
    metadata = {key: csr["metadata"][key] for key in ("uid", "resourceVersion")}
    path = csr_path(csr["metadata"]["name"], subresource)
    return api.patch(path, {"metadata": metadata, "status": status}, "strategic-merge")
