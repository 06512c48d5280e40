"""A shutdown cancels requests: at any step, the records have exactly one outcome for each intent."""

import asyncio
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from csr_signer.audit import Audit
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.errors import AuditError
from csr_signer.events.outcome import Ignored, Issued
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.pipeline import Pipeline
from csr_signer.policy.triage import IgnoreReason
from sandbox.api import Api
from sandbox.kms import Fault, KmsServer
from tests.unit.function.ports.answers import HANG, answering
from tests.unit.function.ports.blocking import Blocking, Running
from tests.unit.function.ports.conftest import FileCsr, Recorder, reference_to
from tests.unit.function.ports.test_pipeline import SIGN, Clock, certificate, faults, slowed, stored

__all__ = ["faults"]


@dataclass
class Slow(Recorder):
    """A recorder that blocks at one kind of record until the test releases it.

    Attributes:
        at: the kind of record.
        began: set when the write of such a record begins.
        released: the test sets it, and the write continues.
        fails: whether the write then fails.
    """

    at: str = ""
    began: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def write(self, line: bytes) -> None:
        """Writes a line; first waits, if it is a record of that kind."""
        if f'"event":"{self.at}"'.encode() in line:
            self.began.set()
            self.released.wait(30)
            if self.fails:
                raise OSError("no space left on device")
        super().write(line)


class _WritingTo:
    """The real cluster, except that it writes certificates to another cluster."""

    def __init__(self, cluster: KubernetesCluster, other: KubernetesCluster) -> None:
        self._cluster = cluster
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def write_certificate(self, csr: CertificateSigningRequest, pem: bytes) -> CertificateSigningRequest | None:
        """Writes to the other cluster."""
        return await self._other.write_certificate(csr, pem)


def processing(pipeline: Blocking[Pipeline], csr: dict[str, Any]) -> Running:
    """Starts the processing of a CSR, and does not wait for it."""
    return Running(pipeline.target.process(reference_to(csr), datetime.now(UTC)))


def assert_ended_once(recorder: Recorder, csr: dict[str, Any], end: str, attempts: int) -> None:
    """Asserts that the records are one intent and one outcome, with the number of requests to KMS."""
    assert recorder.events(csr["metadata"]["uid"]) == ["intent", end]
    intent, ended = recorder.lines
    assert intent["tbs_sha256"] == ended["tbs_sha256"]
    assert ended["kms_attempts"] == attempts
    assert ended.get("fault") == (None if end == "issued" else "CancelledError")


def with_recorder(pipeline: Blocking[Pipeline], recorder: Recorder) -> Blocking[Pipeline]:
    """Returns the pipeline with another recorder."""
    audit = Audit(write=recorder.write)
    return Blocking(replace(pipeline.target, audit=audit))


def test_cancelled_while_the_intent_is_written(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, kms_server: KmsServer
) -> None:
    """The pipeline waits for the write, then records that it abandoned the intent. It does not use the key."""
    csr, recorder, before = file_csr(), Slow(at="intent"), len(kms_server.audit.records(SIGN))
    request = processing(with_recorder(pipeline, recorder), csr)
    recorder.began.wait(30)
    request.cancel()
    assert not request.done
    recorder.released.set()
    assert request.was_cancelled()
    assert_ended_once(recorder, csr, "abandoned", 0)
    assert len(kms_server.audit.records(SIGN)) == before
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)


def test_cancelled_while_the_intent_cannot_be_written(pipeline: Blocking[Pipeline], file_csr: FileCsr) -> None:
    """Without an intent, the pipeline records no outcome."""
    csr, recorder = file_csr(), Slow(at="intent", fails=True)
    request = processing(with_recorder(pipeline, recorder), csr)
    recorder.began.wait(30)
    request.cancel()
    recorder.released.set()
    assert isinstance(request.failure(), AuditError)
    assert recorder.lines == []


