"""`signerctl ca show` shows every field of any certificate, readable or not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from csr_signer import der
from sandbox.kms import Fault
from tests.unit.signerctl.authorities import Corporate, ca_certificate, certificates, write
from tests.unit.signerctl.stage import Stage, openssl


def shown(stage: Stage, *arguments: str | Path, stdin: bytes | None = None) -> dict[str, Any]:
    """Returns the command's JSON output."""
    found: dict[str, Any] = json.loads(stage.done("show", "--json", *arguments, stdin=stdin).stdout)
    return found


def test_every_field_of_a_root_is_shown(stage: Stage, tmp_path: Path) -> None:
    """JSON has the fields with their types, and the table shows the same."""
    out = stage.create(tmp_path / "ca.pem", "--permit-dns", "typha-client", "--organization", "Example")
    (root,) = certificates(out)
    (found,) = shown(stage, out)["certificates"]
    assert found == {
        "file": str(out),
        "subject": "CN=Calico CA 2026,O=Example",
        "issuer": "CN=Calico CA 2026,O=Example",
        "self_signed": True,
        "serial_number": der.hexadecimal(root.serial_number),
        "public_key": "ECDSA P-256",
        "signature_algorithm": "ecdsa-with-SHA256",
        "not_before": f"{root.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{root.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": 3649,
        "ca": True,
        "path_length": 0,
        "key_usage": ["key_cert_sign", "crl_sign"],
        "extended_key_usage": ["serverAuth", "clientAuth"],
        "name_constraints": ["permitted DNSName typha-client"],
        "subject_key_identifier": root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex(),
        "authority_key_identifier": None,
        "sha256": root.fingerprint(hashes.SHA256()).hex(),
    }
    table = [line.rstrip() for line in stage.done("show", out).stdout.splitlines()]
    assert table[0] == str(out)
    for row in (
        "subject                 CN=Calico CA 2026,O=Example",
        "days left               3649",
        "path length             0",
        "extended key usage      serverAuth, clientAuth",
        "name constraints        permitted DNSName typha-client",
        f"sha256                  {found['sha256']}",
    ):
        assert row in table


def test_several_files_and_standard_input_are_shown(stage: Stage, corporate: Corporate, tmp_path: Path) -> None:
    """The output names the file of each certificate; - is standard input."""
    first = write(tmp_path / "corporate.pem", corporate.intermediate, corporate.root)
    found = shown(stage, first, "-", stdin=corporate.root.public_bytes(Encoding.DER))["certificates"]
    assert [(each["file"], each["subject"]) for each in found] == [
        (str(first), "CN=Corporate CA"),
        (str(first), "CN=Corporate root"),
        ("-", "CN=Corporate root"),
    ]
    assert [each["self_signed"] for each in found] == [False, True, True]
    assert "not limited" in stage.done("show", first).stdout


def test_the_key_version_is_shown_with_its_certificates(stage: Stage, tmp_path: Path) -> None:
    """The output has algorithm, protection level, and the certificates that hold the key."""
    out = stage.create(tmp_path / "ca.pem")
    mine = shown(stage, out, "--key-version", stage.key())["key"]
    assert mine == {
        "key_version": stage.key(),
        "state": "enabled",
        "algorithm": "EC_SIGN_P256_SHA256",
        "protection_level": "HSM",
        "held_by": ['"CN=Calico CA 2026"'],
    }
    assert shown(stage, out, "--key-version", stage.key(number=2))["key"]["held_by"] == []
    assert "key in Cloud KMS" in stage.done("show", out, "--key-version", stage.key()).stdout


def test_a_disabled_key_version_shows_the_error_of_kms(stage: Stage, tmp_path: Path) -> None:
    """The command succeeds, and shows the certificate too."""
    out = stage.create(tmp_path / "ca.pem")
    stage.server.faults.add(Fault(method="GetPublicKey", status="FAILED_PRECONDITION", times=0))
    found = shown(stage, out, "--key-version", stage.key())
    assert found["key"]["state"].startswith("cannot read the public key: key version projects/")
    assert found["certificates"][0]["subject"] == "CN=Calico CA 2026"


def test_a_hostile_subject_is_escaped_for_the_terminal(stage: Stage, tmp_path: Path) -> None:
    """The output escapes control characters, markup and reordering characters of a certificate's subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    hostile = ca_certificate("a\x1b[31m[bold]b\u202ec\nd\x07", key, "x", key)
    output = stage.done("show", write(tmp_path / "ca.pem", hostile)).stdout
    assert "\\x1b[31m[bold]b\\u202ec\\nd\\x07" in output
    assert all(each.isprintable() or each == "\n" for each in output)


def test_an_unreadable_field_does_not_hide_the_others(stage: Stage, tmp_path: Path) -> None:
    """The output shows an error in place of an unreadable extension, and names an unsupported kind of key."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x01\x01"), critical=True)
    )
    (found,) = shown(stage, write(tmp_path / "odd.pem", builder.sign(key, None)))["certificates"]
    assert found["public_key"] == "Ed25519"
    assert found["signature_algorithm"] == "1.3.101.112"
    assert found["ca"].startswith("unreadable: ")
    assert found["subject"] == "CN=odd"


def test_a_file_without_certificates_is_one_line(stage: Stage, tmp_path: Path) -> None:
    """The error names the file and the supported formats."""
    path = tmp_path / "ca.pem"
    path.write_text("hello", encoding="utf-8")
    result = stage.run("show", path)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {path}: Invalid value: must be certificates in PEM, DER or PKCS #7: ")


def test_an_endless_file_is_refused(stage: Stage) -> None:
    """The command stops reading after 1 MiB."""
    result = stage.run("show", "/dev/zero")
    assert result.exit_code == 1
    assert "Too long: must have at most 1048576 bytes" in result.stderr


@pytest.mark.parametrize("number", [7, 0x5EED, 2**155 + 1, 2**158 + 1], ids=hex)
def test_a_serial_number_is_that_of_openssl(stage: Stage, tmp_path: Path, number: int) -> None:
    """An operator compares it with `openssl x509 -serial`; a number whose first octet is below 16 keeps its zero."""
    key = ec.generate_private_key(ec.SECP256R1())
    path = write(tmp_path / "ca.pem", ca_certificate("CA", key, "CA", key, serial_number=number))
    printed = openssl("x509", "-noout", "-serial", "-in", path).stdout.strip()
    assert printed == f"serial={shown(stage, path)['certificates'][0]['serial_number']}"
