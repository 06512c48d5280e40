"""The function's process under functions-framework, when clients disconnect and after SIGTERM."""

import contextlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import urllib3

from csr_signer.shutdown import GRACE_SECONDS
from sandbox.api import Api
from sandbox.function_runtime import FunctionRuntime
from sandbox.kms import Fault, KmsServer
from tests.end_to_end.conftest import eventually
from tests.patience import PATIENCE
from tests.unit.function.ports.conftest import FileCsr, WriteConfiguration
from tests.unit.function.ports.test_pipeline import SIGN, certificate, faults, stored
from tests.unit.function.ports.test_service import event

__all__ = ["faults"]

pytestmark = pytest.mark.slow

CLOUD_RUN_SECONDS = 10
"""The seconds from SIGTERM to SIGKILL (Cloud Run's container runtime contract)."""


class Function:
    """A process of the function.

    Attributes:
        url: its URL.
    """

    def __init__(self, runtime: FunctionRuntime, log: Path) -> None:
        assert runtime.pid is not None
        self.url = runtime.url
        self._process = psutil.Process(runtime.pid)
        self._log = log
        self._clients = ThreadPoolExecutor()

    def sent(self, csr: dict[str, Any]) -> "Future[urllib3.BaseHTTPResponse]":
        """Sends a CSR's event; the future is the answer."""
        headers = {"Content-Type": "application/cloudevents+json"}
        body = json.dumps(event(csr)).encode()
        return self._clients.submit(
            urllib3.request, "POST", self.url, body=body, headers=headers, retries=False, timeout=60.0
        )

    def terminate(self) -> None:
        """Sends SIGTERM, as Cloud Run does to the container's first process."""
        self._process.terminate()

    def wait(self) -> int:
        """Waits until the process has ended by itself; returns its exit status."""
        return int(self._process.wait(PATIENCE))

    def refuses(self) -> bool:
        """Tells whether the process refuses another request: it answers 503, or accepts no connection."""
        try:
            answer = urllib3.request("GET", self.url, retries=False, timeout=PATIENCE)
        except urllib3.exceptions.HTTPError:
            return True
        if answer.status == 400:  # the process serves it: it is no event
            return False
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        return True

    def records(self, csr: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the audit records of a CSR."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["csr_uid"] == csr["metadata"]["uid"]]

    def events(self, csr: dict[str, Any]) -> list[str]:
        """Returns the kinds of a CSR's audit records."""
        return [record["event"] for record in self.records(csr)]


@pytest.fixture
def function(write_configuration: WriteConfiguration, faults: KmsServer, tmp_path: Path) -> Iterator[Function]:
    """The function; its KMS is the double in this process."""
    log = tmp_path / "function.log"
    runtime = FunctionRuntime(write_configuration(), log)
    runtime.start()
    try:
        yield Function(runtime, log)
    finally:
        runtime.kill()


def test_a_client_that_disconnects_changes_nothing(
    function: Function, faults: KmsServer, file_csr: FileCsr, admin: Api
) -> None:
    """If the exporter disconnects while KMS signs, the function still issues, with one intent and one outcome."""
    csr = file_csr()
    faults.faults.add(Fault(method=SIGN, hang=True))
    body = json.dumps(event(csr)).encode()
    address = urlsplit(function.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        head = (
            f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\nContent-Length: {len(body)}"
        )
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        faults.faults.wait_until_hanging(1)
    assert not function.refuses()  # the process got this request after the other client had disconnected
    faults.faults.release()
    eventually(lambda: len(function.events(csr)) > 1)
    assert function.events(csr) == ["intent", "issued"]
    assert certificate(stored(admin, csr))


def test_after_sigterm_requests_in_flight_finish_and_new_ones_are_refused(
    function: Function, faults: KmsServer, file_csr: FileCsr, admin: Api
) -> None:
    """While KMS is slow, the process refuses other requests. Then it writes the certificate, and answers 200."""
    csr, late = file_csr(), file_csr()
    faults.faults.add(Fault(method=SIGN, hang=True))
    answer = function.sent(csr)
    faults.faults.wait_until_hanging(1)
    function.terminate()
    eventually(function.refuses)
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        assert function.sent(late).result(PATIENCE).status == 503
    assert not answer.done()
    faults.faults.release()
    assert (answer.result(PATIENCE).status, answer.result().json()) == (200, {"outcome": "issued", "reason": ""})
    function.wait()
    assert function.events(csr) == ["intent", "issued"]
    assert certificate(stored(admin, csr))
    assert stored(admin, late) == late


def test_after_sigterm_a_request_that_does_not_end_is_interrupted_and_recorded(
    function: Function, faults: KmsServer, file_csr: FileCsr, admin: Api
) -> None:
    """If KMS hangs, the function abandons the intent before SIGKILL, and asks the exporter to resend the event."""
    assert GRACE_SECONDS < CLOUD_RUN_SECONDS
    csr, before = file_csr(), len(faults.audit.records(SIGN))
    faults.faults.add(Fault(method=SIGN, hang=True, times=0))
    answer = function.sent(csr)
    faults.faults.wait_until_hanging(1)
    function.terminate()
    function.wait()
    assert (answer.result(PATIENCE).status, answer.result().headers["Retry-After"]) == (503, "1")
    assert answer.result().json() == {"outcome": "fault", "reason": "ShutdownError"}
    assert function.events(csr) == ["intent", "abandoned", "fault"]
    intent, abandoned, _ = function.records(csr)
    assert abandoned["tbs_sha256"] == intent["tbs_sha256"]
    assert abandoned["kms_attempts"] == len(faults.audit.records(SIGN)) - before
    assert not certificate(stored(admin, csr))


def test_an_idle_process_ends(function: Function) -> None:
    """Without requests in flight, SIGTERM ends the process, with status 0."""
    function.terminate()
    assert function.wait() == 0
