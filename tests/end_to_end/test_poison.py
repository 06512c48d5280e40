"""24 honest pods beside CSRs that are made to stop the signer, with both exporters: all are served as if alone.

What the poison does depends on the guards: without them the API server takes all of it, and a policy of somebody else's
refuses what the function writes. With them it takes less. Where the poison was there before them, they do not look at
what is in it, and they refuse what the function writes. The double would take neither protobuf nor managedFields, and
has no policies.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
import yaml

from sandbox import guards
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.poison import BESIDE, KINDS, Poison, refuse_decisions
from sandbox.deployment import Deployment, Settings
from sandbox.documents import CLUSTER
from sandbox.manifests import FUNCTION_USER
from sandbox.usage import Usage
from tests.end_to_end import loaded
from tests.end_to_end.conftest import PATIENCE, audit_records, eventually, started
from tests.paths import EXPORTER_MANIFEST

AT_MOST: Final = 10
"""Events in flight of one exporter: its limiter starts with 8 and adds one for each of two rounds of successes."""
REPLICAS: Final = 2
MANIFEST: Final = EXPORTER_MANIFEST
SETTINGS: Final = ("without guards", "guards", "guards after the poison")
pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisoned:
    """A deployment with poison in it, and what became of the honest pods."""

    guards: str
    deployment: Deployment
    observer: Observer
    poison: Poison
    fleet: Fleet

    @property
    def uids(self) -> set[str]:
        """Of the honest pods' CSRs."""
        return loaded.uids_of(self.fleet)

    def came(self) -> dict[str, str]:
        """When the function first heard of each of them, by uid."""
        came: dict[str, str] = {}
        for record in audit_records(self.deployment.log("function")):
            if record.get("csr_uid") in self.uids and "decided_at" in record:
                came.setdefault(str(record["csr_uid"]), str(record["decided_at"]))
        return came

    def acknowledged(self, number: int) -> set[str]:
        """The honest pods' CSRs that one of the exporters has delivered."""
        log = self.deployment.log(f"exporter-{number}" if number else "exporter")
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()]
        delivered = {line["uid"] for line in lines if line["message"] == "acknowledged"}
        return delivered & self.uids


@pytest.fixture(scope="module", params=SETTINGS)
def poisoned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: KeyPool
) -> Iterator[Poisoned]:
    """The function has met some of the poison before the first honest pod asks, and meets more while they ask."""
    name: str = request.param
    settings = Settings(
        directory=tmp_path_factory.mktemp("poison"),
        plane="real",
        guards=name == "guards",
        concurrency=16,
        replicas=REPLICAS,
        takeover_seconds=300,  # no replica takes over while the test runs, however slow the machine is
    )
    with started(settings) as deployment, Observer(deployment.api, deployment.signer.signer_name) as observer:
        deployment.kill_exporter()
        poison = Poison(deployment.world, lambda count: loaded.fleet_of(deployment, keys, count, "poison"))
        fleet = loaded.fleet_of(deployment, keys, BESIDE, "honest")
        _begin(deployment, poison, name)
        deployment.start_exporter()
        eventually(lambda: bool(loaded.handled(deployment, poison.uids)) or not poison.uids)  # guards let none through
        poison.file_beside(fleet)
        poisoned = Poisoned(guards=name, deployment=deployment, observer=observer, poison=poison, fleet=fleet)
        if observer.wait(poisoned.uids, PATIENCE):
            # The certificate is seen before what the function and the exporters write of it.
            eventually(lambda: loaded.handled(deployment, poisoned.uids).keys() == poisoned.uids)
            eventually(lambda: poisoned.acknowledged(0) | poisoned.acknowledged(1) == poisoned.uids)
        yield poisoned


def _begin(deployment: Deployment, poison: Poison, name: str) -> None:
    """What is there before an exporter runs: all that guards would refuse, else all of the poison but most names."""
    if name == "guards after the poison":
        poison.file()
        document = deployment.directory / "function.json"
        signer_name = deployment.signer.signer_name
        guards.put_in(deployment.world, document, cluster=CLUSTER, function=FUNCTION_USER, signer_name=signer_name)
        return
    poison.file(len(KINDS) - BESIDE + 1)
    if name == "without guards":
        refuse_decisions(deployment.world, poison.doses[-1].name)


def test_the_api_server_takes_the_poison(poisoned: Poisoned) -> None:
    """Without guards every kind of it, so that the other tests show something; with them neither name nor depth."""
    refused = {dose.kind: dose.refusal for dose in poisoned.poison.doses if not dose.uid}
    if poisoned.guards != "guards":
        assert refused == {}
        return
    wanted = {kind.name for kind in KINDS if kind.name.startswith(("named", "managedFields"))}
    assert refused.keys() >= wanted
    assert all("kms-csr-signer-create" in refusal for refusal in refused.values())


def test_every_honest_pod_is_issued_beside_poison(poisoned: Poisoned) -> None:
    """Each has its certificate."""
    loaded.assert_all_issued(poisoned.fleet, poisoned.observer, timeout=0)


def test_beside_poison_pods_are_served_in_order_of_arrival(poisoned: Poisoned) -> None:
    """No exporter's event overtakes more of its earlier ones than are under way at once."""
    came = poisoned.came()
    assert came.keys() == poisoned.uids
    for number in range(REPLICAS):
        share = poisoned.acknowledged(number)
        asked = [submission.uid for submission in poisoned.fleet.submissions if submission.uid in share]
        served = sorted(asked, key=came.__getitem__)
        # Among events in flight the order is chance.
        at_once = min(AT_MOST, poisoned.deployment.exporters[number].metrics().total("concurrency_limit"))
        assert max((served.index(uid) - asked.index(uid) for uid in asked), default=0) <= at_once


def test_poison_stops_no_exporter(poisoned: Poisoned) -> None:
    """There was no moment in which an exporter sent nothing because of what the function had answered."""
    assert loaded.total(poisoned.deployment, "paused_seconds_total") == 0


def test_beside_poison_nothing_is_asked_or_signed_twice(poisoned: Poisoned) -> None:
    """One event and one signature for each honest pod: none was held up so long that its event was sent again."""
    once = dict.fromkeys(poisoned.uids, 1)
    assert loaded.signatures(poisoned.deployment, poisoned.uids) == once
    assert loaded.handled(poisoned.deployment, poisoned.uids) == once


def test_beside_poison_the_exporters_stay_within_their_memory(poisoned: Poisoned) -> None:
    """Neither ever had more resident than its manifest allows, over which it would be killed at every list."""
    documents = yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))
    (workload,) = (each for each in documents if each["kind"] == "StatefulSet")
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    limit = re.fullmatch(r"(\d+)Mi", container["resources"]["limits"]["memory"])
    assert limit is not None
    peaks = [Usage.of(exporter.pid).peak for exporter in poisoned.deployment.exporters]
    assert max(peaks) < int(limit[1]), peaks
