"""`signerctl ca cross-sign`: peers that know only the old root accept the new CA's leaves, or the command refuses."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.kms import Corruption, Fault
from tests.unit.function.builders import ca_key_usage
from tests.unit.signerctl.authorities import PURPOSES, ca_certificate, certificates, foreign, spki, write
from tests.unit.signerctl.function import leaf_of, loaded
from tests.unit.signerctl.stage import Stage, openssl, records_of, verified

NEW = 2
"""Number of the new CA's key; the trusted root's is 1."""


def cross_sign(
    stage: Stage,
    root: Path,
    new: Path,
    out: Path,
    *more: str | Path,
    key: str | None = None,
    new_key: str | None = None,
) -> Result:
    """Runs the command as an operator does."""
    keys = ("--key-version", key or stage.key(), "--new-key-version", new_key or stage.key(number=NEW))
    return stage.run("cross-sign", *keys, "--signing-certificate", root, "--certificate", new, "--out", out, *more)


@pytest.fixture
def root(stage: Stage, tmp_path: Path) -> Path:
    """A root with path length 1."""
    return stage.create(tmp_path / "root.pem", "--path-length", "1", "--days", "2000", name="Calico root")


@pytest.fixture
def new(stage: Stage, tmp_path: Path) -> Path:
    """A new CA with another key."""
    return stage.create(tmp_path / "new.pem", "--days", "3000", key=stage.key(number=NEW), name="Calico CA 2027")


@pytest.fixture
def crossed(stage: Stage, root: Path, new: Path, tmp_path: Path) -> Path:
    """The new CA's cross-certificate, issued by the root."""
    out = tmp_path / "cross.pem"
    result = cross_sign(stage, root, new, out)
    assert result.exit_code == 0, result.output
    return out


def test_a_cross_certificate_has_the_new_cas_name_and_key(root: Path, new: Path, crossed: Path) -> None:
    """Subject, key and key identifier equal the new CA's; the issuer is the root; it ends when the first CA ends."""
    (below,), (above,), (found,) = certificates(new), certificates(root), certificates(crossed)
    assert found.subject.public_bytes() == below.subject.public_bytes()
    assert found.issuer.public_bytes() == above.subject.public_bytes()
    assert spki(found.public_key()) == spki(below.public_key())
    assert found.not_valid_before_utc >= max(above.not_valid_before_utc, below.not_valid_before_utc)
    assert found.not_valid_after_utc == above.not_valid_after_utc < below.not_valid_after_utc
    assert found.serial_number not in (above.serial_number, below.serial_number)
    own = below.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    signers = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert [(each.critical, each.value) for each in found.extensions] == [
        (True, x509.BasicConstraints(ca=True, path_length=0)),
        (True, ca_key_usage()),
        (False, PURPOSES),
        (False, own.value),
        (False, x509.AuthorityKeyIdentifier(signers.value.digest, None, None)),
    ]
    found.verify_directly_issued_by(above)
    checked = openssl("verify", "-x509_strict", "-CAfile", root, crossed)
    assert checked.returncode == 0, checked.stderr


def test_a_root_with_path_length_0_is_refused(stage: Stage, new: Path, tmp_path: Path) -> None:
    """The message says why, and what to do instead; the command does not use the key."""
    root = stage.create(tmp_path / "root.pem", name="Calico root")
    before = stage.signatures()
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    for part in ("path length is 0", "RFC 5280, 4.2.1.9", "publish both roots in caCert"):
        assert part in result.stderr
    assert stage.signatures() == before
    assert not (tmp_path / "cross.pem").exists()


@pytest.mark.parametrize(
    ("algorithm", "hashed"),
    [("RSA_SIGN_PKCS1_4096_SHA512", None), ("EC_SIGN_P384_SHA384", None), ("RSA_SIGN_RAW_PKCS1_3072", "SHA384")],
)
def test_root_and_new_ca_may_have_different_algorithms(
    stage: Stage, new: Path, tmp_path: Path, algorithm: str, hashed: str | None
) -> None:
    """The root's algorithm signs the new CA's key, and openssl accepts a leaf."""
    raw = ["--signature-hash", hashed] if hashed else []
    key = stage.key(algorithm)
    root = stage.create(tmp_path / "root.pem", "--path-length", "1", *raw, key=key, name="Calico root")
    result = cross_sign(stage, root, new, tmp_path / "cross.pem", *raw, key=key)
    assert result.exit_code == 0, result.output
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(leaf_of(stage, loaded(stage.key(number=NEW), tmp_path / "cross.pem", root)))
    assert verified(leaf, root, leaf) == []


def test_the_cross_certificate_has_the_new_cas_name_constraints(stage: Stage, root: Path, tmp_path: Path) -> None:
    """A constrained CA gets an equally constrained cross-certificate."""
    new = stage.create(tmp_path / "new.pem", "--permit-dns", "typha-client", key=stage.key(number=NEW), name="Bound")
    assert cross_sign(stage, root, new, tmp_path / "cross.pem").exit_code == 0
    kind = x509.NameConstraints
    kept, own = (
        certificates(path)[0].extensions.get_extension_for_class(kind) for path in (tmp_path / "cross.pem", new)
    )
    assert (kept.critical, kept.value) == (own.critical, own.value)


