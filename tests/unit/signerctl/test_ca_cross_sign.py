"""`signerctl ca cross-sign`: peers that know the old root alone accept the new CA's leaves, or the command refuses."""

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
    """A root that may have a CA below it."""
    return stage.create(tmp_path / "root.pem", "--path-length", "1", "--days", "2000", name="Calico root")


@pytest.fixture
def new(stage: Stage, tmp_path: Path) -> Path:
    """A new CA of another key."""
    return stage.create(tmp_path / "new.pem", "--days", "3000", key=stage.key(number=NEW), name="Calico CA 2027")


@pytest.fixture
def crossed(stage: Stage, root: Path, new: Path, tmp_path: Path) -> Path:
    """The new CA, vouched for by the root."""
    out = tmp_path / "cross.pem"
    result = cross_sign(stage, root, new, out)
    assert result.exit_code == 0, result.output
    return out


def test_a_cross_certificate_is_the_new_ca_under_the_old_name(root: Path, new: Path, crossed: Path) -> None:
    """Subject, key and key identifier are the new CA's, byte for byte; the issuer is the root; it ends with both."""
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


def test_a_root_with_path_length_0_is_refused_with_the_way_out(stage: Stage, new: Path, tmp_path: Path) -> None:
    """The message says why, and what to do instead; the key is not used."""
    root = stage.create(tmp_path / "root.pem", name="Calico root")
    before = stage.signatures()
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    for part in ("path length is 0", "RFC 5280, 4.2.1.9", "OpenSSL and Go refuse", "publish both roots in caCert"):
        assert part in result.stderr
    assert stage.signatures() == before
    assert not (tmp_path / "cross.pem").exists()


@pytest.mark.parametrize(
    ("algorithm", "hashed"),
    [("RSA_SIGN_PKCS1_4096_SHA512", None), ("EC_SIGN_P384_SHA384", None), ("RSA_SIGN_RAW_PKCS1_3072", "SHA384")],
)
def test_root_and_new_ca_may_be_of_different_algorithms(
    stage: Stage, new: Path, tmp_path: Path, algorithm: str, hashed: str | None
) -> None:
    """The signature is by the root's algorithm, the key is the new CA's."""
    raw = ["--signature-hash", hashed] if hashed else []
    key = stage.key(algorithm)
    root = stage.create(tmp_path / "root.pem", "--path-length", "1", *raw, key=key, name="Calico root")
    result = cross_sign(stage, root, new, tmp_path / "cross.pem", *raw, key=key)
    assert result.exit_code == 0, result.output
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(leaf_of(stage, loaded(stage.key(number=NEW), tmp_path / "cross.pem", root)))
    assert verified(leaf, root, leaf) == []


def test_name_constraints_of_the_new_ca_are_kept(stage: Stage, root: Path, tmp_path: Path) -> None:
    """What bounds the new root bounds its cross-certificate."""
    new = stage.create(tmp_path / "new.pem", "--permit-dns", "typha-client", key=stage.key(number=NEW), name="Bound")
    assert cross_sign(stage, root, new, tmp_path / "cross.pem").exit_code == 0
    kind = x509.NameConstraints
    kept, own = (
        certificates(path)[0].extensions.get_extension_for_class(kind) for path in (tmp_path / "cross.pem", new)
    )
    assert (kept.critical, kept.value) == (own.critical, own.value)


