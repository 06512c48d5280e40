"""Deployments under load, and what their exporters, the function and the key say of it afterwards."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox.api import Api
from sandbox.calico.components import components
from sandbox.calico.fleet import Fleet, managements, plan
from sandbox.calico.world import World
from sandbox.kms import KmsControl
from tests.end_to_end.conftest import KEYS, audit_records, eventually

if TYPE_CHECKING:
    from collections.abc import Collection

    from sandbox.calico.keys import KeyPool
    from sandbox.calico.observer import Observer
    from sandbox.deployment import Deployment

IMPATIENT: Final = (str(Path(__file__).with_name("impatient.py")),)
"""Runs the exporter with its resync every few seconds."""
LONG: Final = 300.0
"""Seconds after which something is lost and not only late."""


def fleet_of(deployment: Deployment, keys: KeyPool, count: int, prefix: str, *, api: Api | None = None) -> Fleet:
    """Pods with tokens and prepared requests, which reach the API server as `api` does."""
    world = deployment.world if api is None else World(api)
    members = plan(
        count,
        components=components(deployment.settings.release),
        managements=managements(deployment.signer.signer_name, algorithms=KEYS),
        seed=sum(prefix.encode()),
        prefix=prefix,
    )
    fleet = Fleet(world, members, keys=keys)
    fleet.enter()
    fleet.prepare()
    return fleet


def uids_of(fleet: Fleet) -> set[str]:
    """Whom a fleet waits for."""
    return {submission.uid for submission in fleet.submissions}


def assert_all_issued(fleet: Fleet, observer: Observer, timeout: float = LONG) -> None:
    """Every pod has filed, and every CSR ends as Approved,Issued."""
    uids = uids_of(fleet)
    assert len(uids) == len(fleet.members)
    assert observer.wait(uids, timeout)
    assert Counter(observer.observations()[uid].state for uid in uids) == {"Approved,Issued": len(uids)}


def wait_until_idle(deployment: Deployment) -> None:
    """Every exporter has seen that nothing is left to do, and nothing is under way."""
    for exporter in deployment.exporters:
        eventually(lambda exporter=exporter: not exporter.metrics().total("csr_pending"))  # type: ignore[misc]
        eventually(lambda exporter=exporter: not exporter.metrics().total("inflight"))  # type: ignore[misc]


def total(deployment: Deployment, name: str) -> float:
    """A metric's sum over all exporters."""
    return sum(exporter.metrics().total(name) for exporter in deployment.exporters)


def logged(deployment: Deployment, message: str) -> list[dict[str, object]]:
    """What the first exporter has said with this message."""
    lines = deployment.log("exporter").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["message"] == message]


def signatures(deployment: Deployment, uids: Collection[str]) -> Counter[str]:
    """How often the key was used for each of these CSRs, by KMS's own log."""
    with KmsControl(deployment.kms) as control:
        records = control.records("AsymmetricSign")
    used = (record.reason.partition(";")[0].removeprefix("csr-uid=") for record in records if record.key_used)
    return Counter(uid for uid in used if uid in uids)


def handled(deployment: Deployment, uids: Collection[str]) -> Counter[str]:
    """How many events of each of these CSRs the function has answered, by its own log."""
    records = audit_records(deployment.log("function"))
    return Counter(
        str(record["csr_uid"]) for record in records if record["event"] != "intent" and record.get("csr_uid") in uids
    )


def repeated(counts: Counter[str]) -> int:
    """How many of them were too many."""
    return counts.total() - len(counts)
