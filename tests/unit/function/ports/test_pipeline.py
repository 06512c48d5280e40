"""One CSR's way over the real protocols: what happens in Kubernetes, in KMS and in the audit log, in which order."""

import base64
import concurrent.futures
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from csr_signer.audit import Audit
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.errors import ConfigurationError, IntegrityError, ItemError, QuotaError, SignerError, UnavailableError
from csr_signer.events.outcome import Deferred, Ignored, Issued, Refused
from csr_signer.kms.client import Connection
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.pipeline import FRESH_SECONDS, Pipeline
from csr_signer.policy.decision import Decision, decide
from csr_signer.policy.triage import IgnoreReason
from sandbox.api import Api, csr_path
from sandbox.calico import attackers
from sandbox.calico.stories import STORIES
from sandbox.calico.world import World
from sandbox.kms import KmsServer
from sandbox.kms.faults import Corruption, Fault
from sandbox.kubernetes import KubernetesServer
from sandbox.pki import Authority
from tests.unit.function.ports.answers import FORBIDDEN, Probes, answering
from tests.unit.function.ports.blocking import Blocking, Running, run
from tests.unit.function.ports.conftest import (
    SIGNER_NAME,
    FileCsr,
    Recorder,
    conditions,
    make_pipeline,
    pod_path,
    reference_to,
)

SIGN = "AsymmetricSign"


@pytest.fixture
def faults(kms_server: KmsServer) -> Iterator[KmsServer]:
    """KMS's double, whose faults end with the test."""
    yield kms_server
    kms_server.faults.clear()
    kms_server.faults.release()


def stored(admin: Api, csr: dict[str, Any]) -> dict[str, Any]:
    """The CSR as the API server has it now."""
    return admin.get(csr_path(csr["metadata"]["name"]))


def certificate(csr: dict[str, Any]) -> bytes:
    """status.certificate, decoded."""
    return base64.b64decode(csr["status"].get("certificate", ""))


def test_an_honest_request_is_approved_signed_and_written(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder, ca_file: Path, tmp_path: Path
) -> None:
    """An honest CSR ends Approved with evidence, and with a chain that openssl verifies; intent comes before issued."""
    csr = file_csr()
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
    now = stored(admin, csr)
    assert isinstance(outcome, Issued)
    assert recorder.events(csr["metadata"]["uid"]) == ["intent", "issued"]
    assert f"tbs-sha256={outcome.tbs_sha256}" in conditions(now)["Approved"]["message"]
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(certificate(now))
    verified = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(ca_file), str(leaf)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr


def test_a_repeated_event_finds_the_work_done(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, kms_server: KmsServer
) -> None:
    """A duplicate neither signs nor writes again; the audit names the certificate that is there."""
    csr = file_csr()
    first = pipeline.process(reference_to(csr), datetime.now(UTC))
    before, signatures = stored(admin, csr), len(kms_server.audit.records(SIGN))
    second = pipeline.process(reference_to(csr), datetime.now(UTC))
    assert isinstance(first, Issued)
    assert second == Ignored(reason=IgnoreReason.ISSUED)
    assert stored(admin, csr) == before
    assert len(kms_server.audit.records(SIGN)) == signatures


def test_racing_duplicates_in_one_process_sign_once(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, kms_server: KmsServer
) -> None:
    """Sixteen events for one uid at once give one signature."""
    csr = file_csr()
    before = len(kms_server.audit.records(SIGN))
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        outcomes = list(executor.map(lambda _: pipeline.process(reference_to(csr), datetime.now(UTC)), range(16)))
    assert sum(isinstance(outcome, Issued) for outcome in outcomes) == 1
    assert len(kms_server.audit.records(SIGN)) == before + 1


def test_two_processes_racing_publish_one_certificate_of_one_tbs(
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    file_csr: FileCsr,
    admin: Api,
    faults: KmsServer,
) -> None:
    """Two processes that both sign build equal bytes; one certificate is stored, and the loser sees it."""
    csr = file_csr()
    recorders = [Recorder(), Recorder()]
    path = write_configuration()
    pipelines = [make_pipeline(path, cluster.target, kms, recorder) for recorder in recorders]
    for racer in pipelines:  # each knows its key before the race
        assert run(racer.keys["demo", "csr-signer.example.com/calico"].public_key()).pem
    faults.faults.add(Fault(method=SIGN, hang=True, times=2))
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(racer.process, reference_to(csr), datetime.now(UTC)) for racer in pipelines]
        faults.faults.wait_until_hanging(2)
        faults.faults.release()
        outcomes = [future.result(timeout=30) for future in futures]
    hashes = {line["tbs_sha256"] for recorder in recorders for line in recorder.lines if line["event"] == "intent"}
    assert len(hashes) == 1
    assert sum(isinstance(outcome, Issued) for outcome in outcomes) == 1
    assert certificate(stored(admin, csr))
    for racer in pipelines:
        assert racer.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.ISSUED)