def test_cancelled_while_kms_hangs(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, faults: KmsServer, recorder: Recorder
) -> None:
    """KMS may have signed, so the record counts the running request."""
    csr = file_csr()
    faults.faults.add(Fault(method=SIGN, hang=True))
    request = processing(pipeline, csr)
    faults.faults.wait_until_hanging(1)
    request.cancel()
    assert request.was_cancelled()
    assert_ended_once(recorder, csr, "abandoned", 1)
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)


def test_cancelled_in_the_second_attempt_counts_both(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, faults: KmsServer, recorder: Recorder
) -> None:
    """Each attempt may have used the key."""
    csr = file_csr()
    faults.faults.add(Fault(method=SIGN, status="UNAVAILABLE", after=True))
    faults.faults.add(Fault(method=SIGN, hang=True))
    request = processing(pipeline, csr)
    faults.faults.wait_until_hanging(1)
    request.cancel()
    assert request.was_cancelled()
    assert_ended_once(recorder, csr, "abandoned", 2)


def test_cancelled_while_the_api_server_hangs(
    pipeline: Blocking[Pipeline],
    file_csr: FileCsr,
    admin: Api,
    cluster: Blocking[KubernetesCluster],
    recorder: Recorder,
) -> None:
    """The API server may have stored the certificate or not.

    A record accounts for the signature, and the next event reads the CSR.
    """
    csr = file_csr()
    with answering(HANG) as (hanging, asked):
        clusters: Any = {"demo": _WritingTo(cluster.target, hanging.target)}
        request = processing(Blocking(replace(pipeline.target, clusters=clusters)), csr)
        asked.arrived.wait(30)
        request.cancel()
        assert request.was_cancelled()
    assert_ended_once(recorder, csr, "abandoned", 1)
    assert not certificate(stored(admin, csr))
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)


def test_cancelled_while_the_outcome_is_written(pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api) -> None:
    """The API server has the certificate, so the only outcome in the records is `issued`."""
    csr, recorder = file_csr(), Slow(at="issued")
    request = processing(with_recorder(pipeline, recorder), csr)
    recorder.began.wait(30)
    request.cancel()
    recorder.released.set()
    assert request.was_cancelled()
    assert_ended_once(recorder, csr, "issued", 1)
    assert certificate(stored(admin, csr))


def test_cancelled_again_while_the_intent_is_written(pipeline: Blocking[Pipeline], file_csr: FileCsr) -> None:
    """More cancellations change nothing: the records keep their order, and the intent has one outcome."""
    csr, recorder = file_csr(), Slow(at="intent")
    request = processing(with_recorder(pipeline, recorder), csr)
    recorder.began.wait(30)
    for _ in range(3):
        request.cancel()
    recorder.released.set()
    assert request.was_cancelled()
    assert_ended_once(recorder, csr, "abandoned", 0)


def cancel() -> None:
    """Cancels the task that calls it."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


AFTER = {
    "get_pod": [],
    "public_key": [],
    "approve": ["intent", "abandoned"],
    "sign": ["intent", "abandoned"],
    "write_certificate": ["intent", "issued"],
}


@pytest.mark.parametrize("call", AFTER)
def test_cancelled_just_when_a_call_is_answered(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, recorder: Recorder, call: str
) -> None:
    """A request that is cancelled between two steps ends at the next step. The records include the completed step."""
    csr = file_csr()
    request = processing(slowed(pipeline, Clock(), call, cancel), csr)
    assert request.was_cancelled()
    assert recorder.events(csr["metadata"]["uid"]) == AFTER[call]
    if AFTER[call]:
        assert_ended_once(recorder, csr, AFTER[call][-1], 0 if call == "approve" else 1)
    # After `sign`, the API server may still have got the certificate.
    again = pipeline.process(reference_to(csr), datetime.now(UTC))
    assert again == Ignored(reason=IgnoreReason.ISSUED) or isinstance(again, Issued)
