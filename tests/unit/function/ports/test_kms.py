"""The key: what is asked of KMS, what is believed of its answers, and how long that may take."""

import asyncio
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google.auth.credentials
import google.auth.exceptions
import google_crc32c
import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.api_core import exceptions
from google.auth.transport.grpc import AuthMetadataPlugin
from google.cloud.kms_v1 import GetPublicKeyRequest, KeyManagementServiceClient, PublicKey
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcAsyncIOTransport
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, Help, QuotaFailure
from google.rpc.status_pb2 import Status as StatusMessage

from csr_signer.ca.algorithm import EVERY_ALGORITHM, SIGNATURE_ALGORITHMS, SignatureAlgorithm, verifies
from csr_signer.errors import ConfigurationError, IntegrityError, QuotaError, SignerError, UnavailableError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms import key as kms_key
from csr_signer.kms.client import Connection, connect
from csr_signer.kms.key import Attempts, CloudKmsKey
from csr_signer.kms.status import ATTEMPTS, LONGEST_RETRY_AFTER
from sandbox.kms import Corruption, Fault, KmsServer
from sandbox.kms.client import create_signing_key
from sandbox.proxy import HALF_OPEN, FaultProxy
from tests.unit.function.ports.blocking import Blocking, run

PUBLIC_KEY, SIGN = "GetPublicKey", "AsymmetricSign"
P256 = SIGNATURE_ALGORITHMS["EC_SIGN_P256_SHA256"]
ROUNDING = 0.1
"""Seconds: gRPC sends a deadline in coarse units."""
TBS = TBSCertificate(der=b"bytes that were cleared", serial_number=1, purpose="csr-uid=u-1")


@pytest.fixture
def faults(kms_server: KmsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsServer]:
    """KMS's double, whose faults end with the test; between two attempts is hardly a pause."""
    monkeypatch.setattr(kms_key, "FIRST_PAUSE", 0.001)
    yield kms_server
    kms_server.faults.clear()
    kms_server.faults.release()


@pytest.fixture
def key(kms: Connection, key_version: str) -> Blocking[CloudKmsKey]:
    """A key that nothing is known of yet."""
    return opened(kms, key_version)


def opened(connection: Connection, key_version: str) -> Blocking[CloudKmsKey]:
    """Returns the function's key for a key version."""
    return Blocking(CloudKmsKey(connection=connection, key_version=key_version, protection_level="HSM"))


def signed(
    key: Blocking[CloudKmsKey], algorithm: SignatureAlgorithm, attempts: Attempts | None = None
) -> kms_key.Signature:
    """A signature by the key that KMS names."""
    signature: kms_key.Signature = key.sign(TBS, algorithm, key.public_key(), attempts or Attempts())
    return signature


def attempts_of(key: Blocking[CloudKmsKey], algorithm: SignatureAlgorithm) -> int:
    """Returns the number of requests to KMS for one signature."""
    attempts = Attempts()
    signed(key, algorithm, attempts)
    return attempts.count


def test_the_public_key_is_asked_for_once(key: Blocking[CloudKmsKey], kms_server: KmsServer, key_version: str) -> None:
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
    key: Blocking[CloudKmsKey], faults: KmsServer, key_version: str, fault: Fault, error: type[SignerError]
) -> None:
    """The message names the key version, nothing is kept, and the next question may succeed."""
    faults.faults.add(fault)
    with pytest.raises(error, match=key_version.rpartition("/")[2]) as caught:
        key.public_key()
    assert key_version in str(caught.value)
    assert key.public_key().pem


@pytest.mark.parametrize("status", ["UNAVAILABLE", "INTERNAL", "ABORTED", "CANCELLED", "UNKNOWN", "DATA_LOSS"])
def test_transient_faults_are_retried(key: Blocking[CloudKmsKey], faults: KmsServer, status: str) -> None:
    """None of these faults is permanent."""
    faults.faults.add(Fault(method=PUBLIC_KEY, status=status))
    assert key.public_key().pem


