"""What only the double does: strictness about fields, records, keys that survive, a slow disable, its own process."""

import hashlib
import json
import stat
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient

from sandbox.kms import (
    Corruption,
    Fault,
    KmsControl,
    KmsServer,
    connect,
    create_signing_key,
    wait_until_enabled,
)
from sandbox.kms.errors import KmsError
from sandbox.kms.fields import check_fields
from sandbox.process import Part
from tests.patience import PATIENCE

DIGEST = hashlib.sha256(b"a message that is signed").digest()


def sign(client: KeyManagementServiceClient, version: str) -> bytes:
    """Sign once."""
    return client.asymmetric_sign(request={"name": version, "digest": {"sha256": DIGEST}}, retry=None).signature


def switch(client: KeyManagementServiceClient, version: str, state: str) -> None:
    """Enable or disable a version."""
    client.update_crypto_key_version(
        request={
            "crypto_key_version": CryptoKeyVersion(name=version, state=state),
            "update_mask": {"paths": ["state"]},
        }
    )


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (kms_v1.CreateKeyRingRequest(parent="foo"), "parent"),
        (kms_v1.CreateCryptoKeyRequest(skip_initial_version_creation=True), "skip_initial_version_creation"),
        (kms_v1.ListCryptoKeysRequest(page_size=1337), "page_size"),
        (kms_v1.CreateKeyRingRequest(key_ring={"name": "foo"}), "key_ring.name"),
        (kms_v1.CreateCryptoKeyRequest(crypto_key={"labels": {"a": "b"}}), "crypto_key.labels"),
        (
            kms_v1.CreateCryptoKeyRequest(crypto_key={"version_template": {"protection_level": "HSM"}}),
            "crypto_key.version_template.protection_level",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_field_must_be_allowed(request_: Any, path: str) -> None:
    """A field passes where it, or a message around it, is allowed, and is UNIMPLEMENTED where not."""
    check_fields(request_, path)
    check_fields(request_, path.split(".", maxsplit=1)[0])
    with pytest.raises(KmsError, match=f"field {path} is not supported") as error:
        check_fields(request_, "other")
    assert error.value.code is grpc.StatusCode.UNIMPLEMENTED


def test_all_fields_must_be_allowed() -> None:
    """One field that is not allowed is enough; allowed fields need not be there."""
    request = kms_v1.CreateCryptoKeyRequest(parent="bar", crypto_key={"purpose": "ASYMMETRIC_SIGN"})
    check_fields(request, "parent", "crypto_key.purpose")
    check_fields(request, "parent", "crypto_key_id", "crypto_key.purpose")
    for allowed in ("parent", "crypto_key.purpose"):
        with pytest.raises(KmsError):
            check_fields(request, allowed)


def test_empty_message_is_no_field() -> None:
    """A required message without content says nothing and passes."""
    check_fields(kms_v1.CreateKeyRingRequest(key_ring={}))


def test_unknown_field_number() -> None:
    """A field that the schema does not have is UNIMPLEMENTED, also inside a message."""
    inner = kms_v1.Digest.deserialize(b"\xf0\x07\x01")
    for request in (
        kms_v1.GetPublicKeyRequest.deserialize(b"\xf0\x07\x01"),
        kms_v1.AsymmetricSignRequest(digest=inner),
    ):
        with pytest.raises(KmsError, match="unknown field number 126"):
            check_fields(request, "name", "digest.sha256")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("asymmetric_sign", {"digest": {"external_mu": b"x" * 64}}),
        ("get_public_key", {"public_key_format": "DER"}),
    ],
)
def test_unsupported_field_on_the_wire(
    client: KeyManagementServiceClient, version: str, method: str, request_: dict[str, Any]
) -> None:
    """A request with a field that the double does not have ends as UNIMPLEMENTED."""
    with pytest.raises(exceptions.MethodNotImplemented):
        getattr(client, method)(request={"name": version, **request_})


def test_unsupported_methods_and_algorithms(client: KeyManagementServiceClient, version: str) -> None:
    """Methods and algorithms that the double does not have end as UNIMPLEMENTED."""
    with pytest.raises(exceptions.MethodNotImplemented):
        client.restore_crypto_key_version(name=version)
    with pytest.raises(exceptions.MethodNotImplemented):
        create_signing_key(client, "EC_SIGN_SECP256K1_SHA256", key="curve")
    with pytest.raises(exceptions.MethodNotImplemented):
        create_signing_key(client, protection_level="EXTERNAL", key="external")


