"""Measures how much hostile CSRs delay honest pods.

The same fleet requests certificates twice in one run, with both exporters: alone, and beside hostile CSRs
(`sandbox.calico.poison`). A wait lasts from the create call until a watch shows the certificate.
"""

import statistics
import time
from dataclasses import replace
from typing import Final

from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.poison import BESIDE, KINDS, Poison, refuse_decisions
from sandbox.deployment import Deployment, Settings
from sandbox.measurements.common import PATIENCE, Row, fleet

CONCURRENCY: Final = 16
MOST_SECONDS: Final = 5.0
"""The allowed increase of the longest wait, in seconds."""
_READY: Final = 200
_POLL_SECONDS: Final = 0.05


def poison(settings: Settings) -> list[Row]:
    """Measures the waits of 24 pods, with and without hostile CSRs."""
    with Deployment(replace(settings, concurrency=CONCURRENCY, replicas=2)) as deployment, KeyPool() as keys:
        doses = Poison(deployment.world, lambda count: fleet(deployment, keys, count, "poison"))
        fleets = [fleet(deployment, keys, BESIDE, prefix) for prefix in ("alone", "beside")]
        with Observer(deployment.api, deployment.signer.signer_name) as observer:
            _wait_until_ready(deployment)
            for number in range(BESIDE):
                fleets[0].submit_one(number)
            alone = _waits(observer, fleets[0])
            deployment.kill_exporter()
            doses.file(len(KINDS) - BESIDE + 1)
            if not settings.guards:
                refuse_decisions(deployment.world, doses.doses[-1].name)
            deployment.start_exporter()
            _wait_until_ready(deployment)
            _wait_until_met(deployment, doses)
            doses.file_beside(fleets[1])
            beside = _waits(observer, fleets[1])
    added = [statistics.median(beside) - statistics.median(alone), max(beside) - max(alone)]
    return [
        Row(name="poison: CSRs that the API server took, refused", figure=_taken(doses)),
        Row(
            name=f"{BESIDE} pods alone: median and longest wait", figure=_figures(statistics.median(alone), max(alone))
        ),
        Row(name="  beside poison", figure=_figures(statistics.median(beside), max(beside))),
        Row(name=f"  added, at most {MOST_SECONDS:g} s allowed", figure=_figures(*added)),
        Row(name="  pods without certificate in the end", figure=str(beside.count(PATIENCE))),
    ]


def _wait_until_ready(deployment: Deployment) -> None:
    """Waits until both exporters have listed."""
    end = time.monotonic() + PATIENCE
    while any(each.page("/readyz")[0] != _READY for each in deployment.exporters) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)


def _wait_until_met(deployment: Deployment, doses: Poison) -> None:
    """Waits until the function has recorded a hostile CSR, if the API server stored one."""
    end = time.monotonic() + PATIENCE
    while doses.uids and time.monotonic() < end:
        text = deployment.log("function").read_text(encoding="utf-8", errors="replace")
        if any(uid in text for uid in doses.uids):
            return
        time.sleep(_POLL_SECONDS)


def _waits(observer: Observer, pods: Fleet) -> list[float]:
    """Returns the seconds of each pod in request order; a pod without a certificate has waited the whole time."""
    observer.wait([submission.uid for submission in pods.submissions], PATIENCE)
    seen = observer.observations()
    ended = [seen[each.uid].ended if seen[each.uid].issued else None for each in pods.submissions]
    return [
        PATIENCE if end is None else end - each.submitted for each, end in zip(pods.submissions, ended, strict=True)
    ]


def _taken(doses: Poison) -> str:
    return f"{len(doses.uids)}, {len(doses.doses) - len(doses.uids)}"


def _figures(median: float, longest: float) -> str:
    return f"{median:.2f} s, {longest:.2f} s"
