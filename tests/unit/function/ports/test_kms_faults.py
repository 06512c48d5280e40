"""Every fault of Cloud KMS as the exporter and the operator see it: HTTP answer, log lines, CSR, and the way back."""

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyManagementServiceClient, KeyRing

from csr_signer import der
from csr_signer.audit import Audit
from csr_signer.ca import issuer
from csr_signer.ca.algorithm import EVERY_ALGORITHM, SIGNATURE_HASHES, SignatureAlgorithm
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.errors import UnavailableError
from csr_signer.kms import key as kms_key
from csr_signer.kms.status import ATTEMPTS
from csr_signer.service import CONFIGURATION, OnceADay, Service
from sandbox.api import Api, csr_path
from sandbox.kms import Corruption, Fault, KmsServer
from sandbox.kms.client import connect, create_signing_key
from sandbox.kms.faults import KEY_GENERATION
from sandbox.kms.iam import ANONYMOUS
from signerctl.command_line import main as signerctl
from tests.unit.function.asgi import json_of
from tests.unit.function.ports.blocking import Blocking, run
from tests.unit.function.ports.conftest import FileCsr, Recorder, conditions
from tests.unit.function.ports.test_service import event, post

PUBLIC_KEY, SIGN = "GetPublicKey", "AsymmetricSign"
CODES = [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.fixture
def faulty(kms_server: KmsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsServer]:
    """KMS's double, whose faults end with the test; the function's patience with it is short."""
    monkeypatch.setattr(kms_key, "ATTEMPT_SECONDS", 2.0)
    monkeypatch.setattr(kms_key, "OVERALL_SECONDS", 4.0)
    monkeypatch.setattr(kms_key, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(kms_key, "RECHECK_SECONDS", 0.0)
    yield kms_server
    kms_server.faults.clear()
    kms_server.faults.release()
    kms_server.iam.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A function that serves one issuer, and what is seen of it."""

    service: Blocking[Service]
    recorder: Recorder
    admin: Api
    file_csr: FileCsr

    def ask(self, csr: dict[str, Any]) -> tuple[int, str, str | None, list[dict[str, Any]]]:
        """Status, reason, Retry-After and new log lines of one event."""
        before = len(self.recorder.lines)
        answer = self.service.respond(post(event(csr)))
        body = json_of(answer)
        return answer.status_code, body["reason"], answer.headers.get("Retry-After"), self.recorder.lines[before:]

    def stored(self, csr: dict[str, Any]) -> dict[str, Any]:
        """The CSR as the API server has it now."""
        return self.admin.get(csr_path(csr["metadata"]["name"]))

    def assert_untouched(self, csr: dict[str, Any]) -> None:
        """No certificate, no denial, no failure; an approval may be there already."""
        now = self.stored(csr)
        assert "certificate" not in now["status"]
        assert set(conditions(now)) <= {"Approved"}

    def assert_recovers(self, csr: dict[str, Any]) -> None:
        """The next event issues what the first had failed to."""
        status, _, _, lines = self.ask(csr)
        assert (status, lines[-1]["event"]) == (200, "issued")
        leaf = x509.load_pem_x509_certificate(base64.b64decode(self.stored(csr)["status"]["certificate"]))
        assert der.hexadecimal(leaf.serial_number) == lines[-1]["serial_number"]

    def assert_abandoned(self, lines: list[dict[str, Any]], kind: str) -> None:
        """An intent that came to nothing is accounted for by its hash, and then the fault is told."""
        intent, abandoned, fault = lines
        assert [line["event"] for line in lines] == ["intent", "abandoned", "fault"]
        assert intent["tbs_sha256"] == abandoned["tbs_sha256"]
        assert abandoned["fault"] == fault["fault"] == kind
        assert intent["csr_uid"] == abandoned["csr_uid"] == fault["csr_uid"]


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(
    write_configuration: Callable[..., Path],
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    admin: Api,
    file_csr: FileCsr,
) -> MakeStage:
    """A stage for a configuration; arguments change its one signer, `endpoint` where KMS is."""

    def make(*, endpoint: str | None = None, **signer: Any) -> Stage:
        path = write_configuration(**signer)
        if endpoint is not None:
            document = json.loads(path.read_text()) | {"kms": {"unsafe_plaintext_endpoint": endpoint}}
            path.write_text(json.dumps(document))
        monkeypatch.setenv(CONFIGURATION, str(path))
        service = Blocking(Service(Audit(write=recorder.write)))
        return Stage(service=service, recorder=recorder, admin=admin, file_csr=file_csr)

    return make


MakeIssuer = Callable[..., dict[str, Any]]


@pytest.fixture
def make_issuer(kms_server: KmsServer, kms_client: KeyManagementServiceClient, tmp_path: Path) -> MakeIssuer:
    """The configuration's issuer of a key and a root of the test's own, made as an operator makes them."""

    def make(name: str, algorithm: str = "EC_SIGN_P256_SHA256", signature_hash: str | None = None) -> dict[str, Any]:
        version = create_signing_key(kms_client, algorithm, key=f"{tmp_path.name[:40]}-{name}")
        path = tmp_path / f"{name}.pem"
        arguments = ["ca", "create", "--key-version", version, "--common-name", name, "--out", str(path)]
        arguments += ["--unsafe-plaintext-kms-endpoint", kms_server.endpoint]
        arguments += ["--signature-hash", signature_hash] if signature_hash else []
        signerctl.main(arguments, standalone_mode=False)
        made = {"key_version": version, "certificate": str(path), "trust_bundle": str(path)}
        return made | ({"signature_hash": signature_hash} if signature_hash else {})

    return make


def answers(code: str) -> tuple[int, str, str, str]:
    """HTTP status, reason, severity and Retry-After of a gRPC status without details."""
    if code in ATTEMPTS:
        return 503, "UnavailableError", "WARNING", "2"
    if code == "RESOURCE_EXHAUSTED":
        return 429, "QuotaError", "WARNING", "5"
    return 503, "ConfigurationError", "ERROR", "30"


@pytest.mark.parametrize("method", [PUBLIC_KEY, SIGN])
@pytest.mark.parametrize("code", CODES)
def test_every_grpc_status_has_its_answer_and_its_end(
    make_stage: MakeStage,
    faulty: KmsServer,
    key_version: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    code: str,
    method: str,
) -> None:
    """No certificate while it lasts; quota slows the exporter, the rest pauses it; the operator's part is ERROR."""
    stage = make_stage()
    csr = stage.file_csr()
    faulty.faults.add(Fault(method=method, status=code, times=0))
    with monkeypatch.context() as patience:
        patience.setattr(kms_key, "OVERALL_SECONDS", 2.0)
        status, reason, retry_after, lines = stage.ask(csr)
    severity = answers(code)[2]
    assert (status, reason, severity, retry_after) == answers(code)
    assert lines[-1]["event"] == "fault"
    assert (lines[-1]["severity"], lines[-1]["fault"], lines[-1]["status"]) == (severity, reason, status)
    assert lines[-1]["message"].startswith(f"key version {key_version}: ")
    assert code in lines[-1]["message"]
    if method == SIGN:
        stage.assert_abandoned(lines, reason)
    stage.assert_untouched(csr)
    faulty.faults.clear()
    stage.assert_recovers(csr)


SPOILT = [
    *[(SIGN, corruption) for corruption in Corruption if corruption.value not in (
        "pem_crc32c", "no_pem_crc32c", "foreign_public_key", "algorithm"
    )],
    *[(PUBLIC_KEY, Corruption(value)) for value in (
        "name", "pem_crc32c", "no_pem_crc32c", "algorithm"
    )],
]  # fmt: skip


@pytest.mark.parametrize(("method", "corruption"), SPOILT, ids=lambda each: getattr(each, "value", each))
def test_every_wrong_answer_is_an_error_and_never_a_certificate(
    make_stage: MakeStage, faulty: KmsServer, key_version: str, method: str, corruption: Corruption
) -> None:
    """Twice wrong: 503, one ERROR line with the key version and what did not hold, and nothing of it used."""
    stage = make_stage()
    csr = stage.file_csr()
    faulty.faults.add(Fault(method=method, corruption=corruption, times=0))
    before = len(faulty.audit.records(method))
    status, reason, _, lines = stage.ask(csr)
    assert (status, reason) == (503, "IntegrityError")
    assert (lines[-1]["event"], lines[-1]["severity"]) == ("fault", "ERROR")
    assert lines[-1]["message"].startswith(f"key version {key_version}: wrong answer from KMS: ")
    assert len(faulty.audit.records(method)) == before + 2
    if method == SIGN:
        stage.assert_abandoned(lines, reason)
        assert all(record.reason.endswith(lines[0]["tbs_sha256"]) for record in faulty.audit.records(SIGN)[before:])
    stage.assert_untouched(csr)
    faulty.faults.clear()
    stage.assert_recovers(csr)


@pytest.mark.parametrize("corruption", [Corruption.FOREIGN_PUBLIC_KEY, Corruption.PROTECTION_LEVEL])
def test_a_public_key_that_may_be_right_but_is_not_the_cas_is_the_operators(
    make_stage: MakeStage, faulty: KmsServer, corruption: Corruption
) -> None:
    """Another key's certificate, or a weaker key: nothing is approved, and what is right later is taken."""
    stage = make_stage()
    csr = stage.file_csr()
    faulty.faults.add(Fault(method=PUBLIC_KEY, corruption=corruption, times=0))
    status, reason, _, lines = stage.ask(csr)
    assert (status, reason) == (503, "ConfigurationError")
    assert [line["event"] for line in lines] == ["fault"]
    assert stage.stored(csr) == csr
    faulty.faults.clear()
    stage.assert_recovers(csr)


@pytest.mark.parametrize("fault", [Fault(hang=True, times=0), Fault(delay=0.5, times=0)], ids=["hangs", "is slow"])
@pytest.mark.parametrize("method", [PUBLIC_KEY, SIGN])
def test_a_kms_that_does_not_answer_in_time_pauses_the_exporter(
    make_stage: MakeStage, faulty: KmsServer, monkeypatch: pytest.MonkeyPatch, method: str, fault: Fault
) -> None:
    """503 within the budget, whatever KMS does; when it answers again the CSR is issued."""
    stage = make_stage()
    csr = stage.file_csr()
    faulty.faults.add(Fault(method=method, hang=fault.hang, delay=fault.delay, times=0))
    with monkeypatch.context() as patience:
        patience.setattr(kms_key, "ATTEMPT_SECONDS", 0.3)
        patience.setattr(kms_key, "OVERALL_SECONDS", 0.6)
        status, reason, retry_after, lines = stage.ask(csr)
    assert (status, reason, retry_after) == (503, "UnavailableError", "2")
    assert "DEADLINE_EXCEEDED" in lines[-1]["message"]
    stage.assert_untouched(csr)
    faulty.faults.clear()
    faulty.faults.release()
    stage.assert_recovers(csr)


def test_one_wrong_public_key_during_an_approval_costs_nothing(make_stage: MakeStage, faulty: KmsServer) -> None:
    """What was confirmed is what is signed with: a later answer of GetPublicKey does not stop the process for good."""
    stage = make_stage()
    faulty.faults.add(Fault(method=PUBLIC_KEY))  # the first passes
    faulty.faults.add(Fault(method=PUBLIC_KEY, corruption=Corruption.FOREIGN_PUBLIC_KEY, times=0))
    for _ in range(2):
        stage.assert_recovers(stage.file_csr())


def test_a_signature_that_could_not_be_written_is_counted(
    make_stage: MakeStage, faulty: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS signed twice, the API server failed: the record says how often the key was used."""

    async def unavailable(*_: object) -> None:
        raise UnavailableError("the API server does not answer")

    stage = make_stage()
    csr = stage.file_csr()
    faulty.faults.add(Fault(method=SIGN, corruption=Corruption.SIGNATURE))
    with monkeypatch.context() as broken:
        broken.setattr(KubernetesCluster, "write_certificate", unavailable)
        *_, lines = stage.ask(csr)
    stage.assert_abandoned(lines, "UnavailableError")
    assert lines[1]["kms_attempts"] == 2
    stage.assert_recovers(csr)


def test_a_fault_of_ours_after_an_intent_is_accounted_for(
    make_stage: MakeStage, faulty: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends an intent, its record is an ERROR with the hash; KMS was not asked."""

    async def broken(*_: object) -> None:
        raise RuntimeError

    stage = make_stage()
    csr = stage.file_csr()
    with monkeypatch.context() as patched:
        patched.setattr(kms_key.CloudKmsKey, "sign", broken)
        *_, lines = stage.ask(csr)
    assert [line["event"] for line in lines] == ["intent", "abandoned", "fault"]
    assert (lines[1]["severity"], lines[1]["kms_attempts"], lines[1]["fault"]) == ("ERROR", 0, "RuntimeError")


def test_the_pause_that_kms_asks_for_reaches_the_exporter(make_stage: MakeStage, faulty: KmsServer) -> None:
    """RetryInfo of the quota becomes Retry-After."""
    stage = make_stage()
    csr = stage.file_csr()
    faulty.faults.add(Fault(method=SIGN, status="RESOURCE_EXHAUSTED", retry_delay=17.5))
    assert stage.ask(csr)[:3] == (429, "QuotaError", "18")
    stage.assert_recovers(csr)


@pytest.mark.parametrize(
    ("method", "roles", "missing"),
    [
        (PUBLIC_KEY, ["roles/cloudkms.signer"], "roles/cloudkms.publicKeyViewer"),
        (SIGN, ["roles/cloudkms.publicKeyViewer"], "roles/cloudkms.signer"),
        (PUBLIC_KEY, [], "roles/cloudkms.publicKeyViewer"),
        (PUBLIC_KEY, ["roles/cloudkms.admin"], "roles/cloudkms.publicKeyViewer"),
    ],
)
def test_a_role_that_is_missing_is_named(
    make_stage: MakeStage, faulty: KmsServer, method: str, roles: list[str], missing: str
) -> None:
    """The message tells which one to grant; once it has arrived, the function works without a restart."""
    stage = make_stage()
    csr = stage.file_csr()
    faulty.iam.restrict(ANONYMOUS, roles)
    status, reason, _, lines = stage.ask(csr)
    assert (status, reason, lines[-1]["severity"]) == (503, "ConfigurationError", "ERROR")
    assert f"grant {missing} on the key" in lines[-1]["message"]
    assert (len(lines) == 3) == (method == SIGN)
    stage.assert_untouched(csr)
    faulty.iam.restrict(ANONYMOUS, [missing, "roles/cloudkms.signer"])
    stage.assert_recovers(csr)


def test_a_role_on_another_key_does_not_count(make_stage: MakeStage, faulty: KmsServer, key_version: str) -> None:
    """Roles are on the key: a role on its neighbour has no effect, and a role on the key suffices."""
    stage = make_stage()
    csr = stage.file_csr()
    key = key_version.rpartition("/cryptoKeyVersions/")[0]
    faulty.iam.restrict(ANONYMOUS, ["roles/cloudkms.signerVerifier"], resource=f"{key}-other")
    assert stage.ask(csr)[:2] == (503, "ConfigurationError")
    faulty.iam.restrict(ANONYMOUS, ["roles/cloudkms.signerVerifier"], resource=key)
    stage.assert_recovers(csr)


def test_a_raw_key_needs_a_role_of_its_own(make_stage: MakeStage, make_issuer: MakeIssuer, faulty: KmsServer) -> None:
    """Without it a raw key's use is refused, and the role is named."""
    stage = make_stage(issuer=make_issuer("raw", "RSA_SIGN_RAW_PKCS1_2048", "SHA384"))
    csr = stage.file_csr()
    faulty.iam.restrict(ANONYMOUS, ["roles/cloudkms.signerVerifier"])
    status, _, _, lines = stage.ask(csr)
    assert status == 503
    assert "grant roles/cloudkms.expertRawPKCS1 on the key" in lines[-1]["message"]
    faulty.iam.restrict(ANONYMOUS, ["roles/cloudkms.expertRawPKCS1"])
    stage.assert_recovers(csr)


def test_a_key_version_that_is_disabled_while_it_signs(
    make_stage: MakeStage, faulty: KmsServer, kms_client: KeyManagementServiceClient, key_version: str
) -> None:
    """The signature under way fails by the state's name; once enabled again, the approved CSR is issued."""
    stage = make_stage()
    csr = stage.file_csr()
    faulty.faults.add(Fault(method=SIGN, hang=True))
    kms_client.update_crypto_key_version(request=switch(key_version, "ENABLED"))
    try:
        with ThreadPoolExecutor(1) as executor:
            asked = executor.submit(stage.ask, csr)
            faulty.faults.wait_until_hanging(1)
            kms_client.update_crypto_key_version(request=switch(key_version, "DISABLED"))
            faulty.faults.release()
            status, reason, retry_after, lines = asked.result(30)
    finally:
        kms_client.update_crypto_key_version(request=switch(key_version, "ENABLED"))
    assert (status, reason, retry_after) == (503, "ConfigurationError", "30")
    assert "its state is DISABLED: enable it (gcloud kms keys versions enable)" in lines[-1]["message"]
    stage.assert_abandoned(lines, reason)
    assert set(conditions(stage.stored(csr))) == {"Approved"}
    stage.assert_recovers(csr)


@pytest.mark.parametrize("known", [False, True], ids=["at the first request", "after it has signed"])
def test_a_key_version_that_is_destroyed(
    make_stage: MakeStage,
    make_issuer: MakeIssuer,
    faulty: KmsServer,
    kms_client: KeyManagementServiceClient,
    *,
    known: bool,
) -> None:
    """There is no way back but another key version; until then nothing is issued and nobody denied."""
    made = make_issuer("doomed")
    stage = make_stage(issuer=made)
    if known:
        stage.assert_recovers(stage.file_csr())
    kms_client.destroy_crypto_key_version(name=made["key_version"])
    csr = stage.file_csr()
    status, reason, _, lines = stage.ask(csr)
    assert (status, reason, lines[-1]["severity"]) == (503, "ConfigurationError", "ERROR")
    assert "its state is DESTROY_SCHEDULED: restore it" in lines[-1]["message"]
    stage.assert_untouched(csr)
    make_stage(issuer=make_issuer("successor")).assert_recovers(csr)


def test_a_key_version_that_is_still_being_made(make_stage: MakeStage, faulty: KmsServer, key_version: str) -> None:
    """Time acts: 503 without an ERROR while a key is made; with the right KMS the same CSR is issued."""
    with KmsServer() as slow, connect(slow.endpoint) as client:
        slow.faults.add(Fault(method=KEY_GENERATION, hang=True))
        location, _, rest = key_version.partition("/keyRings/")
        ring, _, rest = rest.partition("/cryptoKeys/")
        client.create_key_ring(parent=location, key_ring_id=ring, key_ring=KeyRing())
        key = CryptoKey(purpose="ASYMMETRIC_SIGN", version_template={"algorithm": "EC_SIGN_P256_SHA256"})
        name = rest.partition("/")[0]
        client.create_crypto_key(parent=f"{location}/keyRings/{ring}", crypto_key_id=name, crypto_key=key)
        slow.faults.wait_until_hanging(1)
        stage = make_stage(endpoint=slow.endpoint)
        csr = stage.file_csr()
        status, reason, _, lines = stage.ask(csr)
        assert (status, reason, lines[-1]["severity"]) == (503, "UnavailableError", "WARNING")
        assert "KMS is still generating its key" in lines[-1]["message"]
        assert stage.stored(csr) == csr
        slow.faults.release()
    assert stage.ask(csr)[1] == "UnavailableError"
    make_stage().assert_recovers(csr)


def switch(name: str, state: str) -> dict[str, Any]:
    """The request that changes a version's state."""
    return {"crypto_key_version": CryptoKeyVersion(name=name, state=state), "update_mask": {"paths": ["state"]}}


NAMES = {digest: name for name, digest in SIGNATURE_HASHES.items()}


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM, ids=lambda each: f"{each.name}-{each.digest.name}")
def test_every_algorithm_issues(
    make_stage: MakeStage, make_issuer: MakeIssuer, faulty: KmsServer, algorithm: SignatureAlgorithm
) -> None:
    """From an operator's root on a key version of each algorithm to a certificate in the CSR that verifies under it."""
    made = make_issuer("root", algorithm.name, NAMES[algorithm.digest] if algorithm.raw else None)
    stage = make_stage(issuer=made)
    csr = stage.file_csr()
    stage.assert_recovers(csr)
    leaf = x509.load_pem_x509_certificate(base64.b64decode(stage.stored(csr)["status"]["certificate"]))
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(Path(made["certificate"]).read_bytes()))
    assert leaf.signature_algorithm_oid == algorithm.identifier
    assert isinstance(leaf.signature_hash_algorithm, algorithm.digest)


REFUSED = {
    "RSA_SIGN_PSS_2048_SHA256": "RSA_SIGN_PKCS1_2048_SHA256",
    "EC_SIGN_ED25519": "EC_SIGN_P256_SHA256",
}


@pytest.mark.parametrize("algorithm", REFUSED)
def test_an_algorithm_that_is_not_supported_is_refused_at_the_first_request(
    make_stage: MakeStage, kms_client: KeyManagementServiceClient, key_version: str, ca_file: Path, algorithm: str
) -> None:
    """By name and with what to use instead; the service itself starts, and nothing is approved."""
    version = create_signing_key(kms_client, algorithm, key=f"refused-{algorithm}")
    stage = make_stage(issuer={"key_version": version, "certificate": str(ca_file), "trust_bundle": str(ca_file)})
    csr = stage.file_csr()
    status, reason, _, lines = stage.ask(csr)
    assert (status, reason) == (503, "ConfigurationError")
    assert f"key version {version}: algorithm {algorithm} is not supported" in lines[-1]["message"]
    assert lines[-1]["message"].endswith(f"use a key version of {REFUSED[algorithm]}")
    assert stage.stored(csr) == csr


def test_the_end_of_a_ca_is_logged_once_a_day(
    make_stage: MakeStage, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line per signer and day for alerting to find, not one per request; a line that is lost is written again."""
    stage = make_stage(lifetime="300d")
    csr = stage.file_csr()
    asked: list[timedelta] = []

    def warnings(_: issuer.Issuer, now: datetime, *, lifetime: timedelta) -> tuple[issuer.Expiry, ...]:
        asked.append(lifetime)
        expiry = issuer.Expiry(severity="WARNING", message="CA 'CN=x' ends", certificate="CN=x", not_after=now)
        return (expiry,)

    monkeypatch.setattr(issuer, "warnings", warnings)
    stage.ask(csr)
    stage.ask(csr)
    (line,) = [line for line in recorder.lines if line["event"] == "issuer_expiry"]
    assert recorder.lines[0] == line
    assert (line["severity"], line["message"], line["csr_uid"], line["cluster"]) == (
        "WARNING",
        "CA 'CN=x' ends",
        "",
        "demo",
    )
    assert line["logging.googleapis.com/labels"]["event"] == "issuer_expiry"
    assert asked == [timedelta(days=300)]


def test_a_release_that_the_profile_does_not_know_is_logged_once_a_day(
    make_stage: MakeStage, recorder: Recorder
) -> None:
    """The function serves the cluster after its upgrade, and the first line names both releases."""
    stage = make_stage(profile={"name": "calico", "release": "3.34"})
    csr = stage.file_csr()
    assert [stage.ask(csr)[0], stage.ask(csr)[0]] == [200, 200]
    (line,) = [line for line in recorder.lines if line["event"] == "newer_release"]
    assert recorder.lines[0] == line
    assert (line["severity"], line["csr_uid"], line["cluster"]) == ("WARNING", "", "demo")
    assert line["message"].startswith('signers[0].profile.release: "3.34" is newer than "3.33"')


def test_failing_warnings_stop_no_request(
    make_stage: MakeStage, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function records an unexpected fault once a day, and serves every request."""

    def broken(*_: object, **__: object) -> tuple[issuer.Expiry, ...]:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(issuer, "warnings", broken)
    stage = make_stage()
    for _ in range(2):
        assert stage.ask(stage.file_csr())[0] == 200
    (line,) = [line for line in recorder.lines if line["event"] == "fault"]
    assert (line["severity"], line["csr_uid"]) == ("ERROR", "")
    assert line["message"].startswith("unexpected OverflowError at ")


def test_warnings_that_could_not_be_written_are_tried_again(
    make_stage: MakeStage, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once standard output takes lines again, with the next request of the day."""
    tried: list[datetime] = []

    async def broken(_: object, __: object, now: datetime) -> None:
        tried.append(now)
        raise UnavailableError("standard output takes no line")

    monkeypatch.setattr("csr_signer.service.record_expiries", broken)
    stage = make_stage()
    for _ in range(2):
        assert stage.ask(stage.file_csr())[0] == 200
    assert len(tried) == 2
    assert "fault" not in [line["event"] for line in recorder.lines]


def test_a_request_held_up_over_midnight_is_no_new_day() -> None:
    """Requests of two days that alternate do not repeat the warnings."""
    daily = OnceADay()
    done: list[int] = []

    async def note(day: int) -> None:
        done.append(day)

    for day in (14, 15, 14, 15):
        run(daily.run(date(2026, 3, day), partial(note, day)))
    assert done == [14, 15]


def test_a_daily_action_is_repeated_until_it_succeeds() -> None:
    """A failed record does not fail the request; the next request of the day writes it."""
    daily = OnceADay()
    done: list[str] = []
    first, second = date(2026, 3, 14), date(2026, 3, 15)

    async def broken() -> None:
        done.append("tried")
        raise UnavailableError("standard output has no reader")

    async def note(text: str) -> None:
        done.append(text)

    async def nested() -> None:
        await daily.run(first, partial(note, "meanwhile"))
        done.append("done")

    run(daily.run(first, broken))
    run(daily.run(first, nested))
    run(daily.run(first, nested))
    assert done == ["tried", "done"]
    run(daily.run(second, nested))
    assert done == ["tried", "done", "done"]


def test_a_long_valid_ca_causes_no_warning(make_stage: MakeStage, recorder: Recorder) -> None:
    """The CA is valid for ten more years."""
    stage = make_stage()
    stage.ask(stage.file_csr())
    assert "issuer_expiry" not in [line["event"] for line in recorder.lines]