@pytest.mark.parametrize("year", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_condition_times_of_any_year_change_nothing(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder, year: str
) -> None:
    """An approver who sets condition times to the year 1 or 9999 neither stops nor changes the certificate."""
    csr = file_csr()
    condition = {"type": "Approved", "status": "True", "reason": "Other", "message": "", "lastUpdateTime": year}
    csr["status"]["conditions"] = [condition | {"lastTransitionTime": year}]
    admin.put(csr_path(csr["metadata"]["name"], "approval"), csr)
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
    assert isinstance(outcome, Issued)
    issued = next(line for line in recorder.lines if line["event"] == "issued")
    created = datetime.fromisoformat(csr["metadata"]["creationTimestamp"])
    assert datetime.fromisoformat(issued["not_before"]) == created - timedelta(minutes=5)


def test_a_refused_request_is_denied_with_every_violation_and_reported_on_the_pod(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, kms_server: KmsServer
) -> None:
    """All that is wrong stands in the condition and in an Event on the attested pod, and the key is not used."""
    before = len(kms_server.audit.records(SIGN))
    csr = file_csr(environment={"common_name": "typha-server", "dns_names": ("typha-server", "evil.example.com")})
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
    codes = ("subject.common_name", "san.dns.not_allowed", "san.dns.missing")
    denied = conditions(stored(admin, csr))["Denied"]
    assert outcome == Refused(reason="NameNotAllowed", codes=codes)
    assert all(code in denied["message"] for code in codes)
    assert "evil.example.com" in denied["message"]
    pod = csr["metadata"]["name"].partition(":")[2]
    events = admin.get("/api/v1/namespaces/calico-system/events")["items"]
    (event,) = [event for event in events if event["involvedObject"]["name"] == pod]
    assert event["involvedObject"]["uid"] == csr["spec"]["extra"]["authentication.kubernetes.io/pod-uid"][0]
    assert (event["type"], event["reason"]) == ("Warning", "NameNotAllowed")
    assert len(kms_server.audit.records(SIGN)) == before


def test_an_approved_request_that_is_wrong_becomes_failed(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api
) -> None:
    """Approved by anyone cannot be denied any more: it is Failed, and gets no certificate."""
    csr = file_csr(environment={"dns_names": ("evil.example.com",)})
    csr["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "Other", "message": ""}]
    admin.put(csr_path(csr["metadata"]["name"], "approval"), csr)
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC))
    now = stored(admin, csr)
    assert isinstance(outcome, Refused)
    assert set(conditions(now)) == {"Approved", "Failed"}
    assert not certificate(now)


def test_too_late_becomes_failed(pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api) -> None:
    """A request of ten minutes that is looked at after six has too little left: Failed, TooLate."""
    csr = file_csr(spec={"expirationSeconds": 600})
    outcome = pipeline.process(reference_to(csr), datetime.now(UTC) + timedelta(minutes=6))
    assert outcome == Refused(reason="TooLate", codes=("lifetime.too_late",))
    assert conditions(stored(admin, csr))["Failed"]["reason"] == "TooLate"


def test_another_uid_of_the_same_name_is_untouched(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder
) -> None:
    """An event for a uid that is gone leaves the CSR that has its name now as it is; the record is about that uid."""
    csr = file_csr()
    uid = "00000000-0000-4000-8000-000000000000"
    outcome = pipeline.process(reference_to(csr, uid=uid), datetime.now(UTC))
    assert outcome == Ignored(reason=IgnoreReason.GONE)
    assert stored(admin, csr) == csr
    assert (recorder.events(uid), recorder.events(csr["metadata"]["uid"])) == (["ignored"], [])


