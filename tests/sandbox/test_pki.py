"""The sandbox's certificate authorities, verified by OpenSSL and by Python's own checks."""

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.pki import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A CA."""
    return Authority.create("test-ca")


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_openssl_accepts_a_server_certificate(authority: Authority, tmp_path: Path, purpose: str) -> None:
    """A server's certificate serves and connects, under OpenSSL's strict rules."""
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    pair = authority.issue("server", dns_names=["server.test"], addresses=["127.0.0.1", "::1"], server=True)
    certificate, _ = pair.write(tmp_path, "server")
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-verify_ip", "127.0.0.1"]
    command += ["-verify_hostname", "server.test", "-CAfile", str(tmp_path / "ca.pem"), str(certificate)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.endswith("OK\n")


def test_a_client_certificate_does_not_serve(authority: Authority) -> None:
    """Without `server` it may only connect, and has no names beside its subject."""
    certificate = x509.load_pem_x509_certificate(authority.issue("client").certificate_pem)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_user_and_groups_are_in_the_subject(authority: Authority) -> None:
    """CN is the user, each O a group, in order."""
    pair = authority.issue("user@example.com", organizations=["b", "a"])
    subject = x509.load_pem_x509_certificate(pair.certificate_pem).subject
    assert [each.value for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["user@example.com"]
    assert [each.value for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["b", "a"]


def test_the_key_is_readable_by_its_owner_only(authority: Authority, tmp_path: Path) -> None:
    """And it is the certificate's key: the pair loads."""
    certificate, key = authority.issue("user").write(tmp_path, "user")
    assert key.stat().st_mode & 0o077 == 0
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
