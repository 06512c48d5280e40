"""Measures certificates per second, and the floor.

N Calico CSRs (P-256, pod-bound tokens) wait, then function and exporter start. The clock stops when a watch has shown
all of them Approved with a certificate. For the floor, a client makes only the four calls of a certificate (GET CSR,
GET pod, PATCH approval, PATCH status), without checks and signatures. It uses the same API server, number of CSRs and
concurrency.
"""

import base64
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sandbox.api import Api, Json, csr_path
from sandbox.calico.fleet import Fleet, Submission
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from sandbox.measurements.common import PATIENCE, Row, fleet
from sandbox.usage import Usage

AT_ONCE: Final = 32


def drain(settings: Settings, count: int) -> list[Row]:
    """Measures the time for `count` waiting CSRs, for the signer and for the floor."""
    with Deployment(settings) as deployment, KeyPool() as keys:
        deployment.kill_exporter()
        deployment.function.stop()
        fleets = [fleet(deployment, keys, count, prefix) for prefix in ("drain", "floor")]
        submissions = fleets[0].submit()
        with Observer(deployment.api, deployment.signer.signer_name) as observer:
            started = time.monotonic()
            deployment.function.start()
            deployment.start_exporter()
            ready, start = time.monotonic(), Usage.of(deployment.exporter_pid)
            lost = _wait(observer, submissions)
            seconds = time.monotonic() - started
            ended = [seen.ended - ready for seen in observer.observations().values() if seen.ended is not None]
        function = Usage.of(deployment.function.pid)
        exporter = Usage.of(deployment.exporter_pid)
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
        Row(name="  exporter: CPU of its start", figure=f"{start.seconds:.2f} s"),
        Row(
            name="  exporter: CPU per certificate after that",
            figure=f"{1000 * (exporter.seconds - start.seconds) / count:.2f} ms",
        ),
        Row(name="  exporter: resident at most", figure=f"{exporter.peak:.0f} MiB"),
        Row(name=f"floor: the four calls, {AT_ONCE} at once", figure=f"{floor:.0f} per second"),
        Row(name="signer / floor", figure=f"{rate / floor:.2f}"),
    ]


def _wait(observer: Observer, submissions: Sequence[Submission]) -> int:
    """Waits for all; returns the number of lost CSRs, which are not issued after ten minutes."""
    uids = [submission.uid for submission in submissions]
    observer.wait(uids, PATIENCE)
    observations = observer.observations()
    return sum(not (uid in observations and observations[uid].issued) for uid in uids)


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
