"""`signerctl ca create` makes the root that the operator asked for, or refuses before it signs."""

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from csr_signer import der
from csr_signer.ca.algorithm import algorithm_for
from sandbox.kms import Corruption, Fault
from tests.unit.function.builders import ca_key_usage
from tests.unit.signerctl.authorities import PURPOSES, certificates, foreign, spki
from tests.unit.signerctl.stage import EVERY_ALGORITHM, Stage, openssl, records_of


def create(stage: Stage, out: Path, *more: str | Path, key: str | None = None) -> Result:
    """Runs the command as an operator does."""
    arguments: list[str | Path] = ["--key-version", key or stage.key(), "--common-name", "calico 2026", "--out", out]
    return stage.run("create", *arguments, *more)


@pytest.mark.parametrize(("algorithm", "hashed"), EVERY_ALGORITHM)
def test_a_root_of_every_algorithm_verifies_and_has_the_requested_fields(
    stage: Stage, tmp_path: Path, algorithm: str, hashed: str | None
) -> None:
    """The KMS key signs the root itself; it is for leaves and TLS only, and openssl and pyca accept it."""
    key_version, out = stage.key(algorithm), tmp_path / "ca.pem"
    raw = ["--signature-hash", hashed] if hashed else []
    result = create(stage, out, "--organization", "Example", "--days", "100", *raw, key=key_version)
    assert result.exit_code == 0, result.output
    strict = openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", out, out)
    assert strict.returncode == 0, strict.stderr
    (root,) = certificates(out)
    root.verify_directly_issued_by(root)
    key = load_pem_public_key(stage.client.get_public_key(name=key_version).pem.encode())
    expected = algorithm_for(algorithm, hashed)
    assert root.subject.rfc4514_string() == root.issuer.rfc4514_string() == "CN=calico 2026,O=Example"
    assert spki(root.public_key()) == spki(key)
    assert root.signature_algorithm_oid == expected.identifier
    assert type(root.signature_hash_algorithm) is expected.digest
    assert root.not_valid_after_utc - root.not_valid_before_utc == timedelta(days=100)
    assert timedelta(minutes=5) <= datetime.now(UTC) - root.not_valid_before_utc < timedelta(minutes=7)
    assert root.serial_number.bit_length() == 159
    assert [(each.critical, each.value) for each in root.extensions][:3] == [
        (True, x509.BasicConstraints(ca=True, path_length=0)),
        (True, ca_key_usage()),
        (False, PURPOSES),
    ]
    assert [type(each.value) for each in root.extensions][3:] == [x509.SubjectKeyIdentifier]


def test_intent_is_recorded_before_and_the_outcome_after(stage: Stage, tmp_path: Path) -> None:
    """Both records hold the hash from KMS's own log, and the certified fields."""
    result = create(stage, tmp_path / "ca.pem")
    intent, issued = records_of(result)
    (root,) = certificates(tmp_path / "ca.pem")
    assert (intent["event"], issued["event"]) == ("intent", "issued")
    differing = {key for key, value in intent.items() if issued[key] != value}
    of_each = {"time", "event", "message", "logging.googleapis.com/labels", "logging.googleapis.com/insertId"}
    assert differing == of_each
    assert intent["tbs_sha256"] == issued["tbs_sha256"]
    assert intent["serial_number"] == der.hexadecimal(root.serial_number)
    assert intent["not_after"] == root.not_valid_after_utc.isoformat()
    assert intent["path_length"] == 0
    assert issued["kms_attempts"] == 1
    reason = stage.server.audit.records("AsymmetricSign")[-1].reason
    assert reason == f"signerctl=ca-create;tbs-sha256={intent['tbs_sha256']}"


def test_audit_log_appends_the_records_to_a_file(stage: Stage, tmp_path: Path) -> None:
    """With --audit-log, standard error stays empty."""
    log = tmp_path / "audit.jsonl"
    for number in (1, 2):
        assert create(stage, tmp_path / f"{number}.pem", "--audit-log", log).stderr == ""
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["intent", "issued"] * 2


