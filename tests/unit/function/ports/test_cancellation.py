"""A request that is cancelled, as a shutdown does: whatever it was doing, an intent has its one end in the records."""

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
from tests.unit.function.ports.blocking import Blocking, Running
from tests.unit.function.ports.conftest import FileCsr, Recorder, reference_to
from tests.unit.function.ports.test_cluster import HANG, answering
from tests.unit.function.ports.test_pipeline import SIGN, Clock, certificate, faults, slowed, stored

__all__ = ["faults"]


@dataclass
class Slow(Recorder):
    """A recorder whose standard output blocks at one kind of record until it is released.

    Attributes:
        at: the kind.
        began: set once such a record is being written.
        released: lets it end.
        fails: whether it then fails.
    """

    at: str = ""
    began: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def write(self, line: bytes) -> None:
        """Writes a line, or waits first."""
        if f'"event":"{self.at}"'.encode() in line:
            self.began.set()
            self.released.wait(30)
            if self.fails:
                raise OSError("no space left on device")
        super().write(line)


class _WritingTo:
    """The real cluster, whose certificates are written to another."""

    def __init__(self, cluster: KubernetesCluster, other: KubernetesCluster) -> None:
        self._cluster = cluster
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def write_certificate(self, csr: CertificateSigningRequest, pem: bytes) -> CertificateSigningRequest | None:
        """Asks the other one."""
        return await self._other.write_certificate(csr, pem)


def processing(pipeline: Blocking[Pipeline], csr: dict[str, Any]) -> Running:
    """The request for a CSR, under way."""
    return Running(pipeline.target.process(reference_to(csr), datetime.now(UTC)))


def assert_ended_once(recorder: Recorder, csr: dict[str, Any], end: str, attempts: int) -> None:
    """An intent, and one end of it with the number of calls that KMS got; nothing else."""
    assert recorder.events(csr["metadata"]["uid"]) == ["intent", end]
    intent, ended = recorder.lines
    assert intent["tbs_sha256"] == ended["tbs_sha256"]
    assert ended["kms_attempts"] == attempts
    assert ended.get("fault") == (None if end == "issued" else "CancelledError")


def with_recorder(pipeline: Blocking[Pipeline], recorder: Recorder) -> Blocking[Pipeline]:
    """The pipeline, which records there."""
    audit = Audit(write=recorder.write)
    return Blocking(replace(pipeline.target, audit=audit))


def test_cancelled_while_the_intent_is_written(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, kms_server: KmsServer
) -> None:
    """The line may be on its way: it is waited for, and then abandoned; the key was not used."""
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
    """There is no intent, so nothing is abandoned."""
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
    """KMS may have signed: the call that was under way counts."""
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
    """Each may have used the key."""
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
    """The certificate may be stored or not: the signature is accounted for, and the next event looks."""
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
    """The certificate is stored, and its record says so; nothing is abandoned beside it."""
    csr, recorder = file_csr(), Slow(at="issued")
    request = processing(with_recorder(pipeline, recorder), csr)
    recorder.began.wait(30)
    request.cancel()
    recorder.released.set()
    assert request.was_cancelled()
    assert_ended_once(recorder, csr, "issued", 1)
    assert certificate(stored(admin, csr))


def test_cancelled_again_while_the_intent_is_written(pipeline: Blocking[Pipeline], file_csr: FileCsr) -> None:
    """Whoever is impatient changes nothing: records keep their order, and the intent has one end."""
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
    """Cancelled between two steps, it ends at the next one; what was answered is not lost from the records."""
    csr = file_csr()
    request = processing(slowed(pipeline, Clock(), call, cancel), csr)
    assert request.was_cancelled()
    assert recorder.events(csr["metadata"]["uid"]) == AFTER[call]
    if AFTER[call]:
        assert_ended_once(recorder, csr, AFTER[call][-1], 0 if call == "approve" else 1)
    # After `sign`, the certificate may have been on its way to the API server.
    again = pipeline.process(reference_to(csr), datetime.now(UTC))
    assert again == Ignored(reason=IgnoreReason.ISSUED) or isinstance(again, Issued)
