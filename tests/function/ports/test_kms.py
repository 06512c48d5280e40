"""The key: what is asked of KMS, what is believed of its answers, and how long that may take."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google.auth.exceptions
import google_crc32c
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.api_core import exceptions
from google.cloud.kms_v1 import KeyManagementServiceClient
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, Help, QuotaFailure

from csr_signer import kms, kms_status
from csr_signer.algorithm import EVERY_ALGORITHM, SIGNATURE_ALGORITHMS, SignatureAlgorithm, verifies
from csr_signer.errors import ConfigurationError, IntegrityError, QuotaError, SignerError, UnavailableError
from csr_signer.kms import CloudKmsKey
from csr_signer.lint import TBSCertificate
from sandbox.kms import Corruption, Fault, KmsServer
from sandbox.kms.client import create_signing_key

PUBLIC_KEY, SIGN = "GetPublicKey", "AsymmetricSign"
P256 = SIGNATURE_ALGORITHMS["EC_SIGN_P256_SHA256"]
ROUNDING = 0.1
"""Seconds: gRPC sends a deadline in coarse units."""
TBS = TBSCertificate(der=b"bytes that were cleared", serial_number=1, purpose="csr-uid=u-1")


@pytest.fixture
def faults(kms_server: KmsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsServer]:
    """KMS's double, whose faults end with the test; between two attempts is hardly a pause."""
    monkeypatch.setattr(kms, "FIRST_PAUSE", 0.001)
    yield kms_server
    kms_server.faults.clear()
    kms_server.faults.release()


@pytest.fixture
def key(kms_client: KeyManagementServiceClient, key_version: str) -> CloudKmsKey:
    """A key that nothing is known of yet."""
    return CloudKmsKey(client=kms_client, key_version=key_version, protection_level="HSM")


def test_the_public_key_is_asked_for_once(key: CloudKmsKey, kms_server: KmsServer, key_version: str) -> None:
    """GetPublicKey counts as a cryptographic request: one per process."""
    before = len(kms_server.audit.records(PUBLIC_KEY))
    assert key.public_key() is key.public_key()
    assert key.public_key().algorithm == "EC_SIGN_P256_SHA256"
    assert key.public_key().protection_level == "HSM"
    (record,) = kms_server.audit.records(PUBLIC_KEY)[before:]
    assert record.resource == key_version


WRONG = {
    "a wrong checksum": (Fault(method=PUBLIC_KEY, corruption=Corruption.PEM_CRC32C, times=2), IntegrityError),
    "no checksum": (Fault(method=PUBLIC_KEY, corruption=Corruption.NO_PEM_CRC32C, times=2), IntegrityError),
    "another name": (Fault(method=PUBLIC_KEY, corruption=Corruption.NAME, times=2), IntegrityError),
    "quota": (Fault(method=PUBLIC_KEY, status="RESOURCE_EXHAUSTED"), QuotaError),
    "permission": (Fault(method=PUBLIC_KEY, status="PERMISSION_DENIED"), ConfigurationError),
    "absence": (Fault(method=PUBLIC_KEY, status="NOT_FOUND"), ConfigurationError),
    "no identity": (Fault(method=PUBLIC_KEY, status="UNAUTHENTICATED"), ConfigurationError),
    "an algorithm that is not its key's": (
        Fault(method=PUBLIC_KEY, corruption=Corruption.ALGORITHM, times=2),
        IntegrityError,
    ),
}


@pytest.mark.parametrize(("fault", "error"), WRONG.values(), ids=WRONG)
def test_a_public_key_that_cannot_be_had_is_no_key(
    key: CloudKmsKey, faults: KmsServer, key_version: str, fault: Fault, error: type[SignerError]
) -> None:
    """The message names the key version, nothing is kept, and the next question may succeed."""
    faults.faults.add(fault)
    with pytest.raises(error, match=key_version.rpartition("/")[2]) as caught:
        key.public_key()
    assert key_version in str(caught.value)
    assert key.public_key().pem


