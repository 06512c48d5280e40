"""Faults on demand: which calls they hit, how often, and what they do."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import grpc
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.api_core import exceptions
from google.cloud.kms_v1 import (
    AsymmetricSignResponse,
    CryptoKey,
    KeyManagementServiceClient,
    KeyRing,
    ProtectionLevel,
    PublicKey,
)
from google.protobuf.message import DecodeError

from sandbox.kms import Corruption, Fault, KmsServer, connect, create_signing_key, wait_until_enabled
from sandbox.kms.client import LOCATION
from sandbox.kms.faults import KEY_GENERATION
from tests.end_to_end.conftest import eventually
from tests.patience import PATIENCE

DATA = b"a message that is signed"
DIGEST = hashlib.sha256(DATA).digest()


def sign(client: KeyManagementServiceClient, version: str, timeout: float = 10.0) -> AsymmetricSignResponse:
    """Sign once, without the library's retries."""
    return client.asymmetric_sign(
        request={"name": version, "digest": {"sha256": DIGEST}, "digest_crc32c": google_crc32c.value(DIGEST)},
        retry=None,
        timeout=timeout,
    )


def verify(client: KeyManagementServiceClient, version: str, signature: bytes) -> None:
    """Verify a signature with the version's own public key."""
    key = load_pem_public_key(client.get_public_key(name=version, retry=None).pem.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, DATA, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("UNAVAILABLE", exceptions.ServiceUnavailable),
        ("DEADLINE_EXCEEDED", exceptions.DeadlineExceeded),
        ("RESOURCE_EXHAUSTED", exceptions.ResourceExhausted),
        ("INTERNAL", exceptions.InternalServerError),
        ("ABORTED", exceptions.Aborted),
        ("PERMISSION_DENIED", exceptions.PermissionDenied),
        ("UNAUTHENTICATED", exceptions.Unauthenticated),
        ("UNKNOWN", exceptions.Unknown),
    ],
)
def test_status_once(
    server: KmsServer, client: KeyManagementServiceClient, version: str, status: str, error: type[Exception]
) -> None:
    """A fault without method hits the next call of any method, once."""
    server.faults.add(Fault(status=status, message="as you wished"))
    with pytest.raises(error, match="as you wished"):
        client.get_public_key(name=version, retry=None)
    client.get_public_key(name=version, retry=None)