def test_intent_and_outcome_are_recorded(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """The root's key version, both names, and the purpose that KMS's log shows, too."""
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    intent, issued = records_of(result)
    assert (intent["event"], issued["event"]) == ("intent", "issued")
    assert (intent["subject"], intent["issuer"]) == ('"CN=Calico CA 2027"', '"CN=Calico root"')
    assert intent["key_version"] == stage.key()
    reason = stage.server.audit.records("AsymmetricSign")[-1].reason
    assert reason == f"signerctl=ca-cross-sign;tbs-sha256={intent['tbs_sha256']}"


def test_a_foreign_signature_writes_nothing(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """As for a root."""
    stage.server.faults.add(Fault(method="AsymmetricSign", corruption=Corruption.FOREIGN_SIGNATURE, times=2))
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert [each["event"] for each in records_of(result)] == ["intent", "abandoned"]
    assert not (tmp_path / "cross.pem").exists()


WRONG_ROOTS: dict[str, tuple[dict[str, Any], str]] = {
    "no CA": ({"ca": False}, "must have basic constraints CA:TRUE"),
    "no keyCertSign": ({"path_length": 1, "key_cert_sign": False}, "its key usage must have keyCertSign"),
    "ended": ({"path_length": 1, "days": (-20, -10)}, "must be valid now"),
    "another key's": ({"path_length": 1}, "its key is not that of"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG_ROOTS.values(), ids=WRONG_ROOTS)
def test_a_root_that_cannot_vouch_is_refused(
    stage: Stage, new: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """Before the key is used; the file is named."""
    root = write(tmp_path / "root.pem", foreign("Old root", **changes))
    before = stage.signatures()
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {root}: ")
    assert said in result.stderr
    assert stage.signatures() == before


WRONG_NEW: dict[str, tuple[dict[str, Any], str]] = {
    "room for further CAs": ({"path_length": 1}, "path length is 1, must be 0"),
    "no CA": ({"ca": False}, "must have basic constraints CA:TRUE"),
    "ended": ({"days": (-20, -10)}, "must be valid now"),
    "the root's name": ({"name": "Calico root"}, "has the name of the trusted root"),
    "Kubernetes' name": ({"name": "system:masters"}, "the common name must not start with system:"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG_NEW.values(), ids=WRONG_NEW)
def test_a_ca_that_could_not_sign_leaves_is_refused(
    stage: Stage, root: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """Before the key is used; the file is named."""
    new = write(tmp_path / "new.pem", foreign(**changes))
    before = stage.signatures()
    result = cross_sign(stage, root, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {new}: ")
    assert said in result.stderr
    assert stage.signatures() == before


def forged(path: Path, certificate: x509.Certificate) -> Path:
    """The same certificate with a signature by another key: the identifiers still say that it is its own."""
    encoded = certificate.public_bytes(Encoding.DER)
    start = len(encoded) - len(certificate.signature)
    while True:  # a signature of ECDSA has 70 to 72 bytes
        key = ec.generate_private_key(ec.SECP256R1())
        signature = key.sign(certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
        if len(signature) == len(certificate.signature):
            return write(path, x509.load_der_x509_certificate(encoded[:start] + signature))


@pytest.mark.parametrize("which", ["new", "root"])
def test_a_self_signature_that_does_not_verify_proves_nothing(
    stage: Stage, root: Path, new: Path, tmp_path: Path, which: str
) -> None:
    """Attack: somebody else's public key, handed to the operator as a CA of a name that is liked; KMS is not asked."""
    victim = foreign("Calico CA 2028", path_length=0 if which == "new" else 1)
    bad = forged(tmp_path / "bad.pem", victim)
    before = len(stage.server.audit.records())
    result = cross_sign(stage, bad if which == "root" else root, bad if which == "new" else new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert f"{bad}: is not self-signed" in result.stderr
    assert records_of(result) == []
    assert len(stage.server.audit.records()) == before
    assert not (tmp_path / "cross.pem").exists()


def test_the_new_cas_key_must_be_the_key_versions(stage: Stage, root: Path, tmp_path: Path) -> None:
    """A CA whose key lies elsewhere, however rightly signed, is not vouched for, nor one of another key version."""
    elsewhere = write(tmp_path / "elsewhere.pem", foreign("Calico CA 2027"))
    other = stage.create(tmp_path / "other.pem", key=stage.key(number=3), name="Calico CA 2028")
    before = stage.signatures()
    for new in (elsewhere, other):
        result = cross_sign(stage, root, new, tmp_path / "cross.pem")
        assert result.exit_code == 1
        assert f"error: {new}: its key is not that of {stage.key(number=NEW)}" in result.stderr
        assert records_of(result) == []
    assert stage.signatures() == before
    assert not (tmp_path / "cross.pem").exists()


def test_the_new_key_is_protected_as_asked(stage: Stage, root: Path, tmp_path: Path) -> None:
    """The function would refuse a key of software later; here less must be asked for, too."""
    key = stage.key(protection_level="SOFTWARE")
    less = ("--protection-level", "SOFTWARE")
    new = stage.create(tmp_path / "new.pem", *less, key=key, name="Calico CA 2027")
    result = cross_sign(stage, root, new, tmp_path / "cross.pem", new_key=key)
    assert result.exit_code == 1
    assert f"key version {key}: protection level is SOFTWARE: must be at least HSM" in result.stderr
    assert records_of(result) == []
    assert cross_sign(stage, root, new, tmp_path / "cross.pem", *less, new_key=key).exit_code == 0


def test_a_new_key_version_must_be_named(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """There is no way around the proof."""
    files = ("--signing-certificate", root, "--certificate", new, "--out", tmp_path / "cross.pem")
    result = stage.run("cross-sign", "--key-version", stage.key(), *files)
    assert result.exit_code == 2
    assert "--new-key-version" in result.stderr


def test_the_trusted_root_is_never_overwritten(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """Not even forced, and nothing is signed; nor is the audit log."""
    before, kept = stage.signatures(), root.read_bytes()
    result = cross_sign(stage, root, new, root, "--force")
    assert result.exit_code == 1
    assert f"{root}: Invalid value: given for an output and an input" in result.stderr
    log = tmp_path / "log"
    result = cross_sign(stage, root, new, log, "--audit-log", log, "--force")
    assert result.exit_code == 1
    assert f"{log}: Invalid value: given for the audit log and an output" in result.stderr
    assert (stage.signatures(), root.read_bytes(), log.exists()) == (before, kept, False)


def test_a_new_ca_of_two_common_names_is_refused(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Which of them counts, relying parties do not agree on."""
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
    assert f"error: {new}: has 2 common names: must have one" in result.stderr


def test_only_a_self_signed_new_ca_is_taken(stage: Stage, root: Path, crossed: Path, tmp_path: Path) -> None:
    """Its own signature proves that who made it held the new key; a cross-certificate proves nothing of the kind."""
    result = cross_sign(stage, root, crossed, tmp_path / "again.pem")
    assert result.exit_code == 1
    assert "is not self-signed" in result.stderr


def test_only_a_root_vouches(stage: Stage, new: Path, tmp_path: Path) -> None:
    """An intermediate is no anchor that every relying party accepts: its own root should vouch, or be asked to."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    between = write(tmp_path / "ca.pem", ca_certificate("Between", keys[0], "Above", keys[1], path_length=1))
    result = cross_sign(stage, between, new, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert "is not self-signed: must be the root that relying parties trust" in result.stderr


def test_name_constraints_that_are_not_copied_are_refused(stage: Stage, root: Path, tmp_path: Path) -> None:
    """A cross-certificate may not be worth more than the CA that it is for."""
    key = ec.generate_private_key(ec.SECP256R1())
    for constraints in (
        x509.NameConstraints(None, [x509.DNSName("example.com")]),
        x509.NameConstraints([x509.DNSName("example.com"), x509.RFC822Name("example.com")], None),
    ):
        new = write(tmp_path / "new.pem", ca_certificate("Bound", key, "Bound", key, constraints=constraints))
        result = cross_sign(stage, root, new, tmp_path / "cross.pem")
        assert result.exit_code == 1
        assert "has name constraints that are not copied" in result.stderr


def test_the_roots_own_key_under_a_new_name_is_refused(stage: Stage, root: Path, tmp_path: Path) -> None:
    """A new name does not make a new key."""
    same = stage.create(tmp_path / "same.pem", name="Calico CA 2027")
    result = cross_sign(stage, root, same, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert "holds the key of the trusted root: must hold" in result.stderr


def test_files_of_several_certificates_are_refused(stage: Stage, root: Path, new: Path, tmp_path: Path) -> None:
    """Which one is meant is not guessed."""
    both = write(tmp_path / "both.pem", *certificates(root), *certificates(new))
    result = cross_sign(stage, root, both, tmp_path / "cross.pem")
    assert result.exit_code == 1
    assert f"{both}: Invalid value: 2 certificates: must be one" in result.stderr