@pytest.mark.parametrize("status", ["UNAVAILABLE", "INTERNAL", "ABORTED", "CANCELLED", "UNKNOWN", "DATA_LOSS"])
def test_what_may_pass_is_asked_again(key: CloudKmsKey, faults: KmsServer, status: str) -> None:
    """None of these is anybody's fault."""
    faults.faults.add(Fault(method=PUBLIC_KEY, status=status))
    assert key.public_key().pem


def test_a_kms_that_hangs_is_given_up_by_all_at_once(
    key: CloudKmsKey, faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads that want the same key wait for one budget, not for eight one after the other."""
    monkeypatch.setattr(kms, "ATTEMPT_SECONDS", 0.2)
    monkeypatch.setattr(kms, "OVERALL_SECONDS", 0.5)
    before = len(faults.audit.records(PUBLIC_KEY))
    faults.faults.add(Fault(method=PUBLIC_KEY, hang=True, times=0))
    with ThreadPoolExecutor(8) as executor:
        futures = [executor.submit(key.public_key) for _ in range(8)]
        failures = [future.exception(30) for future in futures]
    assert {type(failure) for failure in failures} == {UnavailableError}
    faults.faults.clear()
    faults.faults.release()
    assert key.public_key().pem
    assert len(faults.audit.records(PUBLIC_KEY)) - before <= 8


def test_no_proxy_from_the_environment(
    kms_server: KmsServer, key_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy variable sends neither digest nor token elsewhere."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with kms.connect(endpoint=None, unsafe_plaintext_endpoint=kms_server.endpoint) as client:
        assert CloudKmsKey(client=client, key_version=key_version, protection_level="HSM").public_key().pem


def test_without_credentials_the_operator_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials are found where the environment says that they are: told at the first request, not at import."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(ConfigurationError, match="Cloud KMS: no credentials"):
        kms.connect(endpoint=None, unsafe_plaintext_endpoint=None)


@pytest.mark.parametrize("endpoint", [None, "europe-west1-kms.googleapis.com"])
def test_the_endpoint_is_googles_unless_another_is_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str | None
) -> None:
    """TLS to the public endpoint, or to the regional one that the configuration names."""
    path = tmp_path / "credentials.json"
    path.write_text(
        '{"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}', encoding="utf-8"
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with kms.connect(endpoint=endpoint, unsafe_plaintext_endpoint=None) as client:
        assert client.transport.host == f"{endpoint or 'cloudkms.googleapis.com'}:443"


MadeKeys = Callable[[SignatureAlgorithm], CloudKmsKey]


@pytest.fixture(scope="session")
def made_keys(kms_client: KeyManagementServiceClient) -> MadeKeys:
    """A key of each algorithm, at protection level HSM."""
    made: dict[str, CloudKmsKey] = {}

    def key(algorithm: SignatureAlgorithm) -> CloudKmsKey:
        name = algorithm.name
        if name not in made:
            version = create_signing_key(kms_client, name, key=f"every-{name}", key_ring="every-algorithm")
            made[name] = CloudKmsKey(client=kms_client, key_version=version, protection_level="HSM")
        return made[name]

    return key


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM, ids=lambda each: f"{each.name}-{each.digest.name}")
def test_every_algorithm_signs_through_the_real_client(
    made_keys: MadeKeys, kms_server: KmsServer, algorithm: SignatureAlgorithm
) -> None:
    """The digest goes to KMS, never what was hashed; a raw key gets a DigestInfo; each with its checksum and reason."""
    key = made_keys(algorithm)
    before = len(kms_server.audit.records(SIGN))
    signature = key.sign(TBS, algorithm)
    (record,) = kms_server.audit.records(SIGN)[before:]
    digest = hashlib.new(algorithm.digest.name, TBS.der).hexdigest()
    public_key = load_pem_public_key(key.public_key().pem)
    assert verifies(public_key, algorithm, signature=signature.value, data=TBS.der)
    assert (signature.attempts, key.public_key().algorithm) == (1, algorithm.name)
    assert record.reason == f"csr-uid=u-1;tbs-sha256={TBS.sha256}"
    assert record.resource == key.key_version
    assert record.deadline is not None
    assert record.deadline <= kms.ATTEMPT_SECONDS + ROUNDING
    if algorithm.raw:
        assert (record.digest, record.data[-len(digest) :], len(record.data) - len(digest)) == ("", digest, 38)
    else:
        assert (record.digest, record.data) == (digest, "")


def test_another_hash_than_the_key_versions_is_refused_by_kms(made_keys: MadeKeys) -> None:
    """What `confirm` would never give: KMS's word that the digest is of another kind is the operator's to hear."""
    with pytest.raises(ConfigurationError, match="INVALID_ARGUMENT"):
        made_keys(P256).sign(TBS, SIGNATURE_ALGORITHMS["EC_SIGN_P384_SHA384"])


WRONG_SIGNATURES = {
    Corruption.SIGNATURE: r"signature_crc32c: got \d+, expected \d+",
    Corruption.SIGNATURE_CRC32C: r"signature_crc32c: got \d+, expected \d+",
    Corruption.NO_SIGNATURE_CRC32C: r"signature_crc32c: got None, expected \d+",
    Corruption.EMPTY_SIGNATURE: r"signature: got 0 bytes of SHA-256 e3b0c4",
    Corruption.FOREIGN_SIGNATURE: r"signature: got \d+ bytes of SHA-256 [0-9a-f]{64}, expected one that verifies",
    Corruption.NAME: r"name: got 'projects/.*cryptoKeyVersions/2', expected projects/.*cryptoKeyVersions/1",
    Corruption.PROTECTION_LEVEL: r"protection level: got SOFTWARE, expected at least HSM",
    Corruption.REQUEST: r"it refuses a checksum that is right: 'The checksum in field \w+_crc32c did not match",
}


@pytest.mark.parametrize("algorithm", [P256, EVERY_ALGORITHM[0], EVERY_ALGORITHM[7]], ids=["EC", "RSA", "raw"])
@pytest.mark.parametrize("corruption", WRONG_SIGNATURES)
def test_a_wrong_answer_is_asked_for_once_more(
    made_keys: MadeKeys, faults: KmsServer, corruption: Corruption, algorithm: SignatureAlgorithm
) -> None:
    """Once: the second answer is used. Twice: nothing is, and the message says which check got what."""
    key = made_keys(algorithm)
    faults.faults.add(Fault(method=SIGN, corruption=corruption))
    assert key.sign(TBS, algorithm).attempts == 2
    before = len(faults.audit.records(SIGN))
    faults.faults.add(Fault(method=SIGN, corruption=corruption, times=2))
    with pytest.raises(IntegrityError, match=WRONG_SIGNATURES[corruption]) as caught:
        key.sign(TBS, algorithm)
    assert str(caught.value).startswith(f"key version {key.key_version}: wrong answer of KMS: ")
    assert (caught.value.status, caught.value.severity) == (503, "ERROR")
    assert len(faults.audit.records(SIGN)) == before + 2
    assert key.sign(TBS, algorithm).attempts == 1


@pytest.mark.parametrize(
    ("algorithm", "field"), [(P256, "verified_digest_crc32c"), (EVERY_ALGORITHM[7], "verified_data_crc32c")]
)
def test_a_checksum_that_kms_did_not_see_is_a_wrong_answer(
    made_keys: MadeKeys, faults: KmsServer, algorithm: SignatureAlgorithm, field: str
) -> None:
    """For a digest and for a raw key's data alike."""
    faults.faults.add(Fault(method=SIGN, corruption=Corruption.UNVERIFIED_CRC32C, times=2))
    with pytest.raises(IntegrityError, match=f"{field}: got false, expected true"):
        made_keys(algorithm).sign(TBS, algorithm)


def test_different_wrong_answers_add_up(made_keys: MadeKeys, faults: KmsServer) -> None:
    """Two are two, whatever each is: the second is not excused by being of another kind."""
    faults.faults.add(Fault(method=SIGN, corruption=Corruption.REQUEST))
    faults.faults.add(Fault(method=SIGN, corruption=Corruption.NAME))
    with pytest.raises(IntegrityError, match="name: got"):
        made_keys(P256).sign(TBS, P256)


def test_the_checksums_that_are_sent_are_castagnolis() -> None:
    """The library's function is CRC32C: the check value of the algorithm's catalogue."""
    assert google_crc32c.value(b"123456789") == 0xE3069283


@pytest.mark.parametrize(
    ("status", "most"), [("INTERNAL", 3), ("UNKNOWN", 3), ("DATA_LOSS", 3), ("ABORTED", 2), ("UNIMPLEMENTED", 1)]
)
def test_a_server_that_stays_wrong_is_given_up_early(
    made_keys: MadeKeys, faults: KmsServer, monkeypatch: pytest.MonkeyPatch, status: str, most: int
) -> None:
    """A mistake of the server's own is given a few tries, what it does not know none."""
    monkeypatch.setattr(kms, "FIRST_PAUSE", 0.001)
    before = len(faults.audit.records(SIGN))
    faults.faults.add(Fault(method=SIGN, status=status, times=0))
    with pytest.raises((UnavailableError, ConfigurationError), match=status):
        made_keys(P256).sign(TBS, P256)
    assert len(faults.audit.records(SIGN)) == before + most


@pytest.mark.parametrize(("status", "kind"), [("RESOURCE_EXHAUSTED", QuotaError), ("ABORTED", UnavailableError)])
def test_the_pause_that_kms_names_is_handed_on(
    made_keys: MadeKeys, faults: KmsServer, status: str, kind: type[SignerError]
) -> None:
    """RetryInfo of the status's details becomes Retry-After; without one it is ours."""
    for delay, seconds in ((7.2, 8), (1e6, kms_status.LONGEST_RETRY_AFTER), (None, kind.retry_after)):
        faults.faults.add(
            Fault(method=SIGN, status=status, retry_delay=delay, times=kms_status.ATTEMPTS.get(status, 1))
        )
        with pytest.raises(kind) as caught:
            made_keys(P256).sign(TBS, P256)
        assert caught.value.retry_after == seconds


def test_reasons_in_the_details_are_read(made_keys: MadeKeys, faults: KmsServer) -> None:
    """An ErrorInfo tells an API that is not enabled from a permission that is missing."""
    faults.faults.add(Fault(method=SIGN, status="PERMISSION_DENIED", message="no", reason="SERVICE_DISABLED"))
    with pytest.raises(ConfigurationError, match=r"the API cloudkms\.googleapis\.com is not enabled"):
        made_keys(P256).sign(TBS, P256)


def test_a_public_key_of_another_key_is_not_kept(
    kms_client: KeyManagementServiceClient, key_version: str, faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Well-formed, with a right checksum, and wrong: until something is signed with it, it is asked for again."""
    monkeypatch.setattr(kms, "RECHECK_SECONDS", 0.0)
    key = CloudKmsKey(client=kms_client, key_version=key_version, protection_level="HSM")
    faults.faults.add(Fault(method=PUBLIC_KEY, corruption=Corruption.FOREIGN_PUBLIC_KEY))
    foreign = key.public_key().pem
    assert key.public_key().pem != foreign
    key.sign(TBS, P256)
    before = len(faults.audit.records(PUBLIC_KEY))
    assert key.public_key() is key.public_key()
    assert len(faults.audit.records(PUBLIC_KEY)) == before


class _StaleThenFresh:
    """An age limit that a key is over at the first look and under at the second."""

    def __init__(self) -> None:
        self._looks = iter([False, True])

    def __gt__(self, _: object) -> bool:
        return next(self._looks)


def test_a_thread_that_comes_just_after_a_fetch_takes_its_key(
    key: CloudKmsKey, kms_server: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw no key, but by its turn there is one: KMS is not asked again."""
    first = key.public_key()
    before = len(kms_server.audit.records(PUBLIC_KEY))
    monkeypatch.setattr(kms, "RECHECK_SECONDS", _StaleThenFresh())
    assert key.public_key() is first
    assert len(kms_server.audit.records(PUBLIC_KEY)) == before


def test_an_unconfirmed_public_key_is_kept_for_some_seconds(key: CloudKmsKey, faults: KmsServer) -> None:
    """A wrong configuration must not turn every request into one to KMS."""
    faults.faults.add(Fault(method=PUBLIC_KEY, corruption=Corruption.FOREIGN_PUBLIC_KEY))
    assert key.public_key() is key.public_key()


def test_a_public_key_that_is_none_signs_nothing(
    made_keys: MadeKeys, kms_client: KeyManagementServiceClient, key_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS's own signature is not believed where there is nothing to verify it with."""
    key = CloudKmsKey(client=kms_client, key_version=key_version, protection_level="HSM")
    honest = kms_client.get_public_key(name=key_version)
    honest.pem = "garbage"
    honest.pem_crc32c = google_crc32c.value(b"garbage")
    monkeypatch.setattr(kms_client, "get_public_key", lambda **_: honest)
    assert key.public_key().pem == b"garbage"
    with pytest.raises(IntegrityError, match="signature: got"):
        key.sign(TBS, P256)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (google.auth.exceptions.RefreshError("no metadata server"), ConfigurationError),
        (exceptions.GoogleAPICallError("something without a code"), UnavailableError),
        (
            exceptions.ResourceExhausted("slowly", details=[QuotaFailure(violations=[QuotaFailure.Violation()])]),
            QuotaError,
        ),
        (exceptions.PermissionDenied("no", details=[Help(), ErrorInfo(reason="x"), BadRequest()]), ConfigurationError),
    ],
    ids=["credentials that cannot be refreshed", "an error without a code", "a quota", "details of every kind"],
)
def test_what_the_library_raises_by_itself_is_a_fault_too(
    key: CloudKmsKey,
    kms_client: KeyManagementServiceClient,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kind: type[SignerError],
) -> None:
    """Nothing else leaves the module."""

    def broken(**_: object) -> None:
        raise error

    monkeypatch.setattr(kms, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(kms_client, "get_public_key", broken)
    with pytest.raises(kind, match=key.key_version):
        key.public_key()


def test_a_kms_that_hangs_or_fails_is_given_up_within_the_budget(
    made_keys: MadeKeys, faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attempt has a deadline, all together one, and none is begun that could not be waited for."""
    monkeypatch.setattr(kms, "ATTEMPT_SECONDS", 0.2)
    monkeypatch.setattr(kms, "OVERALL_SECONDS", 0.5)
    before = len(faults.audit.records(SIGN))
    faults.faults.add(Fault(method=SIGN, hang=True, times=0))
    with pytest.raises(UnavailableError, match="KMS does not answer: DEADLINE_EXCEEDED"):
        made_keys(P256).sign(TBS, P256)
    faults.faults.clear()
    faults.faults.release()
    made_keys(P256).sign(TBS, P256)
    deadlines = [record.deadline for record in faults.audit.records(SIGN)[before:]]
    assert len(deadlines) >= 2
    assert all(deadline is not None and deadline <= 0.2 + ROUNDING for deadline in deadlines)


class _Clock:
    """Time that passes only where something waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Waits."""
        self.now += seconds


def test_the_last_attempt_has_only_what_is_left(
    key: CloudKmsKey, kms_client: KeyManagementServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However KMS spends it: the time of all attempts and pauses together is the budget, far below a pod's 90 s."""
    clock, timeouts, slow = _Clock(), [], iter([2.0, 2.0, 2.8])

    def hang(*, timeout: float, **_: object) -> None:
        timeouts.append(timeout)
        clock.now += min(timeout, next(slow, 60.0))
        raise exceptions.DeadlineExceeded("too late")

    monkeypatch.setattr(kms, "time", clock)
    monkeypatch.setattr(kms_client, "get_public_key", hang)
    with pytest.raises(UnavailableError):
        key.public_key()
    assert clock.now - 1000 <= kms.OVERALL_SECONDS < 90 / 4
    assert timeouts[0] == kms.ATTEMPT_SECONDS == max(timeouts)
    assert 0 < timeouts[-1] < kms.ATTEMPT_SECONDS