def test_a_kms_that_hangs_is_given_up_by_all_at_once(
    key: Blocking[CloudKmsKey], faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight requests for the same key wait for one time limit, not for eight in a row."""
    before = len(faults.audit.records(PUBLIC_KEY))
    faults.faults.add(Fault(method=PUBLIC_KEY, hang=True, times=0))
    with monkeypatch.context() as patch, ThreadPoolExecutor(8) as executor:
        patch.setattr(kms_key, "ATTEMPT_SECONDS", 0.2)
        patch.setattr(kms_key, "OVERALL_SECONDS", 0.5)
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
    connection = run(connect(endpoint=None, unsafe_plaintext_endpoint=kms_server.endpoint))
    assert opened(connection, key_version).public_key().pem
    run(connection.close())


def test_missing_credentials_are_a_configuration_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment names missing credentials: the error comes at the first request, not at import."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(ConfigurationError, match="Cloud KMS: no credentials"):
        run(connect(endpoint=None, unsafe_plaintext_endpoint=None))


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
    asked: list[str] = []
    make = grpc.aio.secure_channel

    def noting(target: str, *arguments: Any, **named: Any) -> grpc.aio.Channel:
        asked.append(target)
        return make(target, *arguments, **named)

    monkeypatch.setattr(grpc.aio, "secure_channel", noting)
    run(run(connect(endpoint=endpoint, unsafe_plaintext_endpoint=None)).close())
    assert asked == [f"{endpoint or 'cloudkms.googleapis.com'}:443"]


MadeKeys = Callable[[SignatureAlgorithm], Blocking[CloudKmsKey]]


@pytest.fixture(scope="session")
def made_keys(kms_client: KeyManagementServiceClient, kms: Connection) -> MadeKeys:
    """A key of each algorithm, at protection level HSM."""
    made: dict[str, Blocking[CloudKmsKey]] = {}

    def key(algorithm: SignatureAlgorithm) -> Blocking[CloudKmsKey]:
        name = algorithm.name
        if name not in made:
            version = create_signing_key(kms_client, name, key=f"every-{name}", key_ring="every-algorithm")
            made[name] = opened(kms, version)
        return made[name]

    return key


@pytest.mark.parametrize(
    ("purpose", "trace"),
    [
        ("csr-uid=5d2a4b1e-8f0c-4e57-9a39-0c6f2e1b7d44", "00-5d2a4b1e8f0c4e579a390c6f2e1b7d44-{span}-01"),
        ("csr-uid=u-1", ""),
        ("issuer", ""),
    ],
)
def test_a_signature_is_in_its_csrs_trace(made_keys: MadeKeys, kms_server: KmsServer, purpose: str, trace: str) -> None:
    """The uid without dashes, as the exporter names it; where the purpose is no CSR's, there is no trace."""
    tbs = TBSCertificate(der=b"bytes that were cleared", serial_number=1, purpose=purpose)
    algorithm = EVERY_ALGORITHM[0]
    key = made_keys(algorithm)
    before = len(kms_server.audit.records(SIGN))
    key.sign(tbs, algorithm, key.public_key(), Attempts())
    (record,) = kms_server.audit.records(SIGN)[before:]
    assert record.traceparent == trace.format(span=tbs.sha256[:16])


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM, ids=lambda each: f"{each.name}-{each.digest.name}")
def test_every_algorithm_signs_through_the_real_client(
    made_keys: MadeKeys, kms_server: KmsServer, algorithm: SignatureAlgorithm
) -> None:
    """The digest goes to KMS, never what was hashed; a raw key gets a DigestInfo; each with its checksum and reason."""
    key = made_keys(algorithm)
    before = len(kms_server.audit.records(SIGN))
    attempts = Attempts()
    signature = signed(key, algorithm, attempts)
    (record,) = kms_server.audit.records(SIGN)[before:]
    digest = hashlib.new(algorithm.digest.name, TBS.der).hexdigest()
    public_key = load_pem_public_key(key.public_key().pem)
    assert verifies(public_key, algorithm, signature=signature.value, data=TBS.der)
    assert (attempts.count, key.public_key().algorithm) == (1, algorithm.name)
    assert record.reason == f"csr-uid=u-1;tbs-sha256={TBS.sha256}"
    assert record.resource == key.key_version
    assert record.deadline is not None
    assert record.deadline <= kms_key.ATTEMPT_SECONDS + ROUNDING
    if algorithm.raw:
        assert (record.digest, record.data[-len(digest) :], len(record.data) - len(digest)) == ("", digest, 38)
    else:
        assert (record.digest, record.data) == (digest, "")


