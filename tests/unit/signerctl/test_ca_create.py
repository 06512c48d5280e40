"""`signerctl ca create`: what an operator gets, and what is refused."""

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
def test_a_root_of_every_algorithm_verifies_and_says_what_was_asked_for(
    stage: Stage, tmp_path: Path, algorithm: str, hashed: str | None
) -> None:
    """The root is self-signed by the KMS key, for leaves and TLS only; openssl and pyca accept it, field by field."""
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
    """The records name the hash that KMS's own log names, and what was certified."""
    result = create(stage, tmp_path / "ca.pem")
    intent, issued = records_of(result)
    (root,) = certificates(tmp_path / "ca.pem")
    assert (intent["event"], issued["event"]) == ("intent", "issued")
    differing = {key for key, value in intent.items() if issued[key] != value}
    of_each = {"time", "event", "message", "logging.googleapis.com/labels", "logging.googleapis.com/insertId"}
    assert differing == of_each
    assert intent["tbs_sha256"] == issued["tbs_sha256"]
    assert intent["serial_number"] == f"{root.serial_number:x}"
    assert intent["not_after"] == root.not_valid_after_utc.isoformat()
    assert intent["path_length"] == 0
    assert issued["kms_attempts"] == 1
    reason = stage.server.audit.records("AsymmetricSign")[-1].reason
    assert reason == f"signerctl=ca-create;tbs-sha256={intent['tbs_sha256']}"


def test_records_go_to_a_file_where_one_is_named(stage: Stage, tmp_path: Path) -> None:
    """The file is appended to, and standard error stays free."""
    log = tmp_path / "audit.jsonl"
    for number in (1, 2):
        assert create(stage, tmp_path / f"{number}.pem", "--audit-log", log).stderr == ""
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["intent", "issued"] * 2


def test_without_a_place_for_the_intent_nothing_is_signed(stage: Stage, tmp_path: Path) -> None:
    """A log that cannot be written ends the command before the key is used."""
    before = stage.signatures()
    result = create(stage, tmp_path / "ca.pem", "--audit-log", tmp_path / "absent" / "audit.jsonl")
    assert result.exit_code == 1
    assert "error: cannot write the audit record" in result.stderr
    assert stage.signatures() == before
    assert not list(tmp_path.iterdir())


def test_an_outcome_that_cannot_be_recorded_is_told_as_that(stage: Stage, tmp_path: Path) -> None:
    """The log grows no more after the intent: the key was used, and the file that came of it is kept and named so."""
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
    told = "error: the root 'calico 2026' was signed and its file is written, but signerctl could not record it"
    assert result.stderr.startswith(told)
    assert len(certificates(out)) == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets no file of this process grow beyond a size: as on a full disk, but for one file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_an_existing_file_is_kept_unless_forced(stage: Stage, tmp_path: Path) -> None:
    """A CA certificate that is in use is not overwritten by accident, and the key is not even asked."""
    out = tmp_path / "ca.pem"
    out.write_text("in use", encoding="utf-8")
    before = stage.signatures()
    result = create(stage, out)
    assert result.exit_code == 1
    assert result.stderr == f"error: {out} exists; --force overwrites it\n"
    assert out.read_text(encoding="utf-8") == "in use"
    assert stage.signatures() == before
    assert create(stage, out, "--force").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]


