"""The key: what is asked of KMS, what is believed of its answers, and how long that may take."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.cloud.kms_v1 import KeyManagementServiceClient

from csr_signer import kms
from csr_signer.errors import ConfigurationError, IntegrityError, QuotaError, SignerError, UnavailableError
from csr_signer.kms import CloudKmsKey
from sandbox.kms import Corruption, Fault, KmsServer

PUBLIC_KEY = "GetPublicKey"


@pytest.fixture
def faults(kms_server: KmsServer) -> Iterator[KmsServer]:
    """KMS's double, whose faults end with the test."""
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