def test_a_broken_signer_is_its_own_fault_where_there_is_another(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, faults: KmsServer
) -> None:
    """A disabled key holds up everybody where it is the only one; beside another signer it concerns its items alone."""
    csr = file_csr()
    disabled = Fault(method=SIGN, status="FAILED_PRECONDITION")
    faults.faults.add(disabled)
    with pytest.raises(ConfigurationError):
        pipeline.process(reference_to(csr), datetime.now(UTC))
    (one,) = pipeline.signers.values()
    several = {**pipeline.signers, ("demo", "csr-signer.example.com/other"): one}
    faults.faults.add(disabled)
    with pytest.raises(ItemError, match="key version"):
        Blocking(replace(pipeline.target, signers=several)).process(reference_to(csr), datetime.now(UTC))
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)


def test_another_signers_request_is_untouched(pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api) -> None:
    """A stranger's CSR is neither judged nor written to."""
    csr = file_csr(spec={"signerName": "someone.example.com/else"})
    assert pipeline.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.OTHER_SIGNER)
    assert stored(admin, csr) == csr


def test_a_deleted_request_is_gone(pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api) -> None:
    """An event whose CSR is gone needs nothing."""
    csr = file_csr()
    admin.delete(csr_path(csr["metadata"]["name"]))
    assert pipeline.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.GONE)


def test_a_foreign_certificate_is_an_alarm(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder
) -> None:
    """A certificate that this issuer did not sign is left alone, and logged as an ERROR."""
    csr = file_csr()
    foreign = Authority.create("another root").certificate_pem
    csr["status"]["certificate"] = base64.b64encode(foreign).decode()
    admin.put(csr_path(csr["metadata"]["name"], "status"), csr)
    assert pipeline.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.ISSUED)
    assert recorder.lines[-1]["severity"] == "ERROR"


def test_no_signature_without_a_recorded_intent(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder, kms_server: KmsServer
) -> None:
    """Where the audit record cannot be written, the key is not used, and the next event finishes the work."""
    csr = file_csr()
    before = len(kms_server.audit.records(SIGN))
    recorder.broken = True
    with pytest.raises(UnavailableError):
        pipeline.process(reference_to(csr), datetime.now(UTC))
    assert len(kms_server.audit.records(SIGN)) == before
    recorder.broken = False
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)
    assert certificate(stored(admin, csr))


KMS_FAULTS = {
    "quota": (Fault(method=SIGN, status="RESOURCE_EXHAUSTED"), QuotaError),
    "permission": (Fault(method=SIGN, status="PERMISSION_DENIED"), ConfigurationError),
    "disabled": (Fault(method=SIGN, status="FAILED_PRECONDITION"), ConfigurationError),
    "a wrong checksum twice": (
        Fault(method=SIGN, corruption=Corruption.SIGNATURE_CRC32C, times=2),
        IntegrityError,
    ),
    "no checksum twice": (
        Fault(method=SIGN, corruption=Corruption.NO_SIGNATURE_CRC32C, times=2),
        IntegrityError,
    ),
    "an unseen digest checksum twice": (
        Fault(method=SIGN, corruption=Corruption.UNVERIFIED_CRC32C, times=2),
        IntegrityError,
    ),
    "another key version's name twice": (Fault(method=SIGN, corruption=Corruption.NAME, times=2), IntegrityError),
    "a weaker protection level twice": (
        Fault(method=SIGN, corruption=Corruption.PROTECTION_LEVEL, times=2),
        IntegrityError,
    ),
    "another key's signature twice": (
        Fault(method=SIGN, corruption=Corruption.FOREIGN_SIGNATURE, times=2),
        IntegrityError,
    ),
}


@pytest.mark.parametrize(("fault", "error"), KMS_FAULTS.values(), ids=KMS_FAULTS)
def test_a_fault_of_kms_writes_nothing_and_ends_with_it(
    pipeline: Blocking[Pipeline],
    file_csr: FileCsr,
    admin: Api,
    faults: KmsServer,
    recorder: Recorder,
    fault: Fault,
    error: type[SignerError],
) -> None:
    """While KMS is wrong there is no certificate and no denial; when it is right again the next event issues.

    The intent that came to nothing is accounted for, by the hash that it named and as often as KMS was asked.
    """
    csr = file_csr()
    faults.faults.add(fault)
    before = len(faults.audit.records(SIGN))
    with pytest.raises(error):
        pipeline.process(reference_to(csr), datetime.now(UTC))
    asked = len(faults.audit.records(SIGN)) - before
    now = stored(admin, csr)
    assert not certificate(now)
    assert set(conditions(now)) <= {"Approved"}
    intent, abandoned = recorder.lines
    assert (intent["event"], abandoned["event"], abandoned["fault"]) == ("intent", "abandoned", error.__name__)
    assert intent["tbs_sha256"] == abandoned["tbs_sha256"]
    assert abandoned["kms_attempts"] == asked
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)