def test_another_hash_than_the_key_versions_is_refused_by_kms(made_keys: MadeKeys) -> None:
    """What `confirm` would never give: KMS's word that the digest is of another kind is the operator's to hear."""
    with pytest.raises(ConfigurationError, match="INVALID_ARGUMENT"):
        signed(made_keys(P256), SIGNATURE_ALGORITHMS["EC_SIGN_P384_SHA384"])


WRONG_SIGNATURES = {
    Corruption.SIGNATURE: r"signature_crc32c: Invalid value: \d+: must be \d+",
    Corruption.SIGNATURE_CRC32C: r"signature_crc32c: Invalid value: \d+: must be \d+",
    Corruption.NO_SIGNATURE_CRC32C: r"signature_crc32c: Invalid value: None: must be \d+",
    Corruption.LONG_SIGNATURE: r"it is too long: .*Received message larger than max",
    Corruption.EMPTY_SIGNATURE: r"signature: Invalid value: 0 bytes of SHA-256 e3b0c4",
    Corruption.FOREIGN_SIGNATURE: r"signature: Invalid value: \d+ bytes of SHA-256 [0-9a-f]{64}: must be one",
    Corruption.NAME: r"name: Invalid value: 'projects/.*cryptoKeyVersions/2': must be projects/.*cryptoKeyVersions/1",
    Corruption.PROTECTION_LEVEL: r"protection level: Invalid value: SOFTWARE: must be at least HSM",
    Corruption.REQUEST: r"it rejects a correct checksum: .The checksum in field \w+_crc32c did not match",
}


@pytest.mark.parametrize("algorithm", [P256, EVERY_ALGORITHM[0], EVERY_ALGORITHM[7]], ids=["EC", "RSA", "raw"])
@pytest.mark.parametrize("corruption", WRONG_SIGNATURES)
def test_a_wrong_answer_is_asked_for_once_more(
    made_keys: MadeKeys, faults: KmsServer, corruption: Corruption, algorithm: SignatureAlgorithm
) -> None:
    """Once: the second answer is used. Twice: nothing is, and the message says which check got what."""
    key = made_keys(algorithm)
    faults.faults.add(Fault(method=SIGN, corruption=corruption))
    assert attempts_of(key, algorithm) == 2
    before, attempts = len(faults.audit.records(SIGN)), Attempts()
    faults.faults.add(Fault(method=SIGN, corruption=corruption, times=2))
    with pytest.raises(IntegrityError, match=WRONG_SIGNATURES[corruption]) as caught:
        signed(key, algorithm, attempts)
    assert attempts.count == 2
    assert str(caught.value).startswith(f"key version {key.key_version}: wrong answer from KMS: ")
    assert (caught.value.status, caught.value.severity) == (503, "ERROR")
    assert len(faults.audit.records(SIGN)) == before + 2
    assert attempts_of(key, algorithm) == 1


@pytest.mark.parametrize(
    ("algorithm", "field"), [(P256, "verified_digest_crc32c"), (EVERY_ALGORITHM[7], "verified_data_crc32c")]
)
def test_a_checksum_that_kms_did_not_see_is_a_wrong_answer(
    made_keys: MadeKeys, faults: KmsServer, algorithm: SignatureAlgorithm, field: str
) -> None:
    """For a digest and for a raw key's data alike."""
    faults.faults.add(Fault(method=SIGN, corruption=Corruption.UNVERIFIED_CRC32C, times=2))
    with pytest.raises(IntegrityError, match=f"{field}: Invalid value: false: must be true"):
        signed(made_keys(algorithm), algorithm)


