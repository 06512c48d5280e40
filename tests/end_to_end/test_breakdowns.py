"""Twelve breakdowns of a real deployment: what kubectl, the exporter, doctor and explain say about each of them.

The rows are those of docs/troubleshooting.md.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.api import csr_path
from sandbox.breakdowns import installation, requests
from sandbox.breakdowns.injections import INJECTIONS
from sandbox.breakdowns.observations import Observer, sizes
from sandbox.breakdowns.row import Breakdown, Line, Tool
from sandbox.breakdowns.table import BREAKDOWNS
from sandbox.deployment import Deployment, Settings
from tests.end_to_end.conftest import PATIENCE, started

REPORTED = timedelta(seconds=10)
"""The age from which the function reports a CSR that waits."""
SIGNERCTL = (Tool.DOCTOR, Tool.EXPLAIN)
POLL_SECONDS = 0.1


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment on a real API server with guards and Calico's Installation; the tests break and mend it."""
    running = started(Settings(directory=tmp_path_factory.mktemp("broken"), plane="real", guards=True))
    installation.put_in(running)
    yield running
    running.stop()


@pytest.mark.real
@pytest.mark.parametrize("row", BREAKDOWNS, ids=lambda row: row.name)
def test_every_tool_names_cause_and_remedy(broken: Deployment, row: Breakdown) -> None:
    """Each line of the table is in the output of its tool while the breakdown lasts, and the mended signer issues."""
    logs = sizes(broken)
    with INJECTIONS[row.name](broken):
        filed = [requests.file(broken, workload) for workload in (row.workload, row.companion)]
        observer = Observer(deployment=broken, request=filed[0], logs=logs)
        if row.waits:
            wait_until_reported(broken, filed[1])
        assert not until_said(observer, [line for line in row.says if line.tool not in SIGNERCTL])
        with ThreadPoolExecutor() as threads:
            outputs = dict(zip(SIGNERCTL, threads.map(observer.ask, SIGNERCTL), strict=True))
        unsaid = [line for line in row.says if line.tool in SIGNERCTL and not line.is_in(outputs[line.tool])]
        assert not unsaid, "\n".join(outputs.values())
    for each in filed:
        broken.api.delete(csr_path(each.name))  # or doctor would report it in the next test
    again = requests.file(broken, "calico-node")
    issued = Line(tool=Tool.CSR, text=f"{again.name} ... Approved,Issued")
    assert not until_said(Observer(deployment=broken, request=again, logs=logs), [issued])


def wait_until_reported(deployment: Deployment, request: requests.Request) -> None:
    """Lets the exporter send the CSRs again once the function reports them, without the pause that it asked for."""
    created = datetime.fromisoformat(deployment.api.get(csr_path(request.name))["metadata"]["creationTimestamp"])
    while datetime.now(UTC) - created < REPORTED:
        time.sleep(POLL_SECONDS)
    deployment.kill_exporter()
    deployment.start_exporter()


def until_said(observer: Observer, lines: list[Line]) -> list[Line]:
    """Waits until the tools say all lines; returns those that are still lacking after a while."""
    end = time.monotonic() + PATIENCE / 3
    while lines and time.monotonic() < end:
        outputs = {tool: observer.ask(tool) for tool in {line.tool for line in lines}}
        lines = [line for line in lines if not line.is_in(outputs[line.tool])]
        time.sleep(POLL_SECONDS if lines else 0)
    return lines