def test_nothing_is_signed_if_the_intent_cannot_be_recorded(stage: Stage, tmp_path: Path) -> None:
    """If the audit log is not writable, the command ends before it uses the key."""
    before = stage.signatures()
    result = create(stage, tmp_path / "ca.pem", "--audit-log", tmp_path / "absent" / "audit.jsonl")
    assert result.exit_code == 1
    assert "error: cannot write the audit record" in result.stderr
    assert stage.signatures() == before
    assert not list(tmp_path.iterdir())


def test_the_certificate_is_kept_if_the_outcome_cannot_be_recorded(stage: Stage, tmp_path: Path) -> None:
    """The disk is full after the intent: the key was used, so the file stays, and the message says so."""
    log, out = tmp_path / "log", tmp_path / "ca.pem"
    create(stage, tmp_path / "first.pem", "--audit-log", log)
    intent, issued = (len(line) + 1 for line in log.read_text(encoding="utf-8").splitlines())
    limit = 64 * 1024
    os.truncate(log, limit - intent - issued // 2)
    before = stage.signatures()
    with largest_file(limit):
        result = create(stage, out, "--audit-log", log)
    assert stage.signatures() == before + 1
    assert result.exit_code == 1
    message = 'error: the root "calico 2026" was signed and its file is written, but signerctl could not record it'
    assert result.stderr.startswith(message)
    assert len(certificates(out)) == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limits the size of files that this process writes, to simulate a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_an_existing_file_is_kept_unless_forced(stage: Stage, tmp_path: Path) -> None:
    """The command does not overwrite a CA certificate by accident, and does not use the key."""
    out = tmp_path / "ca.pem"
    out.write_text("in use", encoding="utf-8")
    before = stage.signatures()
    result = create(stage, out)
    assert result.exit_code == 1
    assert result.stderr == f"error: {out}: Forbidden: the file exists; --force overwrites it\n"
    assert out.read_text(encoding="utf-8") == "in use"
    assert stage.signatures() == before
    assert create(stage, out, "--force").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]


def test_the_file_has_the_umasks_mode(stage: Stage, tmp_path: Path) -> None:
    """A certificate is not secret, so the file gets the mode of any other new file."""
    (tmp_path / "other").touch()
    assert create(stage, tmp_path / "ca.pem").exit_code == 0
    assert (tmp_path / "ca.pem").stat().st_mode == (tmp_path / "other").stat().st_mode


