"""`signerctl ca request` makes a request that a corporate CA accepts, and signs nothing else."""

from pathlib import Path

import pytest
from click.testing import Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from csr_signer.ca.algorithm import algorithm_for
from sandbox.kms import Corruption, Fault
from tests.unit.function.builders import ca_key_usage
from tests.unit.signerctl.authorities import PURPOSES, spki
from tests.unit.signerctl.stage import EVERY_ALGORITHM, Stage, openssl, records_of


def request(stage: Stage, out: Path, *more: str | Path, key: str | None = None) -> Result:
    """Runs the command as an operator does."""
    arguments: list[str | Path] = ["--key-version", key or stage.key(), "--common-name", "Calico CA 2026", "--out", out]
    return stage.run("request", *arguments, *more)


def parsed(path: Path) -> x509.CertificateSigningRequest:
    """Parses a request from a file."""
    return x509.load_pem_x509_csr(path.read_bytes())


@pytest.mark.parametrize(("algorithm", "hashed"), EVERY_ALGORITHM)
def test_a_request_of_every_algorithm_verifies_and_has_the_requested_fields(
    stage: Stage, tmp_path: Path, algorithm: str, hashed: str | None
) -> None:
    """It proves possession of the KMS key to openssl and pyca, and asks for an issuing CA only."""
    key_version, out = stage.key(algorithm), tmp_path / "ca.csr"
    raw = ["--signature-hash", hashed] if hashed else []
    result = request(stage, out, "--organization", "Exämple", *raw, key=key_version)
    assert result.exit_code == 0, result.output
    checked = openssl("req", "-in", out, "-verify", "-noout")
    assert checked.returncode == 0, checked.stderr
    assert "verify OK" in checked.stdout + checked.stderr
    asked = parsed(out)
    key = load_pem_public_key(stage.client.get_public_key(name=key_version).pem.encode())
    expected = algorithm_for(algorithm, hashed)
    assert asked.is_signature_valid
    assert asked.signature_algorithm_oid == expected.identifier
    assert type(asked.signature_hash_algorithm) is expected.digest
    assert asked.subject.rfc4514_string() == "CN=Calico CA 2026,O=Exämple"
    assert spki(asked.public_key()) == spki(key)
    assert [(each.critical, each.value) for each in asked.extensions][:3] == [
        (True, x509.BasicConstraints(ca=True, path_length=0)),
        (True, ca_key_usage()),
        (False, PURPOSES),
    ]
    assert [type(each.value) for each in asked.extensions][3:] == [x509.SubjectKeyIdentifier]
    assert [each.oid.dotted_string for each in asked.attributes] == ["1.2.840.113549.1.9.14"]


def test_request_and_root_of_one_key_have_the_same_key_identifier(stage: Stage, tmp_path: Path) -> None:
    """The key identifier depends only on the key, not on the issuer."""
    assert request(stage, tmp_path / "ca.csr").exit_code == 0
    root = x509.load_pem_x509_certificate(stage.create(tmp_path / "ca.pem").read_bytes())
    kind = x509.SubjectKeyIdentifier
    asked = parsed(tmp_path / "ca.csr").extensions.get_extension_for_class(kind)
    assert asked.value == root.extensions.get_extension_for_class(kind).value


def test_permit_dns_requests_name_constraints(stage: Stage, tmp_path: Path) -> None:
    """The request has the same critical extension as a root."""
    assert request(stage, tmp_path / "ca.csr", "--permit-dns", "typha-client").exit_code == 0
    constraints = parsed(tmp_path / "ca.csr").extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value == x509.NameConstraints([x509.DNSName("typha-client")], None)


def test_intent_and_outcome_are_recorded(stage: Stage, tmp_path: Path) -> None:
    """The records hold the subject, and the hash from KMS's log."""
    result = request(stage, tmp_path / "ca.csr")
    intent, issued = records_of(result)
    assert (intent["event"], issued["event"]) == ("intent", "issued")
    assert intent["subject"] == "CN=Calico CA 2026"
    assert "serial_number" not in intent
    reason = stage.server.audit.records("AsymmetricSign")[-1].reason
    assert reason == f"signerctl=ca-request;tbs-sha256={intent['tbs_sha256']}"


def test_force_does_not_overwrite_the_audit_log(stage: Stage, tmp_path: Path) -> None:
    """The audit log stays as it is, and nothing is signed."""
    log, before = tmp_path / "log", stage.signatures()
    log.write_bytes(b"{}\n")
    result = stage.run(
        "request", "--key-version", stage.key(), "--common-name", "A", "--out", log, "--audit-log", log, "--force"
    )
    assert result.exit_code == 1
    assert "the same file as the audit log and an output" in result.stderr
    assert (stage.signatures(), log.read_bytes()) == (before, b"{}\n")


def test_an_existing_file_is_kept_unless_forced(stage: Stage, tmp_path: Path) -> None:
    """The command does not overwrite a request by accident, and does not use the key."""
    out = tmp_path / "ca.csr"
    assert request(stage, out).exit_code == 0
    first, before = out.read_bytes(), stage.signatures()
    assert request(stage, out).exit_code == 1
    assert (out.read_bytes(), stage.signatures()) == (first, before)
    assert request(stage, out, "--force").exit_code == 0
    assert parsed(out).public_bytes(Encoding.PEM) != first


def test_no_file_is_written_for_a_foreign_signature(stage: Stage, tmp_path: Path) -> None:
    """A request without a valid proof of possession never reaches a file."""
    stage.server.faults.add(Fault(method="AsymmetricSign", corruption=Corruption.FOREIGN_SIGNATURE, times=2))
    result = request(stage, tmp_path / "ca.csr")
    assert result.exit_code == 1
    assert [each["event"] for each in records_of(result)] == ["intent", "abandoned"]
    assert not list(tmp_path.iterdir())