RETRIED = {
    "unavailable": Fault(method=SIGN, status="UNAVAILABLE"),
    "an answer that was lost": Fault(method=SIGN, status="UNAVAILABLE", after=True),
    "one wrong checksum": Fault(method=SIGN, corruption=Corruption.SIGNATURE_CRC32C),
}


@pytest.mark.parametrize("fault", RETRIED.values(), ids=RETRIED)
def test_a_passing_fault_of_kms_is_survived_within_the_event(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, faults: KmsServer, recorder: Recorder, fault: Fault
) -> None:
    """KMS is asked again; the record says how often."""
    csr = file_csr()
    faults.faults.add(fault)
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)
    assert recorder.lines[-1]["kms_attempts"] == 2


class _Meddler:
    """The real cluster, with something that another party does just before a write."""

    def __init__(self, cluster: KubernetesCluster, meddle: Callable[[], object]) -> None:
        self._cluster = cluster
        self._meddle = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def write_certificate(self, csr: CertificateSigningRequest, pem: bytes) -> CertificateSigningRequest | None:
        """Lets the other party act first."""
        self._meddle()
        return await self._cluster.write_certificate(csr, pem)


def test_a_csr_recreated_during_signing_gets_nothing_of_its_predecessors(
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    file_csr: FileCsr,
    admin: Api,
) -> None:
    """Calico's client deletes and re-creates the same name with a new key: the old certificate must not land there."""
    csr = file_csr()
    path = csr_path(csr["metadata"]["name"])

    def recreate() -> None:
        admin.delete(path)
        admin.post(
            path.rpartition("/")[0],
            {k: csr[k] for k in ("apiVersion", "kind", "spec")} | {"metadata": {"name": csr["metadata"]["name"]}},
        )

    recorder = Recorder()
    racing = make_pipeline(write_configuration(), _Meddler(cluster.target, recreate), kms, recorder)
    assert racing.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.GONE)
    now = stored(admin, csr)
    assert now["metadata"]["uid"] != csr["metadata"]["uid"]
    assert now["status"] == {}


def test_one_conflict_reads_again_and_a_second_defers(
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    file_csr: FileCsr,
    admin: Api,
) -> None:
    """An edit does not delay the CSR; edits without end delay only it, and cost two signatures per delivery."""
    csr = file_csr()
    path = csr_path(csr["metadata"]["name"])
    edits = iter(range(10))

    def edit() -> None:
        admin.patch(path, {"metadata": {"labels": {"edit": str(next(edits))}}})

    recorder = Recorder()
    racing = make_pipeline(write_configuration(), _Meddler(cluster.target, edit), kms, recorder)
    assert racing.process(reference_to(csr), datetime.now(UTC)) == Deferred(reason="conflict", retry_after=1)
    assert stored(admin, csr)["metadata"]["labels"]["edit"] == "1"
    assert recorder.events(csr["metadata"]["uid"]) == [*("intent", "abandoned") * 2, "deferred"]
    once = iter([edit])

    def edit_once() -> None:
        for change in once:
            change()

    racing = make_pipeline(write_configuration(), _Meddler(cluster.target, edit_once), kms, Recorder())
    assert isinstance(racing.process(reference_to(csr), datetime.now(UTC)), Issued)
    assert stored(admin, csr)["metadata"]["labels"]["edit"] == "2"