def test_the_file_is_readable_as_the_umask_says(stage: Stage, tmp_path: Path) -> None:
    """A certificate is no secret: the file is made as any other of the operator's files."""
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
    "a constraint twice": (["--permit-dns", "a.example", "--permit-dns", "a.example"], "each DNS name only once"),
    "plaintext beyond this machine": (["--unsafe-plaintext-kms-endpoint", "192.0.2.1:443"], "loopback"),
    "an endpoint that is not Google's": (["--kms-endpoint", "kms.example.com"], "below googleapis.com"),
    "two endpoints": (["--kms-endpoint", "cloudkms.googleapis.com"], "two KMS endpoints: must be one"),
    "a level that is none": (["--protection-level", "PAPER"], "--protection-level"),
    "a hash that is none": (["--signature-hash", "SHA1"], "--signature-hash"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_named_with_what_is_allowed(
    stage: Stage, tmp_path: Path, options: list[str], said: str
) -> None:
    """Bad input is a usage error, and nothing is written."""
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
def test_a_key_that_signs_no_certificates_here_is_refused_by_name(
    stage: Stage, tmp_path: Path, algorithm: str, options: list[str], said: list[str]
) -> None:
    """It is refused before anything is signed; the message says what to use instead."""
    before = stage.signatures()
    result = create(stage, tmp_path / "ca.pem", *options, key=stage.key(algorithm))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: key version projects/")
    assert all(part in result.stderr for part in said), result.stderr
    assert stage.signatures() == before


@pytest.mark.parametrize("corruption", [Corruption.FOREIGN_SIGNATURE, Corruption.SIGNATURE_CRC32C, Corruption.NAME])
def test_a_wrong_answer_of_kms_writes_nothing(stage: Stage, tmp_path: Path, corruption: Corruption) -> None:
    """A signature that is not the key's own never becomes a file; the intent is accounted for."""
    stage.server.faults.add(Fault(method="AsymmetricSign", corruption=corruption, times=2))
    before = stage.signatures()
    result = create(stage, tmp_path / "ca.pem")
    assert result.exit_code == 1
    intent, abandoned = records_of(result)
    assert (intent["event"], abandoned["event"], abandoned["severity"]) == ("intent", "abandoned", "ERROR")
    assert intent["tbs_sha256"] == abandoned["tbs_sha256"]
    assert abandoned["fault"] == "IntegrityError"
    assert abandoned["kms_attempts"] == stage.signatures() - before == 2  # each of them stands in KMS's log
    assert result.stderr.splitlines()[-1].startswith("error: key version")
    assert not list(tmp_path.iterdir())


FAULTS = ["PERMISSION_DENIED", "FAILED_PRECONDITION", "NOT_FOUND", "UNAUTHENTICATED"]


@pytest.mark.parametrize("status", FAULTS)
def test_a_key_that_kms_does_not_let_us_use_is_one_line(stage: Stage, tmp_path: Path, status: str) -> None:
    """What KMS answers becomes one line that names the key version, and no file."""
    stage.server.faults.add(Fault(status=status, times=0))
    result = create(stage, tmp_path / "ca.pem")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: key version {stage.key()}")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_told_before_the_key_is_used(stage: Stage, tmp_path: Path) -> None:
    """A root that cannot be kept is not signed."""
    before = stage.signatures()
    result = create(stage, tmp_path / "absent" / "ca.pem")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert stage.signatures() == before


def test_a_key_that_is_protected_too_weakly_is_refused(stage: Stage, tmp_path: Path) -> None:
    """A software key is no CA key unless the operator says so; it is not even asked."""
    software, before = stage.key(protection_level="SOFTWARE"), stage.signatures()
    result = create(stage, tmp_path / "ca.pem", key=software)
    assert result.exit_code == 1
    assert "protection level is SOFTWARE: must be at least HSM" in result.stderr
    assert stage.signatures() == before
    assert not list(tmp_path.iterdir())
    accepted = create(stage, tmp_path / "ca.pem", "--protection-level", "SOFTWARE", key=software)
    assert accepted.exit_code == 0


def test_neither_log_nor_existing_certificate_is_overwritten(stage: Stage, tmp_path: Path) -> None:
    """Not even forced: records of the key's use and CAs in use are kept, and nothing is signed."""
    log, used = tmp_path / "log", tmp_path / "used.pem"
    create(stage, used, "--audit-log", log)
    before, kept = stage.signatures(), (log.read_bytes(), used.read_bytes())
    over_log = create(stage, log, "--audit-log", log, "--force")
    over_used = create(stage, used, "--existing", used, "--force")
    assert (over_log.exit_code, over_used.exit_code) == (1, 1)
    assert (
        over_log.stderr
        == f"error: {log}: Invalid value: given for the audit log and an output: must be one file for each\n"
    )
    assert f"error: {used}: Invalid value: given for an output and an input" in over_used.stderr
    assert (stage.signatures(), log.read_bytes(), used.read_bytes()) == (before, *kept)


def test_a_common_name_that_exists_is_warned_of(stage: Stage, tmp_path: Path) -> None:
    """The CAs in use are named with --existing; what --force replaces is looked at, too."""
    old = stage.create(tmp_path / "old.pem", name="calico 2026")
    other = stage.create(tmp_path / "other.pem", name="calico 2025")
    warned = create(stage, tmp_path / "new.pem", "--existing", other, "--existing", old)
    assert warned.exit_code == 0
    assert f"warning: {old}: a CA with common name 'calico 2026' exists" in warned.stderr
    assert str(other) not in warned.stderr
    assert "warning: " not in create(stage, tmp_path / "newer.pem", "--existing", other).stderr
    assert f"warning: {old}:" in create(stage, old, "--force").stderr


def test_an_existing_certificate_without_readable_name_is_no_obstacle(stage: Stage, tmp_path: Path) -> None:
    """It cannot have the same name."""
    odd = foreign("Seed").public_bytes(Encoding.DER).replace(b"Seed", b"S\xff\xfed")
    (tmp_path / "odd.der").write_bytes(odd)
    result = create(stage, tmp_path / "ca.pem", "--existing", tmp_path / "odd.der")
    assert result.exit_code == 0
    assert "warning" not in result.stderr


def test_name_constraints_are_critical_and_as_asked_for(stage: Stage, tmp_path: Path) -> None:
    """--permit-dns becomes permitted subtrees in their order; openssl reads them."""
    out = stage.create(tmp_path / "ca.pem", "--permit-dns", "typha-client", "--permit-dns", "calico-system.svc")
    (root,) = certificates(out)
    extension = root.extensions.get_extension_for_class(x509.NameConstraints)
    assert extension.critical
    permitted = [x509.DNSName("typha-client"), x509.DNSName("calico-system.svc")]
    assert extension.value == x509.NameConstraints(permitted, None)
    assert "DNS:calico-system.svc" in openssl("x509", "-in", out, "-noout", "-text").stdout


def test_a_root_above_issuing_cas_has_path_length_1(stage: Stage, tmp_path: Path) -> None:
    """Nothing else about it is different."""
    (root,) = certificates(stage.create(tmp_path / "root.pem", "--path-length", "1"))
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints == x509.BasicConstraints(ca=True, path_length=1)


def test_what_was_made_is_told(stage: Stage, tmp_path: Path) -> None:
    """The operator sees subject, fingerprint, key version and file."""
    result = create(stage, tmp_path / "ca.pem")
    (root,) = certificates(tmp_path / "ca.pem")
    for part in ("CN=calico 2026", stage.key(), f"{tmp_path}/ca.pem", f"{root.serial_number:x}"):
        assert part in result.stdout
    assert root.public_bytes(Encoding.PEM) == (tmp_path / "ca.pem").read_bytes()
