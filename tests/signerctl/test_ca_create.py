"""`signerctl ca create`: what an operator gets, and what is refused."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.cloud.kms_v1 import KeyManagementServiceClient

from sandbox.kms import Corruption, Fault, KmsServer, connect, create_signing_key
from signerctl.__main__ import main

ALGORITHMS = [
    "EC_SIGN_P256_SHA256",
    "EC_SIGN_P384_SHA384",
    "RSA_SIGN_PKCS1_2048_SHA256",
    "RSA_SIGN_PKCS1_3072_SHA256",
    "RSA_SIGN_PKCS1_4096_SHA256",
    "RSA_SIGN_PKCS1_4096_SHA512",
]


@pytest.fixture(scope="module")
def server() -> Iterator[KmsServer]:
    """KMS's double."""
    with KmsServer(instant=True) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: KmsServer) -> Iterator[KeyManagementServiceClient]:
    """An administrator's client, to make keys with."""
    with connect(server.endpoint) as client:
        yield client


@pytest.fixture(scope="module")
def key_version(client: KeyManagementServiceClient) -> str:
    """A P-256 key."""
    return create_signing_key(client)


def create(server: KmsServer, key_version: str, out: Path, *more: str) -> Result:
    """Runs the command as an operator does."""
    arguments = ["ca", "create", "--key-version", key_version, "--common-name", "calico 2026", "--out", str(out)]
    return CliRunner().invoke(main, [*arguments, "--unsafe-plaintext-kms-endpoint", server.endpoint, *more])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_root_of_every_algorithm_verifies_with_openssl(
    server: KmsServer, client: KeyManagementServiceClient, tmp_path: Path, algorithm: str
) -> None:
    """The root is self-signed by the KMS key, for leaves and TLS only, and openssl accepts it strictly."""
    key_version = create_signing_key(client, algorithm, key=algorithm)
    out = tmp_path / "ca.pem"
    assert create(server, key_version, out, "--organization", "Example").exit_code == 0
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", str(out), str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    root = x509.load_pem_x509_certificate(out.read_bytes())
    assert root.subject.rfc4514_string() == "CN=calico 2026,O=Example"
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    pem = root.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert pem.decode().strip() == client.get_public_key(name=key_version).pem.strip()


def test_intent_is_recorded_before_and_the_outcome_after(server: KmsServer, key_version: str, tmp_path: Path) -> None:
    """The records on standard error name the hash that KMS's own log names."""
    result = create(server, key_version, tmp_path / "ca.pem")
    intent, issued = (json.loads(line) for line in result.stderr.splitlines())
    assert (intent["event"], issued["event"]) == ("intent", "issued")
    assert intent["tbs_sha256"] == issued["tbs_sha256"]
    reason = server.audit.records("AsymmetricSign")[-1].reason
    assert reason == f"signerctl=ca-create;tbs-sha256={intent['tbs_sha256']}"


def test_an_existing_file_is_kept_unless_forced(server: KmsServer, key_version: str, tmp_path: Path) -> None:
    """A CA certificate that is in use is not overwritten by accident, and the key is not even asked."""
    out = tmp_path / "ca.pem"
    out.write_text("in use", encoding="utf-8")
    signatures = len(server.audit.records("AsymmetricSign"))
    result = create(server, key_version, out)
    assert result.exit_code == 1
    assert "exists; --force overwrites it" in result.stderr
    assert out.read_text(encoding="utf-8") == "in use"
    assert len(server.audit.records("AsymmetricSign")) == signatures
    assert create(server, key_version, out, "--force").exit_code == 0


WRONG = {
    "not a key version": (["--key-version", "projects/p/keys/k"], "cryptoKeyVersions/N"),
    "the operator's own name": (["--common-name", "tigera-operator-signer-1"], "tigera operator"),
    "Kubernetes' own name": (["--common-name", "system:ca"], "system:"),
    "a name that is too long": (["--common-name", "a" * 65], "1 to 64"),
    "a name with a control character": (["--common-name", "a\x01b"], "1 to 64"),
    "no lifetime": (["--days", "0"], "--days"),
    "plaintext beyond this machine": (["--unsafe-plaintext-kms-endpoint", "192.0.2.1:443"], "loopback"),
    "a level that is none": (["--protection-level", "PAPER"], "--protection-level"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_named_with_what_is_allowed(
    server: KmsServer, key_version: str, tmp_path: Path, options: list[str], said: str
) -> None:
    """Bad input is a usage error, and nothing is written."""
    result = create(server, key_version, tmp_path / "ca.pem", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "ca.pem").exists()


def test_a_key_that_signs_no_certificates_here_is_refused_by_name(
    server: KmsServer, client: KeyManagementServiceClient, tmp_path: Path
) -> None:
    """RSASSA-PSS is refused before anything is signed; the message says what to use instead."""
    key_version = create_signing_key(client, "RSA_SIGN_PSS_2048_SHA256", key="pss")
    result = create(server, key_version, tmp_path / "ca.pem")
    assert result.exit_code == 1
    assert "RSA_SIGN_PSS_2048_SHA256" in result.stderr
    assert "EC_SIGN_P256_SHA256" in result.stderr


@pytest.mark.parametrize("corruption", [Corruption.FOREIGN_SIGNATURE, Corruption.SIGNATURE_CRC32C, Corruption.NAME])
def test_a_wrong_answer_of_kms_writes_nothing(
    server: KmsServer, key_version: str, tmp_path: Path, corruption: Corruption
) -> None:
    """A signature that is not the key's own never becomes a file."""
    server.faults.add(Fault(method="AsymmetricSign", corruption=corruption, times=2))
    result = create(server, key_version, tmp_path / "ca.pem")
    server.faults.clear()
    assert result.exit_code == 1
    assert not (tmp_path / "ca.pem").exists()


def test_a_place_that_cannot_be_written_is_told_before_the_key_is_used(
    server: KmsServer, key_version: str, tmp_path: Path
) -> None:
    """A root that cannot be kept is not signed."""
    signatures = len(server.audit.records("AsymmetricSign"))
    result = create(server, key_version, tmp_path / "absent" / "ca.pem")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert len(server.audit.records("AsymmetricSign")) == signatures


def test_a_key_that_is_protected_too_weakly_is_refused(
    server: KmsServer, client: KeyManagementServiceClient, tmp_path: Path
) -> None:
    """A software key is no CA key unless the operator says so."""
    key_version = create_signing_key(client, key="software", protection_level="SOFTWARE")
    assert create(server, key_version, tmp_path / "ca.pem").exit_code == 1
    assert not list(tmp_path.iterdir())
    assert create(server, key_version, tmp_path / "ca.pem", "--protection-level", "SOFTWARE").exit_code == 0
