"""Roles in the double: who is held to them, and what they let do."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyManagementServiceClient

from sandbox.kms import KmsControl, KmsServer, connect, create_signing_key
from sandbox.kms.iam import ANONYMOUS, ROLES
from sandbox.process import Part

WHO = "csr-signer@example-project.iam.gserviceaccount.com"
DIGEST = {"sha256": bytes(32)}


@pytest.fixture
def iam(server: KmsServer) -> Iterator[KmsServer]:
    """The double, whose restrictions end with the test."""
    yield server
    server.iam.release()


@pytest.fixture
def someone(server: KmsServer) -> Iterator[KeyManagementServiceClient]:
    """A client with a principal."""
    with connect(server.endpoint, principal=WHO) as client:
        yield client


def may(client: KeyManagementServiceClient, version: str) -> set[str]:
    """Which of the methods that use a key, look at it or change it a client may call."""
    changed = CryptoKeyVersion(name=version, state="ENABLED")
    calls: dict[str, Callable[[], object]] = {
        "sign": lambda: client.asymmetric_sign(request={"name": version, "digest": DIGEST}, retry=None),
        "view public key": lambda: client.get_public_key(name=version, retry=None),
        "get": lambda: client.get_crypto_key_version(name=version),
        "list": lambda: client.list_crypto_key_versions(parent=version.rpartition("/cryptoKeyVersions/")[0]),
        "update": lambda: client.update_crypto_key_version(
            request={"crypto_key_version": changed, "update_mask": {"paths": ["state"]}}
        ),
    }
    allowed = set()
    for name, call in calls.items():
        try:
            call()
        except exceptions.PermissionDenied:
            continue
        allowed.add(name)
    return allowed


EVERYTHING = {"sign", "view public key", "get", "list", "update"}


def test_by_default_every_principal_may_do_everything(
    client: KeyManagementServiceClient, someone: KeyManagementServiceClient, version: str
) -> None:
    """Most tests need no roles."""
    assert may(client, version) == may(someone, version) == EVERYTHING


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        ([], set()),
        (["roles/cloudkms.signer"], {"sign"}),
        (["roles/cloudkms.publicKeyViewer"], {"view public key"}),
        (["roles/cloudkms.signer", "roles/cloudkms.publicKeyViewer"], {"sign", "view public key"}),
        (["roles/cloudkms.signerVerifier"], {"sign", "view public key"}),
        (["roles/cloudkms.viewer"], {"get", "list"}),
        (["roles/cloudkms.admin"], {"get", "list", "update"}),
        (["roles/cloudkms.expertRawPKCS1"], set()),
    ],
)
def test_a_principal_is_held_to_its_roles(
    iam: KmsServer,
    client: KeyManagementServiceClient,
    someone: KeyManagementServiceClient,
    version: str,
    roles: list[str],
    allowed: set[str],
) -> None:
    """An administrator does not sign, a signer does not administrate; others are not concerned."""
    iam.iam.restrict(WHO, roles)
    assert may(someone, version) == allowed
    assert may(client, version) == EVERYTHING
    iam.iam.release()
    assert may(someone, version) == EVERYTHING


def test_a_role_holds_on_its_resource_and_below(
    iam: KmsServer, client: KeyManagementServiceClient, someone: KeyManagementServiceClient
) -> None:
    """On the key: for its versions; on the ring: for its keys; a name that only begins alike is another's."""
    mine, other = create_signing_key(client, key="mine"), create_signing_key(client, key="mine-too")
    key = mine.rpartition("/cryptoKeyVersions/")[0]
    iam.iam.restrict(WHO, ["roles/cloudkms.signer"], resource=key)
    assert (may(someone, mine), may(someone, other)) == ({"sign"}, set())
    iam.iam.restrict(WHO, ["roles/cloudkms.publicKeyViewer"], resource=key.rpartition("/cryptoKeys/")[0])
    assert may(someone, mine) == {"sign", "view public key"}
    assert may(someone, other) == {"view public key"}