WRONG = {
    "not a key version": (["--key-version", "projects/p/keys/k"], "cryptoKeyVersions/N"),
    "the operator's own name": (["--common-name", "tigera-operator-signer-1"], "tigera operator"),
    "Kubernetes' own name": (["--common-name", "system:ca"], "system:"),
    "a name that is too long": (["--common-name", "a" * 65], "1 to 64"),
    "a name with a control character": (["--common-name", "a\x01b"], "1 to 64"),
    "a name that ends with a space": (["--common-name", "a "], "1 to 64"),
    "an organization that is too long": (["--organization", "a" * 65], "at most 64"),
    "an organization with a line end": (["--organization", "a\nb"], "printable"),
    "no lifetime": (["--days", "0"], "--days"),
    "a path length that no chain needs": (["--path-length", "2"], "--path-length"),
    "a wildcard constraint": (["--permit-dns", "*.example.com"], "without wildcard"),
    "a constraint in capitals": (["--permit-dns", "Example.com"], "lower case"),
    "a constraint with a leading dot": (["--permit-dns", ".example.com"], "DNS name"),
    "a constraint twice": (["--permit-dns", "a.example", "--permit-dns", "a.example"], "must name each DNS name once"),
    "plaintext beyond this machine": (["--unsafe-plaintext-kms-endpoint", "192.0.2.1:443"], "loopback"),
    "an endpoint that is not Google's": (["--kms-endpoint", "kms.example.com"], "below googleapis.com"),
    "two endpoints": (["--kms-endpoint", "cloudkms.googleapis.com"], "--kms-endpoint: Forbidden: together with"),
    "a level that is none": (["--protection-level", "PAPER"], "--protection-level"),
    "a hash that is none": (["--signature-hash", "SHA1"], "--signature-hash"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_a_usage_error(stage: Stage, tmp_path: Path, options: list[str], said: str) -> None:
    """The message names the option and the allowed values; the command writes nothing."""
    result = create(stage, tmp_path / "ca.pem", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


REFUSED = {
    "RSASSA-PSS": ("RSA_SIGN_PSS_2048_SHA256", [], ["RSASSA-PSS", "RSA_SIGN_PKCS1_2048_SHA256"]),
    "Ed25519": ("EC_SIGN_ED25519", [], ["Ed25519", "EC_SIGN_P256_SHA256"]),
    "a raw key without a hash": ("RSA_SIGN_RAW_PKCS1_2048", [], ["--signature-hash: Required value", "SHA384"]),
    "a hash for a key that fixes its own": (
        "EC_SIGN_P256_SHA256",
        ["--signature-hash", "SHA512"],
        ["--signature-hash: Forbidden", "RSA_SIGN_RAW_PKCS1_2048"],
    ),
}


@pytest.mark.parametrize(("algorithm", "options", "said"), REFUSED.values(), ids=REFUSED)
def test_a_key_of_an_unsupported_algorithm_is_refused(
    stage: Stage, tmp_path: Path, algorithm: str, options: list[str], said: list[str]
) -> None:
    """The command refuses before it signs; the message names the supported algorithms."""
    before = stage.signatures()
    result = create(stage, tmp_path / "ca.pem", *options, key=stage.key(algorithm))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: key version projects/")
    assert all(part in result.stderr for part in said), result.stderr
    assert stage.signatures() == before


@pytest.mark.parametrize("corruption", [Corruption.FOREIGN_SIGNATURE, Corruption.SIGNATURE_CRC32C, Corruption.NAME])
def test_no_file_is_written_if_kms_answers_wrongly(stage: Stage, tmp_path: Path, corruption: Corruption) -> None:
    """A signature by another key never reaches a file; the intent gets its outcome."""
    stage.server.faults.add(Fault(method="AsymmetricSign", corruption=corruption, times=2))
    before = stage.signatures()
    result = create(stage, tmp_path / "ca.pem")
    assert result.exit_code == 1
    intent, abandoned = records_of(result)
    assert (intent["event"], abandoned["event"], abandoned["severity"]) == ("intent", "abandoned", "ERROR")
    assert intent["tbs_sha256"] == abandoned["tbs_sha256"]
    assert abandoned["fault"] == "IntegrityError"
    assert abandoned["kms_attempts"] == stage.signatures() - before == 2  # KMS logged both
    assert result.stderr.splitlines()[-1].startswith("error: key version")
    assert not list(tmp_path.iterdir())


FAULTS = ["PERMISSION_DENIED", "FAILED_PRECONDITION", "NOT_FOUND", "UNAUTHENTICATED"]


@pytest.mark.parametrize("status", FAULTS)
def test_a_refusal_by_kms_is_one_line(stage: Stage, tmp_path: Path, status: str) -> None:
    """The line names the key version, and the command writes no file."""
    stage.server.faults.add(Fault(status=status, times=0))
    result = create(stage, tmp_path / "ca.pem")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: key version {stage.key()}")
    assert not list(tmp_path.iterdir())


def test_nothing_is_signed_if_the_output_cannot_be_written(stage: Stage, tmp_path: Path) -> None:
    """The command checks the output file before it uses the key."""
    before = stage.signatures()
    result = create(stage, tmp_path / "absent" / "ca.pem")
    assert result.exit_code == 1
    assert "cannot write the file" in result.stderr
    assert stage.signatures() == before


def test_a_key_with_too_low_a_protection_level_is_refused(stage: Stage, tmp_path: Path) -> None:
    """The command does not use a software key unless the operator allows it."""
    software, before = stage.key(protection_level="SOFTWARE"), stage.signatures()
    result = create(stage, tmp_path / "ca.pem", key=software)
    assert result.exit_code == 1
    assert 'protection level: Invalid value: "SOFTWARE": must be at least "HSM"' in result.stderr
    assert stage.signatures() == before
    assert not list(tmp_path.iterdir())
    accepted = create(stage, tmp_path / "ca.pem", "--protection-level", "SOFTWARE", key=software)
    assert accepted.exit_code == 0


def test_force_overwrites_neither_the_log_nor_an_input(stage: Stage, tmp_path: Path) -> None:
    """The audit log and the CAs in use stay, and nothing is signed."""
    log, used = tmp_path / "log", tmp_path / "used.pem"
    create(stage, used, "--audit-log", log)
    before, kept = stage.signatures(), (log.read_bytes(), used.read_bytes())
    over_log = create(stage, log, "--audit-log", log, "--force")
    over_used = create(stage, used, "--existing", used, "--force")
    assert (over_log.exit_code, over_used.exit_code) == (1, 1)
    message = "Forbidden: the same file as the audit log and an output: give a different file for each"
    assert over_log.stderr == f"error: {log}: {message}\n"
    assert f"error: {used}: Forbidden: the same file as an output and an input" in over_used.stderr
    assert (stage.signatures(), log.read_bytes(), used.read_bytes()) == (before, *kept)


def test_a_common_name_in_use_is_a_warning(stage: Stage, tmp_path: Path) -> None:
    """The command compares with the files of --existing, and with the file that --force replaces."""
    old = stage.create(tmp_path / "old.pem", name="calico 2026")
    other = stage.create(tmp_path / "other.pem", name="calico 2025")
    warned = create(stage, tmp_path / "new.pem", "--existing", other, "--existing", old)
    assert warned.exit_code == 0
    assert f'warning: --common-name: Duplicate value: "calico 2026": the CA in {old} has it' in warned.stderr
    assert str(other) not in warned.stderr
    assert "warning: " not in create(stage, tmp_path / "newer.pem", "--existing", other).stderr
    assert f"the CA in {old} has it" in create(stage, old, "--force").stderr


def test_an_existing_certificate_may_have_an_unreadable_name(stage: Stage, tmp_path: Path) -> None:
    """An unreadable name cannot equal the new one, so there is no warning."""
    odd = foreign("Seed").public_bytes(Encoding.DER).replace(b"Seed", b"S\xff\xfed")
    (tmp_path / "odd.der").write_bytes(odd)
    result = create(stage, tmp_path / "ca.pem", "--existing", tmp_path / "odd.der")
    assert result.exit_code == 0
    assert "warning" not in result.stderr


def test_permit_dns_becomes_critical_name_constraints(stage: Stage, tmp_path: Path) -> None:
    """The certificate has the permitted subtrees in the given order, and openssl reads them."""
    out = stage.create(tmp_path / "ca.pem", "--permit-dns", "typha-client", "--permit-dns", "calico-system.svc")
    (root,) = certificates(out)
    extension = root.extensions.get_extension_for_class(x509.NameConstraints)
    assert extension.critical
    permitted = [x509.DNSName("typha-client"), x509.DNSName("calico-system.svc")]
    assert extension.value == x509.NameConstraints(permitted, None)
    assert "DNS:calico-system.svc" in openssl("x509", "-in", out, "-noout", "-text").stdout


def test_a_root_above_issuing_cas_has_path_length_1(stage: Stage, tmp_path: Path) -> None:
    """--path-length 1 sets the path length of the basic constraints."""
    (root,) = certificates(stage.create(tmp_path / "root.pem", "--path-length", "1"))
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints == x509.BasicConstraints(ca=True, path_length=1)


def test_the_summary_describes_the_new_root(stage: Stage, tmp_path: Path) -> None:
    """The operator sees subject, serial number, key version and file."""
    result = create(stage, tmp_path / "ca.pem")
    (root,) = certificates(tmp_path / "ca.pem")
    for part in ("CN=calico 2026", stage.key(), f"{tmp_path}/ca.pem", der.hexadecimal(root.serial_number)):
        assert part in result.stdout
    assert root.public_bytes(Encoding.PEM) == (tmp_path / "ca.pem").read_bytes()