def test_without_approval_rights_a_pending_request_waits(
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    file_csr: FileCsr,
    admin: Api,
) -> None:
    """With approve: false nothing happens before another approver has decided; then it is signed."""
    csr = file_csr()
    signing_only = make_pipeline(write_configuration(approve=False), cluster.target, kms, Recorder())
    assert signing_only.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.NOT_APPROVED)
    csr["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "Other", "message": ""}]
    admin.put(csr_path(csr["metadata"]["name"], "approval"), csr)
    assert isinstance(signing_only.process(reference_to(csr), datetime.now(UTC)), Issued)


def test_a_requester_from_a_foreign_namespace_delays_no_other(
    pipeline: Blocking[Pipeline], world: World, admin: Api, api_server: KubernetesServer
) -> None:
    """The function refuses a pod outside the profile without reading it: a 403 would delay all requests."""
    story = next(story for story in STORIES if story.name == "wrong namespace")
    (attacker,) = attackers.prepare(world, SIGNER_NAME, release="3.31", stories=[story], prefix="stranger", seed=10_100)
    filed = attackers.file(world, attacker)
    reference = reference_to({"metadata": {"name": attacker.csr["metadata"]["name"], "uid": filed.uid}})
    api_server.forget_requests()
    outcome = pipeline.process(reference, datetime.now(UTC))
    assert isinstance(outcome, Refused)
    assert "requester.service_account" in outcome.codes
    assert not [request for request in api_server.requests if "/pods/" in request.path]


def test_an_intent_that_a_new_configuration_supersedes_is_named(
    pipeline: Blocking[Pipeline],
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    file_csr: FileCsr,
    admin: Api,
    faults: KmsServer,
    recorder: Recorder,
) -> None:
    """Approved under one configuration, issued under another: one certificate, whose record names the earlier hash."""
    csr = file_csr()
    faults.faults.add(Fault(method=SIGN, status="PERMISSION_DENIED"))
    with pytest.raises(ConfigurationError):
        pipeline.process(reference_to(csr), datetime.now(UTC))
    later = Recorder()
    changed = make_pipeline(write_configuration(lifetime="30d"), cluster.target, kms, later)
    outcome = changed.process(reference_to(csr), datetime.now(UTC))
    assert isinstance(outcome, Issued)
    assert later.lines[-1]["superseded_intent"] == recorder.lines[0]["tbs_sha256"] != outcome.tbs_sha256
    assert certificate(stored(admin, csr))


def assert_alarm_for_its_certificate(
    first: dict[str, Any], second: dict[str, Any], pipeline: Blocking[Pipeline], admin: Api, recorder: Recorder
) -> None:
    """The second CSR holds the first one's certificate: the pipeline ignores it, with an ERROR."""
    second["status"]["certificate"] = stored(admin, first)["status"]["certificate"]
    admin.put(csr_path(second["metadata"]["name"], "status"), second)
    assert pipeline.process(reference_to(second), datetime.now(UTC)) == Ignored(reason=IgnoreReason.ISSUED)
    assert recorder.lines[-1]["severity"] == "ERROR"


def test_another_csrs_certificate_of_this_ca_is_an_alarm(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder
) -> None:
    """A certificate for another key is not this CSR's, even if this CA signed it."""
    first, second = file_csr(), file_csr()
    pipeline.process(reference_to(first), datetime.now(UTC))
    assert_alarm_for_its_certificate(first, second, pipeline, admin, recorder)


def test_a_certificate_for_a_request_that_cannot_be_read_is_an_alarm(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder
) -> None:
    """Another signer stored a certificate of this CA in a CSR whose request holds no key."""
    first = file_csr()
    pipeline.process(reference_to(first), datetime.now(UTC))
    text = base64.b64encode(b"text\n" + base64.b64decode(first["spec"]["request"])).decode()
    body = {"metadata": {"name": f"{first['metadata']['name']}-text"}, "spec": first["spec"] | {"request": text}}
    second = admin.post("/apis/certificates.k8s.io/v1/certificatesigningrequests", body)
    assert_alarm_for_its_certificate(first, second, pipeline, admin, recorder)


def test_a_duplicate_is_deferred_at_once(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, faults: KmsServer, recorder: Recorder
) -> None:
    """While the first event hangs in KMS, the pipeline defers a duplicate at once: 425 for this item, with a record."""
    csr = file_csr()
    faults.faults.add(Fault(method=SIGN, hang=True))
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        first = executor.submit(pipeline.process, reference_to(csr), datetime.now(UTC))
        faults.faults.wait_until_hanging(1)
        second = pipeline.process(reference_to(csr), datetime.now(UTC))
        assert not first.done()
        faults.faults.release()
        assert isinstance(first.result(30), Issued)
    assert second == Deferred(reason="busy", retry_after=1)
    assert recorder.events(csr["metadata"]["uid"]) == ["intent", "deferred", "issued"]


class _Vanishing(_Meddler):
    """The real cluster, where the CSR is deleted just before it is approved or refused."""

    async def approve(self, csr: CertificateSigningRequest, message: str) -> CertificateSigningRequest | None:
        """Lets the other party act first."""
        self._meddle()
        return await self._cluster.approve(csr, message)

    async def deny(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Lets the other party act first."""
        self._meddle()
        return await self._cluster.deny(csr, reason, message)


@pytest.mark.parametrize("name", ["typha-client", "evil.example.com"], ids=["before approval", "before denial"])
def test_a_csr_that_vanishes_is_gone_without_a_signature(
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    file_csr: FileCsr,
    admin: Api,
    name: str,
) -> None:
    """Deleted between decision and write: nothing is signed, nothing is reported, nobody has to act."""
    csr = file_csr(environment={"dns_names": (name,)})
    recorder = Recorder()
    vanishing = _Vanishing(cluster.target, lambda: admin.delete(csr_path(csr["metadata"]["name"])))
    racing = make_pipeline(write_configuration(), vanishing, kms, recorder)
    assert racing.process(reference_to(csr), datetime.now(UTC)) == Ignored(reason=IgnoreReason.GONE)
    assert recorder.events(csr["metadata"]["uid"]) == ["ignored"]


class Clock:
    """A monotonic clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class _Slow:
    """A real cluster or key, of which one call takes long; meanwhile something happens."""

    def __init__(self, real: Any, call: str, meanwhile: Callable[[], object]) -> None:
        self._real = real
        self._call = call
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._call:
            return found

        async def slow(*arguments: Any, **named: Any) -> Any:
            answer = await found(*arguments, **named)
            self._meanwhile()
            return answer

        return slow


def slowed(
    pipeline: Blocking[Pipeline], clock: Clock, call: str, meanwhile: Callable[[], object]
) -> Blocking[Pipeline]:
    """The pipeline over a cluster and a key of which that call takes long."""
    clusters: Any = {name: _Slow(cluster, call, meanwhile) for name, cluster in pipeline.clusters.items()}
    keys: Any = {name: _Slow(key, call, meanwhile) for name, key in pipeline.keys.items()}
    return Blocking(replace(pipeline.target, clusters=clusters, keys=keys, clock=clock))


ENDS: dict[str, tuple[Callable[[Api, str], object], str]] = {
    "gone": (lambda admin, path: admin.delete(path, gracePeriodSeconds=0), "pod.gone"),
    "terminating": (lambda admin, path: admin.delete(path, gracePeriodSeconds=30), "pod.terminating"),
    "finished": (lambda admin, path: admin.patch(f"{path}/status", {"status": {"phase": "Failed"}}), "pod.finished"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("call", "condition"), [("public_key", "Denied"), ("approve", "Failed")])
def test_attack_a_pod_ends_while_kms_or_the_api_server_is_slow(
    pipeline: Blocking[Pipeline],
    file_csr: FileCsr,
    admin: Api,
    kms_server: KmsServer,
    call: str,
    condition: str,
    end: str,
) -> None:
    """More than five seconds after the pod was read it is read again before the key is used; an ended one gets nothing.

    It is Denied, or Failed where it was approved in the meantime.
    """
    csr, clock, before = file_csr(), Clock(), len(kms_server.audit.records(SIGN))
    finish, code = ENDS[end]

    def meanwhile() -> None:
        if clock.now == 0.0:
            finish(admin, pod_path(csr))
            clock.now = FRESH_SECONDS + 0.1

    outcome = slowed(pipeline, clock, call, meanwhile).process(reference_to(csr), datetime.now(UTC))
    assert isinstance(outcome, Refused)
    assert outcome.codes == (code,)
    assert condition in conditions(stored(admin, csr))
    assert len(kms_server.audit.records(SIGN)) == before


@pytest.mark.parametrize("call", ["public_key", "approve"])
def test_a_pod_that_is_still_there_after_a_slow_call_is_issued_once(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, admin: Api, recorder: Recorder, call: str
) -> None:
    """It is approved once, for one TBSCertificate, and signed once."""
    csr, clock = file_csr(), Clock()

    def meanwhile() -> None:
        clock.now = FRESH_SECONDS + 0.1

    outcome = slowed(pipeline, clock, call, meanwhile).process(reference_to(csr), datetime.now(UTC))
    assert isinstance(outcome, Issued)
    assert f"tbs-sha256={outcome.tbs_sha256}" in conditions(stored(admin, csr))["Approved"]["message"]
    assert recorder.events(csr["metadata"]["uid"]) == ["intent", "issued"]


def test_the_key_is_not_used_after_a_slow_intent_record(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, recorder: Recorder
) -> None:
    """Standard output took longer than an attestation may be old: the function reads and judges the pod again."""
    csr, clock = file_csr(), Clock()

    def write(line: bytes) -> None:
        recorder.write(line)
        if clock.now == 0.0:
            clock.now = FRESH_SECONDS + 0.1

    once = Blocking(replace(pipeline.target, audit=Audit(write=write), clock=clock))
    assert isinstance(once.process(reference_to(csr), datetime.now(UTC)), Issued)
    assert recorder.events(csr["metadata"]["uid"]) == ["intent", "abandoned", "intent", "issued"]
    assert [line["kms_attempts"] for line in recorder.lines if "kms_attempts" in line] == [0, 1]


def test_after_slow_approvals_the_next_event_issues(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, recorder: Recorder
) -> None:
    """Two slow calls in a row end this event only; the CSR is Approved by then."""
    csr, clock = file_csr(), Clock()

    def meanwhile() -> None:
        clock.now += FRESH_SECONDS + 0.1

    once = slowed(slowed(pipeline, clock, "public_key", meanwhile), clock, "approve", meanwhile)
    outcome = once.process(reference_to(csr), datetime.now(UTC))
    assert outcome == Deferred(reason="conflict", retry_after=1)
    assert recorder.events(csr["metadata"]["uid"]) == ["deferred"]
    assert isinstance(pipeline.process(reference_to(csr), datetime.now(UTC)), Issued)


def test_a_signer_without_the_right_to_approve_delays_no_other(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, cluster: Blocking[KubernetesCluster]
) -> None:
    """This also applies to refusals: only this signer lacks the right."""
    csr = file_csr(environment={"dns_names": ("evil.example.com",)})
    nothing = Probes(allows=lambda _: False)
    (one,) = pipeline.signers.values()
    several = {**pipeline.signers, ("demo", "csr-signer.example.com/other"): one}
    with answering(403, FORBIDDEN, probes=nothing) as (refusing, _):
        clusters: Any = {"demo": _Denying(cluster.target, refusing.target)}
        for signers, error in ((pipeline.signers, ConfigurationError), (several, ItemError)):
            denying = Blocking(replace(pipeline.target, clusters=clusters, signers=signers))
            with pytest.raises(error, match="must have the right to patch"):
                denying.process(reference_to(csr), datetime.now(UTC))


class _Denying:
    """The real cluster, whose denials go to another."""

    def __init__(self, cluster: KubernetesCluster, other: KubernetesCluster) -> None:
        self._cluster = cluster
        self.deny = other.deny

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


RSA = {"key_algorithm": "RSAWithSize2048", "signature_algorithm": "SHA256WithRSA"}


class _Deciding:
    """The real decision; it notes its thread, and blocks for one CSR until the test releases it.

    Attributes:
        threads: the thread of each decision by the CSR's uid.
        began: set when the decision about the one CSR begins.
        released: the test sets it, and the decision continues.
    """

    def __init__(self, slow: dict[str, Any]) -> None:
        self.threads: dict[str, int] = {}
        self.began = threading.Event()
        self.released = threading.Event()
        self._slow = slow["metadata"]["uid"]

    def __call__(self, *, csr: CertificateSigningRequest, **arguments: Any) -> Decision:
        """Decides."""
        self.threads[csr.uid] = threading.get_ident()
        if csr.uid == self._slow:
            self.began.set()
            self.released.wait(30)
        return decide(csr=csr, **arguments)


def test_a_slow_check_of_an_rsa_key_delays_no_other_request(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline judges an RSA key in a separate thread, and issues other certificates meanwhile.

    It judges an EC key in the event loop's thread.
    """
    slow, other = file_csr(environment=RSA), file_csr()
    deciding = _Deciding(slow)
    monkeypatch.setattr("csr_signer.pipeline.decide", deciding)
    request = Running(pipeline.target.process(reference_to(slow), datetime.now(UTC)))
    deciding.began.wait(30)
    assert isinstance(pipeline.process(reference_to(other), datetime.now(UTC)), Issued)
    assert not request.done
    deciding.released.set()
    assert request.failure() is None
    assert deciding.threads[other["metadata"]["uid"]] == run(_thread())
    assert deciding.threads[slow["metadata"]["uid"]] != run(_thread())


async def _thread() -> int:
    """Returns the event loop's thread."""
    return threading.get_ident()