def test_different_wrong_answers_add_up(made_keys: MadeKeys, faults: KmsServer) -> None:
    """Two are two, whatever each is: the second is not excused by being of another kind."""
    faults.faults.add(Fault(method=SIGN, corruption=Corruption.REQUEST))
    faults.faults.add(Fault(method=SIGN, corruption=Corruption.NAME))
    with pytest.raises(IntegrityError, match="name: Invalid value"):
        signed(made_keys(P256), P256)


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
    monkeypatch.setattr(kms_key, "FIRST_PAUSE", 0.001)
    before, attempts = len(faults.audit.records(SIGN)), Attempts()
    faults.faults.add(Fault(method=SIGN, status=status, times=0))
    with pytest.raises((UnavailableError, ConfigurationError), match=status):
        signed(made_keys(P256), P256, attempts)
    assert len(faults.audit.records(SIGN)) == before + most
    assert attempts.count == most


@pytest.mark.parametrize(("status", "kind"), [("RESOURCE_EXHAUSTED", QuotaError), ("ABORTED", UnavailableError)])
def test_the_pause_that_kms_names_is_handed_on(
    made_keys: MadeKeys, faults: KmsServer, status: str, kind: type[SignerError]
) -> None:
    """RetryInfo of the status's details becomes Retry-After; without one it is ours."""
    for delay, seconds in ((7.2, 8), (1e6, LONGEST_RETRY_AFTER), (None, kind.retry_after)):
        faults.faults.add(Fault(method=SIGN, status=status, retry_delay=delay, times=ATTEMPTS.get(status, 1)))
        with pytest.raises(kind) as caught:
            signed(made_keys(P256), P256)
        assert caught.value.retry_after == seconds


def test_reasons_in_the_details_are_read(made_keys: MadeKeys, faults: KmsServer) -> None:
    """An ErrorInfo tells an API that is not enabled from a permission that is missing."""
    faults.faults.add(Fault(method=SIGN, status="PERMISSION_DENIED", message="no", reason="SERVICE_DISABLED"))
    with pytest.raises(ConfigurationError, match=r"the API cloudkms\.googleapis\.com is not enabled"):
        signed(made_keys(P256), P256)


