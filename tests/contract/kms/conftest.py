"""Where the Cloud KMS contract tests run.

On the double, or in its place on what CSR_SIGNER_TEST_KMS_ENDPOINT names: HOST:PORT of another implementation of the
gRPC API, plaintext. And on Cloud KMS itself, where CSR_SIGNER_TEST_KMS_KEY_RING names an existing key ring
(projects/P/locations/L/keyRings/R) and Application Default Credentials may administrate and use keys in it
(roles/cloudkms.admin, roles/cloudkms.signerVerifier, roles/cloudkms.expertRawPKCS1). That makes some sixty keys, half
of them HSM keys, and schedules the destruction of all their versions at the end: their names stay for ever. These tests
state what the real service does, so whatever passes them may stand in for it.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient, KeyRing

from sandbox.kms import KmsServer, connect
from tests.contract.kms.keys import LOCATION, Keys, random_id

ENDPOINT = "CSR_SIGNER_TEST_KMS_ENDPOINT"
KEY_RING = "CSR_SIGNER_TEST_KMS_KEY_RING"
RING = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is tested.

    Attributes:
        client: The real client library, connected to it.
        ring: An existing key ring; None where one can be made.
        interval: Seconds between two looks at something that takes time.
        patience: Seconds that a disabled or destroyed version may go on working: the real service is eventually
            consistent.
    """

    client: KeyManagementServiceClient
    ring: str | None
    interval: float
    patience: float


@pytest.fixture(scope="session", params=["grpc", "cloud"] if os.environ.get(KEY_RING) else ["grpc"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The double or another implementation of its protocol, and Cloud KMS where there are credentials for it."""
    if request.param == "cloud":
        ring = os.environ[KEY_RING]
        assert RING.fullmatch(ring), f"{KEY_RING}: got {ring!r}, allowed is projects/P/locations/L/keyRings/R"
        with KeyManagementServiceClient() as client:
            yield Target(client=client, ring=ring, interval=2.0, patience=120.0)
        return
    other = os.environ.get(ENDPOINT)
    if other:
        with connect(other) as client:
            yield Target(client=client, ring=None, interval=0.05, patience=0.0)
    else:
        with KmsServer() as server, connect(server.endpoint) as client:
            yield Target(client=client, ring=None, interval=0.01, patience=0.0)


@pytest.fixture(scope="session")
def client(target: Target) -> KeyManagementServiceClient:
    """The real client library, connected."""
    return target.client


@pytest.fixture(scope="session")
def location(target: Target) -> str:
    """The location of the key rings."""
    return LOCATION if target.ring is None else target.ring.partition("/keyRings/")[0]


@pytest.fixture(scope="session")
def keys(target: Target) -> Iterator[Keys]:
    """A key ring and what is made in it; in Cloud KMS no version is left to be paid for."""
    ring = target.ring
    if ring is None:
        ring = target.client.create_key_ring(parent=LOCATION, key_ring_id=random_id(), key_ring=KeyRing()).name
    keys = Keys(client=target.client, ring=ring, interval=target.interval, patience=target.patience)
    yield keys
    if target.ring is not None:
        keys.destroy_all()


@pytest.fixture
def disposable_rings(target: Target) -> None:
    """Asked for by tests that make key rings: none can ever be deleted, so that none are made in Cloud KMS."""
    if target.ring is not None:
        pytest.skip("NOT TESTED on Cloud KMS: a key ring can never be deleted")


@pytest.fixture(scope="session")
def signing_version(keys: Keys) -> Callable[[str], CryptoKeyVersion]:
    """Return an enabled HSM version of an algorithm: one for all tests, which must not change it."""
    made: dict[str, CryptoKeyVersion] = {}

    def version(algorithm: str) -> CryptoKeyVersion:
        if algorithm not in made:
            # Ed25519 keys at HSM level: not in every location.
            level = "SOFTWARE" if algorithm == "EC_SIGN_ED25519" else "HSM"
            made[algorithm] = keys.create_signing_version(algorithm, protection_level=level)
        return made[algorithm]

    return version