def test_fault_waits_for_its_method(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A fault with a method lets other methods pass."""
    server.faults.add(Fault(method="AsymmetricSign", status="UNKNOWN"))
    client.get_public_key(name=version, retry=None)
    with pytest.raises(exceptions.Unknown):
        sign(client, version)


def test_empty_fault_lets_a_call_pass(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A fault without action is used up by the first call, so that the second call is hit by the next one."""
    server.faults.add(Fault())
    server.faults.add(Fault(status="PERMISSION_DENIED"))
    sign(client, version)
    with pytest.raises(exceptions.PermissionDenied):
        sign(client, version)


def test_fault_for_several_calls(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A fault is used as often as it says."""
    server.faults.add(Fault(status="ABORTED", times=2))
    for _ in range(2):
        with pytest.raises(exceptions.Aborted):
            sign(client, version)
    sign(client, version)


def test_fault_until_cleared(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A fault with times 0 stays until faults are cleared."""
    server.faults.add(Fault(status="ABORTED", times=0))
    for _ in range(3):
        with pytest.raises(exceptions.Aborted):
            sign(client, version)
    server.faults.clear()
    sign(client, version)


def test_unknown_status_is_refused() -> None:
    """A fault names a gRPC status."""
    with pytest.raises(ValueError, match=r"status must be one of .* got 'BROKEN'"):
        Fault(status="BROKEN")


def test_lost_answer(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A status before the work leaves the key unused, a status after it does not; the record tells them apart."""
    for after in (False, True):
        server.faults.add(Fault(method="AsymmetricSign", status="UNAVAILABLE", after=after))
        with pytest.raises(exceptions.ServiceUnavailable):
            sign(client, version)
    records = server.audit.records("AsymmetricSign")
    assert [(record.status, record.key_used) for record in records] == [
        ("UNAVAILABLE", False),
        ("UNAVAILABLE", True),
    ]


def test_delay(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A delayed call overruns its caller's deadline and counts as given up there; the next call is not delayed."""
    server.faults.add(Fault(method="AsymmetricSign", delay=5.0))
    with pytest.raises(exceptions.DeadlineExceeded):
        sign(client, version, timeout=0.2)
    sign(client, version)


def test_hanging_call_goes_on_when_released(
    server: KmsServer, client: KeyManagementServiceClient, version: str
) -> None:
    """A hanging call is answered once it is released."""
    server.faults.add(Fault(method="AsymmetricSign", hang=True))
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(sign, client, version)
        server.faults.wait_until_hanging(1)
        assert not answer.done()
        server.faults.release()
        verify(client, version, answer.result(PATIENCE).signature)
    assert server.faults.hanging == 0


def test_hanging_call_ends_with_its_caller(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A hanging call whose caller gave up ends, without use of the key."""
    server.faults.add(Fault(method="AsymmetricSign", hang=True))
    with pytest.raises(exceptions.DeadlineExceeded):
        sign(client, version, timeout=0.2)
    eventually(lambda: server.audit.records("AsymmetricSign") != [])
    (record,) = server.audit.records("AsymmetricSign")
    assert (record.status, record.key_used) == ("CANCELLED", False)


def test_waiting_for_hanging_calls_has_an_end(server: KmsServer) -> None:
    """Waiting for calls that do not come raises."""
    with pytest.raises(TimeoutError, match=r"0 calls hang after 0\.01 s, 1 were awaited"):
        server.faults.wait_until_hanging(1, timeout=0.01)


def test_stopping_ends_hanging_calls() -> None:
    """A double with a hanging call stops."""
    with KmsServer(instant=True) as server, connect(server.endpoint) as client, ThreadPoolExecutor(1) as threads:
        version = create_signing_key(client)
        server.faults.add(Fault(method="AsymmetricSign", hang=True))
        answer = threads.submit(sign, client, version)
        server.faults.wait_until_hanging(1)
        server.stop()
        assert isinstance(
            answer.exception(PATIENCE) or answer.result(), exceptions.GoogleAPICallError | AsymmetricSignResponse
        )


def changed_answer(
    server: KmsServer, client: KeyManagementServiceClient, version: str, corruption: Corruption
) -> AsymmetricSignResponse:
    """Sign with a corruption, and check that the next answer is right again."""
    server.faults.add(Fault(method="AsymmetricSign", corruption=corruption))
    spoilt = sign(client, version)
    right = sign(client, version)
    verify(client, version, right.signature)
    assert right.name == version
    assert right.verified_digest_crc32c
    assert right.signature_crc32c == google_crc32c.value(right.signature)
    assert right.protection_level == ProtectionLevel.HSM
    return spoilt


def test_corrupt_signature(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A flipped bit: the checksum no longer fits."""
    answer = changed_answer(server, client, version, Corruption.SIGNATURE)
    assert answer.signature_crc32c != google_crc32c.value(answer.signature)


def test_an_answer_that_is_too_long(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """More than a client takes: its own library refuses it, under the code of a quota."""
    with pytest.raises(exceptions.ResourceExhausted, match="larger than max"):
        changed_answer(server, client, version, Corruption.LONG_SIGNATURE)
    verify(client, version, sign(client, version).signature)


def test_details_of_any_bytes(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """What stands in place of a status's details reaches the caller as it is."""
    server.faults.add(Fault(method="AsymmetricSign", status="UNAVAILABLE", raw_details="ff00"))
    with pytest.raises(DecodeError) as caught:
        sign(client, version)
    assert isinstance(caught.value.__context__, grpc.Call)
    assert ("grpc-status-details-bin", b"\xff\x00") in caught.value.__context__.trailing_metadata()


def test_corrupt_checksum(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A wrong checksum of a signature that is right."""
    answer = changed_answer(server, client, version, Corruption.SIGNATURE_CRC32C)
    assert answer.signature_crc32c != google_crc32c.value(answer.signature)
    verify(client, version, answer.signature)


def test_missing_checksum(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """No checksum at all."""
    assert changed_answer(server, client, version, Corruption.NO_SIGNATURE_CRC32C).signature_crc32c is None


def test_unverified_checksum(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """The service says that our checksum did not arrive."""
    answer = changed_answer(server, client, version, Corruption.UNVERIFIED_CRC32C)
    assert not answer.verified_digest_crc32c


def test_name_of_another_version(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """The answer names another version of the same key."""
    answer = changed_answer(server, client, version, Corruption.NAME)
    assert answer.name == version.removesuffix("1") + "2"


def test_lower_protection_level(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """The answer says that the key was used in software."""
    answer = changed_answer(server, client, version, Corruption.PROTECTION_LEVEL)
    assert answer.protection_level == ProtectionLevel.SOFTWARE


def test_foreign_signature(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A signature by another key, with a checksum that fits: only verification finds it."""
    answer = changed_answer(server, client, version, Corruption.FOREIGN_SIGNATURE)
    assert answer.signature_crc32c == google_crc32c.value(answer.signature)
    with pytest.raises(InvalidSignature):
        verify(client, version, answer.signature)


PUBLIC_KEY_CHECKS: dict[Corruption, Callable[[PublicKey, PublicKey], bool]] = {
    Corruption.PEM_CRC32C: lambda spoilt, right: spoilt.pem == right.pem and spoilt.pem_crc32c != right.pem_crc32c,
    Corruption.NO_PEM_CRC32C: lambda spoilt, _: spoilt.pem_crc32c is None,
    Corruption.FOREIGN_PUBLIC_KEY: lambda spoilt, right: (
        spoilt.pem != right.pem and spoilt.pem_crc32c == google_crc32c.value(spoilt.pem.encode())
    ),
    Corruption.ALGORITHM: lambda spoilt, right: spoilt.algorithm != right.algorithm,
    Corruption.NAME: lambda spoilt, right: spoilt.name != right.name,
    Corruption.PROTECTION_LEVEL: lambda spoilt, right: spoilt.protection_level < right.protection_level,
}


@pytest.mark.parametrize("corruption", PUBLIC_KEY_CHECKS, ids=lambda corruption: corruption.value)
def test_corrupt_public_key(
    server: KmsServer, client: KeyManagementServiceClient, version: str, corruption: Corruption
) -> None:
    """A public key is spoilt in the way that was asked for, once, and in no other."""
    server.faults.add(Fault(method="GetPublicKey", corruption=corruption))
    spoilt = client.get_public_key(name=version)
    right = client.get_public_key(name=version)
    assert PUBLIC_KEY_CHECKS[corruption](spoilt, right)
    differing = [
        name
        for name in ("name", "algorithm", "protection_level", "pem")
        if spoilt.__getattr__(name) != right.__getattr__(name)
    ]
    assert len(differing) <= 1


def test_corruption_of_another_method(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A corruption that the answer has no part for is a mistake of the test: the call fails, and is recorded so."""
    server.faults.add(Fault(corruption=Corruption.SIGNATURE))
    with pytest.raises(exceptions.Unknown, match="does not apply to PublicKey"):
        client.get_public_key(name=version, retry=None)
    assert server.audit.records("GetPublicKey")[-1].status == "UNKNOWN"


def test_details_of_a_status(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A status can carry what google.rpc has for machines: how long to wait, and why."""
    server.faults.add(Fault(status="RESOURCE_EXHAUSTED", retry_delay=1.25, reason="RATE_LIMIT_EXCEEDED"))
    with pytest.raises(exceptions.ResourceExhausted) as caught:
        client.get_public_key(name=version, retry=None)
    retry_info, error_info = caught.value.details
    assert (retry_info.retry_delay.seconds, retry_info.retry_delay.nanos) == (1, 250_000_000)
    assert error_info.reason == caught.value.reason == "RATE_LIMIT_EXCEEDED"


def test_damaged_request(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A bit that flips on the way to the service is seen by it, where a checksum was sent, and else signed."""
    server.faults.add(Fault(method="AsymmetricSign", corruption=Corruption.REQUEST, times=2))
    with pytest.raises(exceptions.InvalidArgument, match="The checksum in field digest_crc32c did not match"):
        sign(client, version)
    damaged = client.asymmetric_sign(request={"name": version, "digest": {"sha256": DIGEST}}, retry=None).signature
    with pytest.raises(InvalidSignature):
        verify(client, version, damaged)


def test_damaged_data(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """The same for data; a request with nothing to sign has nothing to damage."""
    server.faults.add(Fault(method="AsymmetricSign", corruption=Corruption.REQUEST, times=2))
    request = {"name": version, "data": DATA, "data_crc32c": google_crc32c.value(DATA)}
    with pytest.raises(exceptions.InvalidArgument, match="The checksum in field data_crc32c did not match"):
        client.asymmetric_sign(request=request, retry=None)
    with pytest.raises(exceptions.Unknown):
        client.asymmetric_sign(request={"name": version}, retry=None)


def test_empty_signature(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """Nothing, with the checksum of nothing, which is 0: present and falsy."""
    server.faults.add(Fault(method="AsymmetricSign", corruption=Corruption.EMPTY_SIGNATURE))
    answer = sign(client, version)
    assert (answer.signature, answer.signature_crc32c) == (b"", 0)


def test_key_generation_hangs() -> None:
    """A version stays PENDING_GENERATION until it is released, and has neither key nor signature until then."""
    with KmsServer() as server, connect(server.endpoint) as client:
        server.faults.add(Fault(method=KEY_GENERATION, hang=True))
        client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring=KeyRing())
        wish = CryptoKey(purpose="ASYMMETRIC_SIGN", version_template={"algorithm": "EC_SIGN_P256_SHA256"})
        key = client.create_crypto_key(parent=f"{LOCATION}/keyRings/r", crypto_key_id="k", crypto_key=wish)
        name = f"{key.name}/cryptoKeyVersions/1"
        server.faults.wait_until_hanging(1)
        with pytest.raises(exceptions.FailedPrecondition, match="current state is: PENDING_GENERATION"):
            client.get_public_key(name=name)
        server.faults.release()
        assert wait_until_enabled(client, name).name == name


def test_key_generation_fails() -> None:
    """A version can end in GENERATION_FAILED, and says why."""
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        server.faults.add(Fault(method=KEY_GENERATION, status="INTERNAL", message="no HSM"))
        client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring=KeyRing())
        wish = CryptoKey(purpose="ASYMMETRIC_SIGN", version_template={"algorithm": "EC_SIGN_P256_SHA256"})
        key = client.create_crypto_key(parent=f"{LOCATION}/keyRings/r", crypto_key_id="k", crypto_key=wish)
        (version,) = client.list_crypto_key_versions(parent=key.name)
        assert version.state.name == "GENERATION_FAILED"
        assert version.generation_failure_reason == "no HSM"
        with pytest.raises(exceptions.FailedPrecondition, match="current state is: GENERATION_FAILED"):
            client.get_public_key(name=version.name)


def test_key_generation_is_no_call() -> None:
    """A fault for any method waits for a call, and is not used up by a key that is made meanwhile."""
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        version = create_signing_key(client)
        server.faults.add(Fault(status="UNAVAILABLE"))
        assert server.faults.take(KEY_GENERATION) == Fault()
        with pytest.raises(exceptions.ServiceUnavailable):
            client.get_public_key(name=version, retry=None)