def test_a_public_key_of_another_key_is_not_kept(
    key: Blocking[CloudKmsKey], faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Well-formed, with a right checksum, and wrong: until something is signed with it, it is asked for again."""
    monkeypatch.setattr(kms_key, "RECHECK_SECONDS", 0.0)
    faults.faults.add(Fault(method=PUBLIC_KEY, corruption=Corruption.FOREIGN_PUBLIC_KEY))
    foreign = key.public_key().pem
    assert key.public_key().pem != foreign
    signed(key, P256)
    before = len(faults.audit.records(PUBLIC_KEY))
    assert key.public_key() is key.public_key()
    assert len(faults.audit.records(PUBLIC_KEY)) == before


def test_only_the_confirmed_key_signs(
    key: Blocking[CloudKmsKey], faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long an approval takes, no other key than the confirmed one signs, within one time limit."""
    monkeypatch.setattr(kms_key, "RECHECK_SECONDS", 0.0)
    confirmed = key.public_key()
    before = len(faults.audit.records(PUBLIC_KEY))
    faults.faults.add(Fault(method=PUBLIC_KEY, corruption=Corruption.FOREIGN_PUBLIC_KEY, times=0))
    key.sign(TBS, P256, confirmed, Attempts())
    assert key.public_key() is confirmed
    assert len(faults.audit.records(PUBLIC_KEY)) == before


def test_a_fetch_under_way_does_not_replace_a_key_that_was_proved(
    key: Blocking[CloudKmsKey], faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that asked before, and gets another key after a signature was verified, uses the verified key."""
    confirmed = key.public_key()
    monkeypatch.setattr(kms_key, "RECHECK_SECONDS", 0.0)
    faults.faults.add(Fault(method=PUBLIC_KEY, hang=True, corruption=Corruption.FOREIGN_PUBLIC_KEY))
    with ThreadPoolExecutor(1) as executor:
        late = executor.submit(key.public_key)
        faults.faults.wait_until_hanging(1)
        key.sign(TBS, P256, confirmed, Attempts())
        faults.faults.release()
        assert late.result(30) is confirmed
    assert key.public_key() is confirmed


def test_a_key_that_no_signature_verifies_with_is_asked_for_again(
    key: Blocking[CloudKmsKey], faults: KmsServer
) -> None:
    """One wrong answer of GetPublicKey costs one signature, not every one until the process ends."""
    faults.faults.add(Fault(method=PUBLIC_KEY, corruption=Corruption.FOREIGN_PUBLIC_KEY))
    foreign = key.public_key()
    with pytest.raises(IntegrityError, match="signature: Invalid value"):
        key.sign(TBS, P256, foreign, Attempts())
    assert key.public_key().pem != foreign.pem
    assert attempts_of(key, P256) == 1


def test_an_unconfirmed_public_key_is_kept_for_some_seconds(key: Blocking[CloudKmsKey], faults: KmsServer) -> None:
    """A wrong configuration must not turn every request into one to KMS."""
    faults.faults.add(Fault(method=PUBLIC_KEY, corruption=Corruption.FOREIGN_PUBLIC_KEY))
    assert key.public_key() is key.public_key()


def test_a_malformed_public_key_signs_nothing(
    key: Blocking[CloudKmsKey],
    kms: Connection,
    kms_client: KeyManagementServiceClient,
    key_version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The function rejects KMS's signature if it cannot verify it."""
    honest = kms_client.get_public_key(name=key_version)
    honest.pem = "garbage"
    honest.pem_crc32c = google_crc32c.value(b"garbage")

    async def garbage(*_: object, **__: object) -> Any:
        return honest

    monkeypatch.setattr(kms, "get_public_key", garbage)
    assert key.public_key().pem == b"garbage"
    with pytest.raises(IntegrityError, match="signature: Invalid value"):
        signed(key, P256)


def ended(status: str) -> grpc.aio.AioRpcError:
    """Returns gRPC's exception for a call that ended with a status."""
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode[status], nothing, nothing, details="by the test")


class _Transport:
    """A transport whose calls fail.

    Args:
        errors: the errors of the calls in order; the last error repeats.
        together: a barrier at which the calls wait for each other before they fail.
    """

    def __init__(self, *errors: Exception, together: asyncio.Barrier | None = None) -> None:
        self._errors = list(errors)
        self._together = together

    async def get_public_key(self, *_: object, **__: object) -> None:
        """Fails."""
        if self._together is not None:
            await self._together.wait()
        raise self._errors.pop(0) if len(self._errors) > 1 else self._errors[0]


RETRY_INFO = AnyMessage(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff\xff\xff")
ODD_DETAILS = {
    "garbage": b"\xff\xfe\x01garbage",
    "another code": StatusMessage(code=3, message="injected fault").SerializeToString(),
    "another text": StatusMessage(code=14, message="other").SerializeToString(),
    "a RetryInfo that is none": StatusMessage(
        code=14, message="injected fault", details=[RETRY_INFO]
    ).SerializeToString(),
}


@pytest.mark.parametrize("details", ODD_DETAILS.values(), ids=ODD_DETAILS)
def test_a_status_counts_with_malformed_details(made_keys: MadeKeys, faults: KmsServer, details: bytes) -> None:
    """The library then raises another exception, but the status code still decides."""
    faults.faults.add(Fault(method=SIGN, status="UNAVAILABLE", raw_details=details.hex()))
    assert attempts_of(made_keys(P256), P256) == 2
    attempts = Attempts()
    faults.faults.add(Fault(method=SIGN, status="PERMISSION_DENIED", raw_details=details.hex()))
    with pytest.raises(ConfigurationError, match=r"PERMISSION_DENIED .injected fault \(its details") as caught:
        signed(made_keys(P256), P256, attempts)
    assert (caught.value.status, attempts.count) == (503, 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("something that is no status at all"), UnavailableError),
        (google.auth.exceptions.RefreshError("no metadata server"), ConfigurationError),
        (exceptions.GoogleAPICallError("something without a code"), UnavailableError),
        (
            exceptions.ResourceExhausted("slowly", details=[QuotaFailure(violations=[QuotaFailure.Violation()])]),
            QuotaError,
        ),
        (exceptions.PermissionDenied("no", details=[Help(), ErrorInfo(reason="x"), BadRequest()]), ConfigurationError),
    ],
    ids=[
        "nothing of gRPC's",
        "credentials that cannot be refreshed",
        "an error without a code",
        "a quota",
        "details of every kind",
    ],
)
def test_other_exceptions_of_the_library_are_faults_too(
    key_version: str, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[SignerError]
) -> None:
    """No other exception leaves the module."""
    transport: Any = _Transport(error)
    monkeypatch.setattr(kms_key, "FIRST_PAUSE", 0.001)
    with pytest.raises(kind, match=key_version):
        opened(Connection(lambda: transport), key_version).public_key()


