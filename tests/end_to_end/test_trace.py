"""One trace per CSR: what exporter, function and KMS say about it is found together."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from sandbox.kms import KmsControl
from tests.end_to_end.conftest import PATIENCE, audit_records, eventually, fleet_maker, started

PROJECT = "example-project"
TRACE = "logging.googleapis.com/trace"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment whose function knows its project, as Cloud Run's does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
        running = started(Settings(directory=tmp_path_factory.mktemp("traced")))
    yield running
    running.stop()


def test_exporter_function_and_kms_share_the_csrs_trace(traced: Deployment, keys: KeyPool) -> None:
    """The trace is the CSR's uid; it is in the exporter's lines, the function's records and the call of KMS."""
    fleet = fleet_maker(traced, keys)(3)
    with Observer(traced.api, traced.signer.signer_name) as observer:
        fleet.submit()
        assert observer.wait([submission.uid for submission in fleet.submissions], PATIENCE)
    exporter, function = traced.log("exporter"), traced.log("function")
    for submission in fleet.submissions:
        trace = submission.uid.replace("-", "")
        name = f"projects/{PROJECT}/traces/{trace}"
        eventually(lambda uid=submission.uid: bool(_sent(exporter, uid)))  # type: ignore[misc]  # mypy has no type for it
        assert {line[TRACE] for line in _sent(exporter, submission.uid)} == {name}
        records = [record for record in audit_records(function) if record["csr_uid"] == submission.uid]
        assert {"intent", "issued"} <= {record["event"] for record in records}
        assert {record[TRACE] for record in records} == {name}
        with KmsControl(traced.kms) as control:
            calls = [call for call in control.records("AsymmetricSign") if f"csr-uid={submission.uid};" in call.reason]
        assert {call.traceparent.split("-")[1] for call in calls} == {trace}


def _sent(log: Path, uid: str) -> list[dict[str, object]]:
    """The exporter's lines about a CSR, but for one that is just being written."""
    lines = log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    return [line for line in map(json.loads, lines) if line.get("uid") == uid]