def test_withdrawn_algorithm_number(client: KeyManagementServiceClient, version: str) -> None:
    """An algorithm number that the schema no longer names (P-521) ends as UNIMPLEMENTED."""
    ring = version.split("/cryptoKeys/", maxsplit=1)[0]
    key = kms_v1.CryptoKey(purpose="ASYMMETRIC_SIGN", version_template={"algorithm": 14})
    with pytest.raises(exceptions.MethodNotImplemented, match="unknown value 14"):
        client.create_crypto_key(parent=ring, crypto_key_id="withdrawn", crypto_key=key)


def test_record_of_a_signature(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A record says what was asked, why, under which deadline, and that the key was used."""
    client.asymmetric_sign(
        request={"name": version, "digest": {"sha256": DIGEST}},
        metadata=[("x-goog-request-reason", "csr-uid=1;tbs-sha256=2"), ("traceparent", "00-3-4-01")],
        timeout=3.0,
        retry=None,
    )
    (record,) = server.audit.records("AsymmetricSign")
    assert record.resource == version
    assert record.permission == "cloudkms.cryptoKeyVersions.useToSign"
    assert record.reason == "csr-uid=1;tbs-sha256=2"
    assert record.request_params == f"name={version}"
    assert record.traceparent == "00-3-4-01"
    assert (record.digest, record.data) == (DIGEST.hex(), "")
    assert (record.status, record.key_used) == ("OK", True)
    assert record.deadline is not None
    assert 0 < record.deadline <= 3.5


def test_record_of_a_refusal(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """A refused call is recorded with its status, and the key was not used."""
    with pytest.raises(exceptions.InvalidArgument):
        client.asymmetric_sign(request={"name": version})
    (record,) = server.audit.records("AsymmetricSign")
    assert (record.status, record.key_used) == ("INVALID_ARGUMENT", False)


def test_every_call_is_recorded(server: KmsServer, client: KeyManagementServiceClient, version: str) -> None:
    """Management calls are recorded too, each with the resource that it was about."""
    switch(client, version, "DISABLED")
    last = server.audit.records()[-1]
    assert (last.method, last.resource) == ("UpdateCryptoKeyVersion", version)
    assert [record.method for record in server.audit.records()][:2] == ["CreateKeyRing", "CreateCryptoKey"]
    assert server.audit.records(since=len(server.audit.records())) == []


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """With a state directory a new double has the same rings, keys, versions, states and key material."""
    state = tmp_path / "state"
    with KmsServer(instant=True, state=state) as server, connect(server.endpoint) as client:
        version = create_signing_key(client)
        other = create_signing_key(client, "RSA_SIGN_PKCS1_2048_SHA256", key="other", protection_level="SOFTWARE")
        switch(client, other, "DISABLED")
        symmetric = client.create_crypto_key(
            parent=version.split("/cryptoKeys/", maxsplit=1)[0],
            crypto_key_id="symmetric",
            crypto_key=kms_v1.CryptoKey(purpose="ENCRYPT_DECRYPT", labels={"a": "b"}),
        )
        before = client.get_public_key(name=version), client.get_crypto_key_version(name=other)
    with KmsServer(state=state) as server, connect(server.endpoint) as client:
        assert (client.get_public_key(name=version), client.get_crypto_key_version(name=other)) == before
        assert client.get_crypto_key(name=symmetric.name) == symmetric
        assert sign(client, version)
    pems = list(state.rglob("*.pem"))
    assert len(pems) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in pems} == {0o600}


def test_disable_takes_a_while() -> None:
    """With a lag a disabled version is shown as disabled and signs on; a version that was enabled again stays so."""
    with KmsServer(instant=True, disable_lag=60.0) as server, connect(server.endpoint) as client:
        version = create_signing_key(client)
        switch(client, version, "DISABLED")
        assert client.get_crypto_key_version(name=version).state == CryptoKeyVersion.CryptoKeyVersionState.DISABLED
        assert sign(client, version)
        client.destroy_crypto_key_version(name=version)
        with pytest.raises(exceptions.FailedPrecondition):
            sign(client, version)


def test_signature_takes_its_latency() -> None:
    """With a latency a signature takes at least that long."""
    with KmsServer(0.05, instant=True) as server, connect(server.endpoint) as client:
        version = create_signing_key(client)
        start = time.monotonic()
        sign(client, version)
        assert time.monotonic() - start >= 0.05


def test_calls_are_answered_at_the_same_time(
    server: KmsServer, client: KeyManagementServiceClient, version: str
) -> None:
    """Sixty-four signatures can be under way at once: none waits for another one."""
    server.faults.add(Fault(method="AsymmetricSign", hang=True, times=64))
    with ThreadPoolExecutor(64) as threads:
        signatures = threads.map(lambda _: sign(client, version), range(64))
        server.faults.wait_until_hanging(64)
        server.faults.release()
        assert len(set(signatures)) == 64


def test_port_is_not_shared(server: KmsServer) -> None:
    """A second double on the same port does not start."""
    second = KmsServer(port=int(server.endpoint.rsplit(":", maxsplit=1)[1]))
    with pytest.raises(RuntimeError):
        second.start()
    second.stop()


@pytest.mark.slow
def test_process_comes_back_with_its_key(tmp_path: Path) -> None:
    """Killed and started again on the same port with the same state, the double signs with the same key."""
    options = ["--state", str(tmp_path / "state"), "--audit-log", str(tmp_path / "audit.jsonl")]
    first = Part.start("sandbox.kms", *options, log=tmp_path / "log")
    endpoint = first.ready["endpoint"]
    try:
        assert first.ready == {"part": "kms", "endpoint": endpoint}
        with connect(endpoint) as client:
            version = create_signing_key(client)
            pem = client.get_public_key(name=version).pem
            sign(client, version)
    finally:
        first.kill()
    port = endpoint.rsplit(":", maxsplit=1)[1]
    with Part.start("sandbox.kms", "--port", port, *options, log=tmp_path / "log"), connect(endpoint) as client:
        assert client.get_public_key(name=version).pem == pem
        sign(client, version)
    entries = [json.loads(line)["protoPayload"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [each["resourceName"] for each in entries if each["methodName"] == "AsymmetricSign"] == [version] * 2


def test_key_in_generation_survives_a_kill(tmp_path: Path) -> None:
    """A version whose key was being made when the double was killed gets one from the next process."""
    with KmsServer(instant=True, state=tmp_path) as server, connect(server.endpoint) as client:
        version = create_signing_key(client)
    (tmp_path / f"{version}.pem").unlink()
    shown = tmp_path / f"{version}.json"
    pending = CryptoKeyVersion(name=version, algorithm="EC_SIGN_P256_SHA256", state="PENDING_GENERATION")
    shown.write_text(CryptoKeyVersion.to_json(pending))
    with KmsServer(state=tmp_path) as server, connect(server.endpoint) as client:
        wait_until_enabled(client, version)
        assert sign(client, version)


@pytest.mark.slow
def test_process_stops_in_time(tmp_path: Path) -> None:
    """SIGTERM ends the process with status 0 although one call waits for its latency and another one hangs."""
    with (
        ThreadPoolExecutor(2) as threads,
        Part.start("sandbox.kms", "--latency-ms", "60000", log=tmp_path / "log") as part,
        connect(part.ready["endpoint"]) as client,
        KmsControl(part.ready["endpoint"]) as control,
    ):
        version = create_signing_key(client)
        control.add(Fault(method="GetPublicKey", hang=True))
        calls: list[Future[Any]] = [
            threads.submit(sign, client, version),
            threads.submit(client.get_public_key, name=version, retry=None),
        ]
        control.wait_until_hanging(1)
        assert part.stop(grace=5.0) == 0
        wait(calls, 10)
        assert all(call.done() for call in calls)


@pytest.mark.slow
def test_control_reaches_another_process(tmp_path: Path) -> None:
    """Faults, hanging calls and records of a double in another process can be reached through its port."""
    with (
        Part.start("sandbox.kms", log=tmp_path / "log") as part,
        connect(part.ready["endpoint"]) as client,
        KmsControl(part.ready["endpoint"]) as control,
        ThreadPoolExecutor(1) as threads,
    ):
        version = create_signing_key(client)
        control.add(Fault(method="AsymmetricSign", corruption=Corruption.NAME))
        answer = client.asymmetric_sign(request={"name": version, "digest": {"sha256": DIGEST}})
        assert answer.name != version
        control.add(Fault(hang=True))
        hanging = threads.submit(sign, client, version)
        control.wait_until_hanging(1)
        control.release()
        assert hanging.result(PATIENCE)
        control.add(Fault(times=0, status="INTERNAL"))
        control.clear()
        assert sign(client, version)
        assert [record.status for record in control.records("AsymmetricSign")] == ["OK"] * 3
        with pytest.raises(TimeoutError):
            control.wait_until_hanging(1, timeout=0.01)
