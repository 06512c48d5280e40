"""Measures the waits of Calico's pods in a rolling restart by the real DaemonSet controller.

A wait is the run of a pod's init container: token, CSR, certificate. The batch time is the rollout's average time for
as many pods as wait at once. If a pod waits longer, the signer served later pods first.
"""

import time
from dataclasses import replace
from typing import Final

from sandbox.calico.running import Running, calico
from sandbox.deployment import Deployment, Settings
from sandbox.measurements.common import PATIENCE, Row

_PERIOD: Final = 0.1
_HUNDRED: Final = 100


def rollout(settings: Settings, count: int, *, at_once: int) -> list[Row]:
    """Measures a restart of `count` pods of calico-node, `at_once` of them at a time (maxUnavailable)."""
    folder = settings.directory / "volumes"
    folder.mkdir()
    settings = replace(settings, directory=settings.directory / "signer", controllers=True)
    settings.directory.mkdir()
    with Deployment(settings) as deployment, calico(deployment, folder, max_unavailable=at_once) as running:
        running.add_nodes(count)
        _wait(running)
        earlier = len(running.volumes.filled)
        running.restart()
        _wait(running)
        filled = running.volumes.filled[earlier:]
    seconds = filled[-1].ended - filled[0].begun
    waits = sorted(each.ended - each.begun for each in filled)
    size = min(at_once, len(filled))
    batch = size * seconds / len(filled)
    return [
        Row(name=f"restart of {len(filled)} pods, {size} at a time", figure=f"{seconds:.1f} s"),
        Row(
            name="  waits: median, 99th percentile, longest",
            figure=f"{waits[len(waits) // 2]:.2f} s, {waits[len(waits) * 99 // _HUNDRED]:.2f} s, {waits[-1]:.2f} s",
        ),
        Row(name=f"  batch time ({size} pods)", figure=f"{batch:.2f} s"),
        Row(name="  longest wait / batch time", figure=f"{waits[-1] / batch:.2f}"),
    ]


def _wait(running: Running) -> None:
    """Waits until calico-node is rolled out.

    Raises:
        TimeoutError: It is not within ten minutes.
    """
    end = time.monotonic() + PATIENCE
    while not running.is_rolled_out():
        if time.monotonic() > end:
            raise TimeoutError(f"calico-node is not rolled out within {PATIENCE:g} s")
        time.sleep(_PERIOD)
