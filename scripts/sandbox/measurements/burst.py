"""Measures the waits of many pods that create their CSRs at once.

A wait begins before the request that creates the CSR, and ends when a watch shows the certificate.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Final

from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from sandbox.function_runtime import ROOT
from sandbox.measurements.common import Row, fleet, running, wait
from sandbox.usage import Usage

_HUNDRED: Final = 100


def burst(settings: Settings, count: int, *, against: Path | None = None) -> list[Row]:
    """Measures the waits of `count` pods while the signer runs; first with the tree `against`, if given."""
    rows: list[Row] = []
    with Deployment(settings) as deployment, KeyPool() as keys:
        for tree in [ROOT] if against is None else [against, ROOT]:
            deployment.use(tree)
            pods = fleet(deployment, keys, count, f"burst-{int(tree == ROOT)}")
            with running(tree):
                deployment.function.start()
                deployment.start_exporter()
            with Observer(deployment.api, deployment.signer.signer_name) as observer:
                submissions = pods.submit()
                wait(observer, {each.uid for each in submissions}, tree, deployment.log("exporter"))
                seen = observer.observations()
            waits = sorted(
                ended - each.submitted
                for each in submissions
                if seen[each.uid].issued and (ended := seen[each.uid].ended) is not None
            )
            uids = {each.uid for each in submissions}
            function, exporter = Usage.of(deployment.function.pid), Usage.of(deployment.exporter_pid)
            name = "signer" if tree == ROOT else "the other revision's signer"
            rows += [
                Row(
                    name=f"{name}: {count} at once, median and 99th percentile",
                    figure=f"{_quantile(waits, 50):.1f} s, {_quantile(waits, 99):.1f} s",
                ),
                Row(
                    name="  lost, signed more than once",
                    figure=f"{count - len(waits)}, {_doubled(deployment.log('function'), uids)}",
                ),
                Row(name="  function: resident, largest process", figure=f"{function.largest:.0f} MiB"),
                Row(name="  exporter: resident at most", figure=f"{exporter.peak:.0f} MiB"),
            ]
    return rows


def _quantile(waits: list[float], percent: int) -> float:
    return waits[min(len(waits) - 1, len(waits) * percent // _HUNDRED)]


def _doubled(log: Path, uids: set[str]) -> int:
    """Returns the number of CSRs with more than one intent to sign."""
    intents: Counter[str] = Counter()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"event":"intent"' in line:
            intents[json.loads(line)["csr_uid"]] += 1
    return sum(intents[uid] > 1 for uid in uids)
