"""`signerctl ca show` shows every field of any certificate, readable or not."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from csr_signer import der
from sandbox.kms import Fault
from tests.unit.signerctl.authorities import Corporate, ca_certificate, certificates, write
from tests.unit.signerctl.stage import SIGNER_NAME, Stage, openssl


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
    formats = "certificates in PEM, DER or PKCS #7, or requests (PKCS #10) in PEM or DER"
    assert line.startswith(f"error: {path}: Invalid value: must be {formats}: ")


def request_file(stage: Stage, out: Path) -> Path:
    """Makes a request as an operator does."""
    names = ("--common-name", "Calico CA 2026", "--organization", "Example", "--permit-dns", "typha-client")
    stage.done("request", "--key-version", stage.key(), *names, "--out", out)
    return out


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER], ids=str)
def test_a_request_is_shown(stage: Stage, tmp_path: Path, encoding: Encoding) -> None:
    """An operator sees what `ca request` made: subject, key, whether its signature is valid, and what it asks for."""
    path = request_file(stage, tmp_path / "ca.csr")
    request = x509.load_pem_x509_csr(path.read_bytes())
    path.write_bytes(request.public_bytes(encoding))
    found = shown(stage, path, "--key-version", stage.key())
    identifier = request.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    assert found["certificates"] == []
    assert found["requests"] == [
        {
            "file": str(path),
            "subject": "CN=Calico CA 2026,O=Example",
            "public_key": "ECDSA P-256",
            "signature_algorithm": "ecdsa-with-SHA256",
            "signature_valid": True,
            "ca": True,
            "path_length": 0,
            "key_usage": ["key_cert_sign", "crl_sign"],
            "extended_key_usage": ["serverAuth", "clientAuth"],
            "name_constraints": ["permitted DNSName typha-client"],
            "subject_alternative_names": [],
            "subject_key_identifier": identifier,
            "other_extensions": [],
            "sha256": hashlib.sha256(request.public_bytes(Encoding.DER)).hexdigest(),
        }
    ]
    assert found["key"]["held_by"] == ["the request for CN=Calico CA 2026,O=Example"]
    table = [line.rstrip() for line in stage.done("show", path).stdout.splitlines()]
    assert table[0] == str(path)
    assert table[1].split(maxsplit=1) == ["kind", "certification request (PKCS #10)"]
    assert "signature valid         yes" in table


def test_a_request_with_a_wrong_signature_is_shown_as_such(stage: Stage, tmp_path: Path) -> None:
    """Its maker may not have the key."""
    path = request_file(stage, tmp_path / "ca.csr")
    request = x509.load_pem_x509_csr(path.read_bytes())
    path.write_bytes(request.public_bytes(Encoding.DER).replace(b"Example", b"Eyample"))
    (found,) = shown(stage, path)["requests"]
    assert (found["signature_valid"], found["subject"]) == (False, "CN=Calico CA 2026,O=Eyample")


def test_a_pods_request_is_shown_with_its_names(stage: Stage, tmp_path: Path) -> None:
    """It has alternative names; the output names any other extension by its OID."""
    names = x509.SubjectAlternativeName([x509.DNSName("typha-client"), x509.IPAddress(ip_address("10.0.0.5"))])
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, critical=False)
    request = builder.add_extension(other, critical=False).sign(
        ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
    )
    root = stage.create(tmp_path / "ca.pem")
    both = root.read_bytes() + request.public_bytes(Encoding.PEM)
    found = shown(stage, "-", stdin=both)
    assert [each["subject"] for each in found["certificates"]] == ["CN=Calico CA 2026"]
    (asked,) = found["requests"]
    assert asked["subject_alternative_names"] == ["DNSName typha-client", "IPAddress 10.0.0.5"]
    assert asked["other_extensions"] == ["1.2.3.4"]


def other_files() -> dict[str, tuple[bytes, str]]:
    """Returns files of other kinds, with what the error says about each."""
    key = ec.generate_private_key(ec.SECP256R1())
    pkcs12 = serialize_key_and_certificates(b"ca", key, None, None, BestAvailableEncryption(b"secret"))
    installation = b"apiVersion: operator.tigera.io/v1\nkind: Installation\nspec: {}\n"
    csr = b'{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","spec":{}}'
    der, pem, plain = Encoding.DER, Encoding.PEM, NoEncryption()
    stays = "Forbidden: a private key: give a file with certificates only; a CA's key stays in Cloud KMS"
    return {
        "empty": (b"\n", "Invalid value: an empty file: must be certificates"),
        "key in PEM": (key.private_bytes(pem, PrivateFormat.PKCS8, plain), stays),
        "key in DER": (key.private_bytes(der, PrivateFormat.PKCS8, plain), stays),
        "old key in DER": (key.private_bytes(der, PrivateFormat.TraditionalOpenSSL, plain), stays),
        "encrypted key in DER": (
            key.private_bytes(der, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
            stays,
        ),
        "PKCS #12": (pkcs12, "Invalid value: a PKCS #12 file: must be certificates"),
        "public key": (
            key.public_key().public_bytes(pem, PublicFormat.SubjectPublicKeyInfo),
            'Invalid value: PEM with the label "PUBLIC KEY": must be certificates',
        ),
        "Installation": (installation, "Invalid value: a Kubernetes object of kind Installation: must be certificates"),
        "CSR in JSON": (csr, "kubectl get csr NAME -o jsonpath={.spec.request} | base64 -d"),
        "Java key store": (b"\xfe\xed\xfe\xed\0\0\0\2", "Invalid value: a Java key store: must be certificates"),
    }


@pytest.mark.parametrize("kind", other_files())
@pytest.mark.parametrize("command", ["show", "bundle"])
def test_a_file_of_another_kind_is_named(stage: Stage, tmp_path: Path, command: str, kind: str) -> None:
    """The error says what the file is and what to give, not why a parser failed."""
    path = tmp_path / "file"
    content, said = other_files()[kind]
    path.write_bytes(content)
    arguments = ["--certificate", path, "--signer-name", SIGNER_NAME] if command == "bundle" else [path]
    result = stage.run(command, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {path}: ")
    assert said in line
    assert "Malformed" not in line


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER], ids=str)
def test_a_request_in_place_of_a_certificate_is_named(stage: Stage, tmp_path: Path, encoding: Encoding) -> None:
    """The operator gave the request, not the corporate CA's answer."""
    path = request_file(stage, tmp_path / "ca.csr")
    path.write_bytes(x509.load_pem_x509_csr(path.read_bytes()).public_bytes(encoding))
    result = stage.run("bundle", "--certificate", path, "--signer-name", SIGNER_NAME)
    assert result.exit_code == 1
    assert f"error: {path}: Invalid value: a PKCS #10 request: must be certificates" in result.stderr
    assert "give the certificate that the CA made from it" in result.stderr


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