def test_a_missing_resource_is_denied_without_the_permission(
    iam: KmsServer, someone: KeyManagementServiceClient
) -> None:
    """As in the service, a caller without the permission cannot learn which resources exist."""
    absent = "projects/p/locations/l/keyRings/r/cryptoKeys/absent/cryptoKeyVersions/1"
    iam.iam.restrict(WHO, ["roles/cloudkms.publicKeyViewer"])
    text = (
        rf"Permission 'cloudkms\.cryptoKeyVersions\.useToSign' denied on resource '{absent}' \(or it may not exist\)\."
    )
    with pytest.raises(exceptions.PermissionDenied, match=text):
        someone.asymmetric_sign(request={"name": absent, "digest": DIGEST}, retry=None)
    with pytest.raises(exceptions.NotFound):
        someone.get_public_key(name=absent, retry=None)


def test_raw_keys_need_a_role_of_their_own(
    iam: KmsServer, client: KeyManagementServiceClient, someone: KeyManagementServiceClient
) -> None:
    """To make a key or a version, and to sign, beside what other keys need; to look, no more than for others."""
    version = create_signing_key(client, "RSA_SIGN_RAW_PKCS1_2048", key="raw")
    key, _, _ = version.rpartition("/cryptoKeyVersions/")
    ring = key.rpartition("/cryptoKeys/")[0]
    wish = CryptoKey(purpose="ASYMMETRIC_SIGN", version_template={"algorithm": "RSA_SIGN_RAW_PKCS1_2048"})
    iam.iam.restrict(WHO, ["roles/cloudkms.signer", "roles/cloudkms.admin", "roles/cloudkms.publicKeyViewer"])
    for call in (
        lambda: someone.asymmetric_sign(request={"name": version, "data": b"data"}, retry=None),
        lambda: someone.create_crypto_key(parent=ring, crypto_key_id="raw-too", crypto_key=wish),
        lambda: someone.create_crypto_key_version(request={"parent": key}),
    ):
        with pytest.raises(exceptions.PermissionDenied, match="manageRawPKCS1Keys"):
            call()
    assert someone.get_public_key(name=version).pem
    iam.iam.restrict(WHO, ["roles/cloudkms.expertRawPKCS1"])
    assert someone.asymmetric_sign(request={"name": version, "data": b"data"}, retry=None).signature
    assert someone.create_crypto_key(parent=ring, crypto_key_id="raw-too", crypto_key=wish).name
    assert someone.create_crypto_key_version(request={"parent": key}).name


def test_other_keys_need_no_role_for_raw_ones(
    iam: KmsServer, client: KeyManagementServiceClient, someone: KeyManagementServiceClient, version: str
) -> None:
    """Also to make versions of them."""
    iam.iam.restrict(WHO, ["roles/cloudkms.signer", "roles/cloudkms.admin"])
    assert someone.asymmetric_sign(request={"name": version, "digest": DIGEST}, retry=None).signature
    key = version.rpartition("/cryptoKeyVersions/")[0]
    assert someone.create_crypto_key_version(request={"parent": key}).name


def test_a_denied_call_is_recorded_and_uses_no_key(
    iam: KmsServer, someone: KeyManagementServiceClient, version: str
) -> None:
    """Cloud Audit Logs keep denials, too."""
    iam.iam.restrict(WHO)
    before = len(iam.audit.records())
    may(someone, version)
    records = iam.audit.records(since=before)
    assert {record.status for record in records} == {"PERMISSION_DENIED"}
    assert not any(record.key_used for record in records)


def test_an_unknown_role_is_refused(iam: KmsServer) -> None:
    """A misspelt role would let a test pass for nothing."""
    with pytest.raises(ValueError, match="roles must be among"):
        iam.iam.restrict(WHO, ["roles/cloudkms.sinner"])
    assert set(ROLES) >= {"roles/cloudkms.signer", "roles/cloudkms.publicKeyViewer", "roles/cloudkms.expertRawPKCS1"}


@pytest.mark.slow
def test_control_restricts_another_process(tmp_path: Path) -> None:
    """The same over the control service; who sends no header is anonymous."""
    with Part.start("sandbox.kms", log=tmp_path / "log") as part:
        endpoint = part.ready["endpoint"]
        with connect(endpoint) as client, KmsControl(endpoint) as control:
            version = create_signing_key(client)
            control.restrict(ANONYMOUS, "roles/cloudkms.signer", resource=version)
            assert may(client, version) == {"sign"}
            control.lift_restrictions()
            assert may(client, version) == EVERYTHING
