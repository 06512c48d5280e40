"""A real deployment, healthy and with each breakdown: what kubectl, the exporter, doctor and explain say.

The breakdowns are those of docs/troubleshooting.md.
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.api import csr_path
from sandbox.breakdowns import requests
from sandbox.breakdowns.injections import INJECTIONS
from sandbox.breakdowns.observations import Before, Observer
from sandbox.breakdowns.row import Breakdown, Line, Tool
from sandbox.breakdowns.table import BREAKDOWNS
from sandbox.calico import installation
from sandbox.demo import clients
from sandbox.deployment import Deployment, Settings
from tests.end_to_end.conftest import eventually, started
from tests.unit.signerctl.stage import signerctl

pytestmark = pytest.mark.real

COUNTED = timedelta(seconds=10)
"""The age from which doctor counts a CSR as one that waits."""
APPROVE, FINISHED = 8, 11
"""Steps of the pipeline."""
SIGNERCTL = (Tool.DOCTOR, Tool.EXPLAIN)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment on a real API server with guards and Calico's Installation; the tests break and mend it."""
    running = started(Settings(directory=tmp_path_factory.mktemp("broken"), plane="real", guards=True))
    installation.put_in(
        running.world,
        authority=running.certificate_authority,
        signer_name=running.settings.signer_name,
        release=running.settings.release,
    )
    yield running
    running.stop()


def test_a_healthy_deployment_has_no_error(broken: Deployment) -> None:
    """Each check of doctor passes, none is skipped; explain knows the certificate and its records, also by the pod."""
    filed = requests.file(broken, "calico-node")
    eventually(lambda: is_issued(broken, filed))
    checks = answered(broken, "doctor")
    assert {each["check"]: each["found"] for each in checks if each["level"] != "ok"} == {}
    (found,) = answered(broken, "explain", filed.name, "--records", str(broken.log("function")))
    assert (found["uid"], found["state"], found["step"]) == (filed.uid, "issued", FINISHED)
    assert [each["event"] for each in found["records"]] == ["intent", "issued"]
    (of_pod,) = answered(broken, "explain", f"pod/{filed.pod.name}")
    assert of_pod["uid"] == filed.uid


def test_explain_changes_nothing(broken: Deployment) -> None:
    """It runs the function's steps on a waiting CSR, and the CSR has the same resourceVersion afterwards."""
    with INJECTIONS["exporter-dead"](broken):
        filed = requests.file(broken, "calico-node")
        before = broken.api.get(csr_path(filed.name))
        (found,) = answered(broken, "explain", filed.name)
        assert (found["state"], found["step"]) == ("waiting", APPROVE)
        assert broken.api.get(csr_path(filed.name)) == before
    eventually(lambda: is_issued(broken, filed))


@pytest.mark.parametrize("row", BREAKDOWNS, ids=lambda row: row.name)
def test_every_tool_names_cause_and_remedy(broken: Deployment, row: Breakdown) -> None:
    """Each line of the table is in the output of its tool while the breakdown lasts, and the mended signer issues."""
    before = Before.of(broken)
    with INJECTIONS[row.name](broken):
        filed = [requests.file(broken, workload) for workload in (row.workload, row.companion)]
        observer = Observer(deployment=broken, request=filed[0], before=before, run=printed)
        if row.waits:
            wait_until_doctor_counts(broken, filed[1])
        wait_until_said(observer, [line for line in row.says if line.tool not in SIGNERCTL])
        outputs = {tool: observer.ask(tool) for tool in SIGNERCTL}
        unsaid = [line for line in row.says if line.tool in SIGNERCTL and not line.is_in(outputs[line.tool])]
        assert not unsaid, "\n".join(outputs.values())
    for each in filed:
        broken.api.delete(csr_path(each.name))  # or doctor would report it in the next test
    again = requests.file(broken, "calico-node")
    eventually(lambda: is_issued(broken, again))


def answered(deployment: Deployment, *command: str) -> list[dict[str, Any]]:
    """Runs a command of signerctl, which must succeed; returns the items that it prints."""
    words = shlex.split(" ".join(clients.doctor(deployment, *map(shlex.quote, command))))
    result = signerctl(*words[words.index("signerctl") + 1 :], "-o", "json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["items"]
    return found


def is_issued(deployment: Deployment, request: requests.Request) -> bool:
    """Tells whether the CSR has its certificate."""
    return "certificate" in deployment.api.get(csr_path(request.name))["status"]


def printed(arguments: Sequence[str]) -> str:
    """Runs signerctl in this process: a process of its own takes seconds to start, for each of two commands a row."""
    return signerctl(*arguments).output


def wait_until_doctor_counts(deployment: Deployment, request: requests.Request) -> None:
    """Waits until the CSR is old enough; the exporter keeps to its own schedule."""
    created = datetime.fromisoformat(deployment.api.get(csr_path(request.name))["metadata"]["creationTimestamp"])
    eventually(lambda: datetime.now(UTC) - created >= COUNTED)


def wait_until_said(observer: Observer, lines: list[Line]) -> None:
    """Waits until the tools have said all lines; not all are said at the same time."""
    unsaid = list(lines)

    def said() -> bool:
        outputs = {tool: observer.ask(tool) for tool in {line.tool for line in unsaid}}
        unsaid[:] = [line for line in unsaid if not line.is_in(outputs[line.tool])]
        return not unsaid

    eventually(said, missing=unsaid)