def test_a_kms_that_hangs_or_fails_is_given_up_within_the_budget(
    made_keys: MadeKeys, faults: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attempt has a deadline, all together one, and none is begun that could not be waited for."""
    before = len(faults.audit.records(SIGN))
    faults.faults.add(Fault(method=SIGN, hang=True, times=0))
    with monkeypatch.context() as patch:
        patch.setattr(kms_key, "ATTEMPT_SECONDS", 0.2)
        patch.setattr(kms_key, "OVERALL_SECONDS", 1.0)
        with pytest.raises(UnavailableError, match="KMS does not answer: DEADLINE_EXCEEDED"):
            signed(made_keys(P256), P256)
    deadlines = [record.deadline for record in faults.audit.records(SIGN)[before:]]
    faults.faults.clear()
    faults.faults.release()
    signed(made_keys(P256), P256)
    assert len(deadlines) >= 2
    assert all(deadline is not None and deadline <= 0.2 + ROUNDING for deadline in deadlines)


def test_a_connection_whose_packets_vanish_is_replaced(faults: KmsServer, key_version: str) -> None:
    """A firewall that forgot the flow costs one attempt, not every one until TCP gives up after minutes."""
    with FaultProxy(faults.endpoint) as proxy:
        connection = run(connect(endpoint=None, unsafe_plaintext_endpoint=proxy.endpoint))
        key = opened(connection, key_version)
        assert attempts_of(key, P256) == 1
        proxy.set(HALF_OPEN, only=proxy.connections)
        assert attempts_of(key, P256) == 2
        assert attempts_of(key, P256) == 1
        assert proxy.counts.connections == 2
        run(connection.close())


def test_a_connection_is_replaced_by_the_first_call_that_it_fails_and_only_for_silence() -> None:
    """A status is an answer, so the connection stays."""
    made: list[_Transport] = []

    def make() -> Any:
        made.append(_Transport(ended("PERMISSION_DENIED"), ended("DEADLINE_EXCEEDED")))
        return made[-1]

    connection = Connection(make)
    for error, connections in ((exceptions.PermissionDenied, 1), (exceptions.DeadlineExceeded, 2)):
        with pytest.raises(error):
            run(connection.get_public_key(GetPublicKeyRequest(), seconds=1))
        assert len(made) == connections


def test_a_connection_that_was_replaced_meanwhile_is_not_replaced_again() -> None:
    """Eight requests that waited for one dead connection make one new connection."""
    made: list[_Transport] = []

    async def story() -> list[Any]:
        together = asyncio.Barrier(8)

        def make() -> Any:
            made.append(_Transport(ended("DEADLINE_EXCEEDED"), together=together))
            return made[-1]

        connection = Connection(make)
        calls = [connection.get_public_key(GetPublicKeyRequest(), seconds=1) for _ in range(8)]
        return await asyncio.gather(*calls, return_exceptions=True)

    assert {type(failure) for failure in run(story())} == {exceptions.DeadlineExceeded}
    assert len(made) == 2


def test_every_channel_looks_again_soon_and_has_connections_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The library's pause after an outage is up to two minutes, and its connections are the whole process's."""
    path = tmp_path / "credentials.json"
    path.write_text(
        '{"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}', encoding="utf-8"
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    options: list[dict[str, int]] = []

    def noting(make: Callable[..., grpc.aio.Channel]) -> Callable[..., grpc.aio.Channel]:
        def channel(*arguments: Any, **named: Any) -> grpc.aio.Channel:
            options.append(dict(named["options"]))
            return make(*arguments, **named)

        return channel

    monkeypatch.setattr(grpc.aio, "insecure_channel", noting(grpc.aio.insecure_channel))
    monkeypatch.setattr(grpc.aio, "secure_channel", noting(grpc.aio.secure_channel))
    for plaintext in ("127.0.0.1:1", None):
        run(run(connect(endpoint=None, unsafe_plaintext_endpoint=plaintext)).close())
    assert len(options) == 2
    for each in options:
        assert each["grpc.max_reconnect_backoff_ms"] <= 2000
        assert each["grpc.use_local_subchannel_pool"] == 1
        assert each["grpc.enable_http_proxy"] == 0


class _NoToken(google.auth.credentials.Credentials):
    """Credentials that give no token, and note the thread of each request for one."""

    def __init__(self, error: Exception) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library has no types
        self.threads = set[int]()
        self._error = error

    def refresh(self, _: object) -> None:
        """Fails."""
        self.threads.add(threading.get_ident())
        raise self._error


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (google.auth.exceptions.RefreshError("Reauthentication is needed. Please run `gcloud auth login`"), 1),
        (google.auth.exceptions.RefreshError("('invalid_grant: Bad Request', {'error': 'invalid_grant'})"), 1),
        (google.auth.exceptions.TransportError("Failed to retrieve http://metadata Response status: 404"), 1),
        (google.auth.exceptions.TransportError("Failed to retrieve http://metadata Response status: 503"), None),
    ],
    ids=["a login that has ended", "a grant that was revoked", "no such service account", "a metadata server's fault"],
)
def test_credentials_that_give_no_token_are_the_operators(
    key_version: str, monkeypatch: pytest.MonkeyPatch, error: Exception, attempts: int | None
) -> None:
    """A permanent fault is an ERROR at once; the function retries a transient one. For gRPC, both are an outage of KMS.

    google-auth blocks, so it runs in another thread than the event loop.
    """
    monkeypatch.setattr(kms_key, "OVERALL_SECONDS", 1.0)
    asked = Counter[str]()

    none = _NoToken(error)

    async def story(port: int) -> SignerError:
        plugin = grpc.metadata_call_credentials(AuthMetadataPlugin(none, None))
        credentials = grpc.composite_channel_credentials(grpc.local_channel_credentials(), plugin)
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            connection = Connection(lambda: KeyManagementServiceGrpcAsyncIOTransport(channel=channel))
            ask = connection.get_public_key

            async def counted(*arguments: Any, **named: Any) -> PublicKey:
                asked["GetPublicKey"] += 1
                return await ask(*arguments, **named)

            monkeypatch.setattr(connection, "get_public_key", counted)
            key = CloudKmsKey(connection=connection, key_version=key_version, protection_level="HSM")
            with pytest.raises(SignerError, match=r"credentials|KMS does not answer") as caught:
                await key.public_key()
            assert threading.get_ident() not in none.threads
            return caught.value

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    fault = run(story(port))
    server.stop(None)
    assert none.threads
    assert isinstance(fault, ConfigurationError) == (attempts is not None)
    assert asked["GetPublicKey"] == attempts or (attempts is None and asked["GetPublicKey"] > 1)


class _Clock:
    """Time that passes only where something waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """The time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        self.now += seconds


def test_the_last_attempt_has_only_what_is_left(
    key: Blocking[CloudKmsKey], kms: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However KMS spends it: the time of all attempts and pauses together is the budget, far below a pod's 90 s."""
    clock, timeouts, slow = _Clock(), [], iter([2.0, 2.0, 2.8])

    async def hang(_: object, *, seconds: float) -> None:
        timeouts.append(seconds)
        clock.now += min(seconds, next(slow, 60.0))
        raise exceptions.DeadlineExceeded("too late")

    monkeypatch.setattr(kms_key, "time", clock)
    monkeypatch.setattr(kms_key, "asyncio", clock)
    monkeypatch.setattr(kms, "get_public_key", hang)
    with pytest.raises(UnavailableError):
        key.public_key()
    assert clock.now - 1000 <= kms_key.OVERALL_SECONDS < 90 / 4
    assert timeouts[0] == kms_key.ATTEMPT_SECONDS == max(timeouts)
    assert 0 < timeouts[-1] < kms_key.ATTEMPT_SECONDS