def test_intent_and_outcome_are_recorded(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """The records hold the root's key version, both names, and the purpose from KMS's log."""
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    intent, issued = records_of(result)
    assert (intent["event"], issued["event"]) == ("intent", "issued")
    assert (intent["subject"], intent["issuer"]) == ("CN=Calico CA 2027", "CN=Calico root")
    assert intent["key_version"] == stage.key()
    reason = stage.server.audit.records("AsymmetricSign")[-1].reason
    assert reason == f"signerctl=ca-cross-sign;tbs-sha256={intent['tbs_sha256']}"


def test_no_file_is_written_for_a_foreign_signature(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """A signature by another key never reaches a file."""
    stage.server.faults.add(Fault(method="AsymmetricSign", corruption=Corruption.FOREIGN_SIGNATURE, times=2))
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert [each["event"] for each in records_of(result)] == ["intent", "abandoned"]
    assert not (tmp_path / "cross.pem").exists()


WRONG_ROOTS: dict[str, tuple[dict[str, Any], str]] = {
    "no CA": ({"ca": False}, "must have basic constraints CA:TRUE"),
    "no keyCertSign": ({"path_length": 1, "key_cert_sign": False}, "its key usage must have keyCertSign"),
    "expired": ({"path_length": 1, "days": (-20, -10)}, "must include today"),
    "another key": ({"path_length": 1}, "another key: must hold the public key of"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG_ROOTS.values(), ids=WRONG_ROOTS)
def test_a_root_that_cannot_certify_a_ca_is_refused(
    stage: Stage, new: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """The command refuses before it uses the key, and names the file."""
    root = write(tmp_path / "root.pem", foreign("Old root", **changes))
    before = stage.signatures()
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {root}: ")
    assert said in result.stderr
    assert stage.signatures() == before


WRONG_NEW: dict[str, tuple[dict[str, Any], str]] = {
    "path length 1": ({"path_length": 1}, "path length is 1, must be 0"),
    "no CA": ({"ca": False}, "must have basic constraints CA:TRUE"),
    "expired": ({"days": (-20, -10)}, "must include today"),
    "the root's name": ({"name": "Calico root"}, "subject: Invalid value: the trusted root's name"),
    "Kubernetes' name": ({"name": "system:masters"}, "Forbidden: a common name that starts with system:"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG_NEW.values(), ids=WRONG_NEW)
def test_a_ca_that_could_not_sign_leaves_is_refused(
    stage: Stage, root: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """The command refuses before it uses the key, and names the file."""
    new = write(tmp_path / "new.pem", foreign(**changes))
    before = stage.signatures()
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {new}: ")
    assert said in result.stderr
    assert stage.signatures() == before


def forged(path: Path, certificate: x509.Certificate) -> Path:
    """Replaces a certificate's signature by another key's; its key identifiers still claim that it is self-signed."""
    encoded = certificate.public_bytes(Encoding.DER)
    start = len(encoded) - len(certificate.signature)
    while True:  # an ECDSA signature has 70 to 72 bytes
        key = ec.generate_private_key(ec.SECP256R1())
        signature = key.sign(certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
        if len(signature) == len(certificate.signature):
            return write(path, x509.load_der_x509_certificate(encoded[:start] + signature))


@pytest.mark.parametrize("which", ["new", "root"])
def test_a_self_signature_that_does_not_verify_is_refused(
    stage: Stage, root: Path, new: Path, tmp_path: Path, which: str
) -> None:
    """Attack: a CA certificate with a public key whose owner never signed it. The command does not call KMS."""
    victim = foreign("Calico CA 2028", path_length=0 if which == "new" else 1)
    bad = forged(tmp_path / "bad.pem", victim)
    before = len(stage.server.audit.records())
    result = cross_sign(stage, bad if which == "root" else root, bad if which == "new" else new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert f"{bad}: Invalid value: not self-signed" in result.stderr
    assert records_of(result) == []
    assert len(stage.server.audit.records()) == before
    assert not (tmp_path / "cross.pem").exists()


def test_the_new_ca_must_hold_the_key_of_the_new_key_version(stage: Stage, root: Path, tmp_path: Path) -> None:
    """The command refuses a valid CA whose key is outside KMS, and a CA of another key version."""
    elsewhere = write(tmp_path / "elsewhere.pem", foreign("Calico CA 2027"))
    other = stage.create(tmp_path / "other.pem", key=stage.key(number=3), name="Calico CA 2028")
    before = stage.signatures()
    for new in (elsewhere, other):
        result = cross_sign(stage, root, new, tmp_path / "cross.pem")
        assert result.exit_code == 1
        message = f"Invalid value: another key: must hold the public key of {stage.key(number=NEW)}"
        assert f"error: {new}: {message}" in result.stderr
        assert records_of(result) == []
    assert stage.signatures() == before
    assert not (tmp_path / "cross.pem").exists()


def test_the_new_key_needs_the_required_protection_level(stage: Stage, root: Path, tmp_path: Path) -> None:
    """The command refuses a software key, as the function would, unless the operator allows it."""
    key = stage.key(protection_level="SOFTWARE")
    less = ("--protection-level", "SOFTWARE")
    new = stage.create(tmp_path / "new.pem", *less, key=key, name="Calico CA 2027")
    result = cross_sign(stage, root, new, tmp_path / "cross.pem", new_key=key)
    assert result.exit_code == 1
    message = 'protection level: Invalid value: "SOFTWARE": must be at least "HSM"'
    assert f"key version {key}: {message}" in result.stderr
    assert records_of(result) == []
    assert cross_sign(stage, root, new, tmp_path / "cross.pem", *less, new_key=key).exit_code == 0


def test_new_key_version_is_required(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """Without it, the command could not prove that the new CA's key is in KMS."""
    files = ("--signing-certificate", root, "--certificate", new, "--out", tmp_path / "cross.pem")
    result = stage.run("cross-sign", "--key-version", stage.key(), *files)
    assert result.exit_code == 2
    assert "--new-key-version: Required value" in result.stderr


def test_force_overwrites_neither_the_root_nor_the_log(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """The trusted root and the audit log stay, and nothing is signed."""
    before, kept = stage.signatures(), root.read_bytes()
    result = cross_sign(stage, root, new, root, "--force")
    assert result.exit_code == 1
    assert f"{root}: Forbidden: the same file as an output and an input" in result.stderr
    log = tmp_path / "log"
    result = cross_sign(stage, root, new, log, "--audit-log", log, "--force")
    assert result.exit_code == 1
    assert f"{log}: Forbidden: the same file as the audit log and an output" in result.stderr
    assert (stage.signatures(), root.read_bytes(), log.exists()) == (before, kept, False)


def test_a_new_ca_with_two_common_names_is_refused(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Relying parties disagree about which of the two counts."""
    key = ec.generate_private_key(ec.SECP256R1())
    one = ca_certificate("One", key, "One", key)
    name = x509.Name([*one.subject, x509.NameAttribute(NameOID.COMMON_NAME, "Two")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), one.serial_number)
    builder = builder.not_valid_before(one.not_valid_before_utc).not_valid_after(one.not_valid_after_utc)
    for each in one.extensions:
        builder = builder.add_extension(each.value, critical=each.critical)
    new = write(tmp_path / "new.pem", builder.sign(key, hashes.SHA256()))
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert f"error: {new}: subject: Invalid value: 2 common names: must have one" in result.stderr


def test_the_new_ca_must_be_self_signed(stage: Stage, root: Path, crossed: Path, tmp_path: Path) -> None:
    """A self-signature proves possession of the new key; a cross-certificate does not."""
    result = cross_sign(stage, root, crossed, tmp_path / "again.pem")
    assert result.exit_code == 1
    assert "Invalid value: not self-signed" in result.stderr


def test_only_a_root_can_cross_sign(stage: Stage, new: Path, tmp_path: Path) -> None:
    """Not every relying party accepts an intermediate as a trust anchor."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    between = write(tmp_path / "ca.pem", ca_certificate("Between", keys[0], "Above", keys[1], path_length=1))
    result = cross_sign(stage, between, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert "Invalid value: not self-signed: must be the root that relying parties trust" in result.stderr


def test_name_constraints_that_cannot_be_copied_are_refused(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Otherwise the cross-certificate would permit more names than the new CA's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    for constraints in (
        x509.NameConstraints(None, [x509.DNSName("example.com")]),
        x509.NameConstraints([x509.DNSName("example.com"), x509.RFC822Name("example.com")], None),
    ):
        new = write(tmp_path / "new.pem", ca_certificate("Bound", key, "Bound", key, constraints=constraints))
        result = cross_sign(stage, root, new, tmp_path / "cross.pem")
        assert result.exit_code == 1
        assert "name constraints: Unsupported value: supported values: permitted DNS names" in result.stderr


def test_the_roots_own_key_under_a_new_name_is_refused(stage: Stage, root: Path, tmp_path: Path) -> None:
    """The new CA needs a new key, not only a new name."""
    same = stage.create(tmp_path / "same.pem", name="Calico CA 2027")
    result = cross_sign(stage, root, same, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert "key: Invalid value: the trusted root's key: must be" in result.stderr


def test_a_file_with_two_certificates_is_refused(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """The command does not guess which of them the operator means."""
    both = write(tmp_path / "both.pem", *certificates(root), *certificates(new))
    result = cross_sign(stage, root, both, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert f"{both}: Invalid value: 2 certificates: must be one" in result.stderr
