"""What each stack writes when asked: an honest request is certified, and anything more is refused with its codes."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.interoperability import gnutls, java
from tests.interoperability.gnutls import GnuTLS
from tests.interoperability.go import Go
from tests.interoperability.issuers import CHAIN, P256, KmsIssuer
from tests.interoperability.java import Java
from tests.interoperability.matrix import DIGESTS
from tests.interoperability.openssl import OpenSSL
from tests.interoperability.pyca import PSS, Pyca, key_usage
from tests.interoperability.requesters import API_SERVER, NODE, Requester
from tests.interoperability.stack import RequestWriter, attempt, pem_file
from tests.interoperability.stacks import StackOf

Writer = type[RequestWriter]

KEYS: Final = ("RSA-2048", "RSA-4096", "P-256", "P-384", "P-521")
HONEST: Final[list[tuple[Writer, str, str, Requester, Any]]] = [
    *[(stack, key, digest, NODE, "") for stack in (OpenSSL, Go, GnuTLS) for key in KEYS for digest in DIGESTS],
    *[(stack, key, "SHA256", API_SERVER, "") for stack in (OpenSSL, Go, GnuTLS) for key in KEYS],
    *[(stack, "RSA-3072", "SHA256", NODE, "") for stack in (OpenSSL, Go, GnuTLS, Java)],
    *[(stack, "RSA-8192", "SHA512", NODE, "") for stack in (OpenSSL, Go)],
    # Each process of keytool takes 0.3 s: not every key with every digest. The matrix has pyca's requests.
    *[(Java, key, digest, NODE, "") for key in ("RSA-2048", "P-256") for digest in DIGESTS],
    *[(Java, key, "SHA256", API_SERVER, "") for key in ("RSA-2048", "P-256")],
    (Java, "RSA-4096", "SHA384", NODE, ""),
    (Java, "P-384", "SHA384", NODE, ""),
    (Java, "P-521", "SHA512", NODE, ""),
    # What other options leave out or write otherwise changes nothing.
    (Java, "P-384", "", NODE, java.NAMES_ONLY),
    (OpenSSL, "P-256", "", NODE, "extensions: basicConstraints = CA:FALSE | extensions: keyUsage = digitalSignature"),
    (OpenSSL, "P-256", "", NODE, "req: req_extensions = only names | only names: subjectAltName = $ENV::NAMES"),
    (OpenSSL, "P-256", "", NODE, "req: distinguished_name = only name | only name: CN = $ENV::COMMON_NAME"),
    (OpenSSL, "P-256", "", NODE, "extensions: subjectKeyIdentifier = hash"),
    (OpenSSL, "P-256", "", NODE, "req: string_mask = pkix"),
    (OpenSSL, "P-256", "", NODE, "req: string_mask = nombstr"),
]


def row_id(value: Any) -> str:
    """Returns a readable id of a parameter."""
    if isinstance(value, type) and issubclass(value, RequestWriter):
        return value.name
    return re.sub(" at 0x[0-9a-f]+", "", str(sorted(value) if isinstance(value, set) else value))


@pytest.mark.parametrize(("stack", "kind", "digest", "requester", "change"), HONEST, ids=row_id)
def test_an_honest_request_is_certified(
    stack_of: StackOf,
    issuers: dict[str, KmsIssuer],
    tmp_path: Path,
    *,
    stack: Writer,
    kind: str,
    digest: str,
    requester: Requester,
    change: Any,
) -> None:
    """The certificate is for the stack's key and for exactly the requested names, and the stack accepts it."""
    writer = stack_of(stack)
    issuer = issuers[P256 if requester is NODE else CHAIN]
    request = writer.request(kind, requester, digest, change)
    chain = requester.certify(request, issuer)
    leaf = x509.load_pem_x509_certificate(chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(str(name.value) for name in names) == requester.hosts
    assert leaf.subject.rfc4514_string() == f"CN={requester.component.common_name}"
    assert leaf.public_key() == x509.load_pem_x509_csr(request).public_key()
    writer.accept(kind, requester, pem_file(tmp_path, chain), issuer.root)


@pytest.mark.parametrize(("stack", "message"), [(Go, "private key"), (Java, "keytool error")], ids=row_id)
def test_another_keys_certificate_is_not_accepted(
    stack_of: StackOf, issuers: dict[str, KmsIssuer], tmp_path: Path, stack: Writer, message: str
) -> None:
    """TLS and keystore compare the certificate with the private key."""
    writer = stack_of(stack)
    chain = NODE.certify(writer.request("P-256", NODE), issuers[P256])
    with pytest.raises(AssertionError, match=message):
        writer.accept("P-384", NODE, pem_file(tmp_path, chain), issuers[P256].root)


@pytest.mark.parametrize("stack", [Java, GnuTLS], ids=row_id)
def test_the_label_new_certificate_request_is_refused(stack_of: StackOf, stack: type[Java | GnuTLS]) -> None:
    """kube-apiserver does not accept it either."""
    request = stack_of(stack).written("P-256", NODE)
    assert request.startswith(b"-----BEGIN NEW CERTIFICATE REQUEST-----")
    assert NODE.refused(request) == {"request.pem"}


WITH_EMAIL_NAME: Final = x509.SubjectAlternativeName([x509.DNSName("typha-client"), x509.RFC822Name("a@example.com")])
REFUSED: Final[list[tuple[Writer, str, Any, set[str]]]] = [
    (OpenSSL, "RSA-2048", "-sha1", {"request.signature_algorithm"}),
    (OpenSSL, "P-256", "-sha1", {"request.signature_algorithm"}),
    (OpenSSL, "RSA-2048", "-md5", {"request.signature_algorithm"}),
    (OpenSSL, "RSA-2048", "-sha224", {"request.signature_algorithm"}),
    (OpenSSL, "P-256", "-sha3-256", {"request.signature_algorithm"}),
    (OpenSSL, "RSA-2048", "-sigopt rsa_padding_mode:pss", {"request.signature_algorithm"}),
    (OpenSSL, "RSA-PSS", "", {"public_key.type"}),
    (OpenSSL, "RSA-1024", "", {"public_key.size"}),
    (OpenSSL, "RSA-2048, exponent 3", "", {"public_key.exponent"}),
    (OpenSSL, "P-224", "", {"public_key.type"}),
    (OpenSSL, "P-256, explicit parameters", "", {"public_key.type"}),
    (OpenSSL, "secp256k1", "", {"public_key.type"}),
    (OpenSSL, "brainpoolP256r1", "", {"public_key.type"}),
    (OpenSSL, "SM2", "", {"public_key.type"}),
    (OpenSSL, "Ed25519", "", {"public_key.type"}),
    (OpenSSL, "Ed448", "", {"public_key.type"}),
    (OpenSSL, "P-256", "-newhdr", {"request.pem"}),
    (OpenSSL, "P-256", "-text", {"request.pem"}),
    (OpenSSL, "P-256", "-outform DER", {"request.pem"}),
    (OpenSSL, "P-256", "req: attributes = more | more: challengePassword = 12345678", {"request.attribute"}),
    (OpenSSL, "P-256", "req: attributes = more | more: unstructuredName = typha", {"request.attribute"}),
    (OpenSSL, "P-256", "extensions: basicConstraints = critical, CA:TRUE", {"basic_constraints.ca"}),
    (OpenSSL, "P-256", "extensions: basicConstraints = critical, CA:TRUE, pathlen:0", {"basic_constraints.ca"}),
    (
        OpenSSL,
        "P-256",
        "extensions: keyUsage = nonRepudiation, digitalSignature, keyEncipherment",
        {"key_usage.not_allowed"},
    ),
    (OpenSSL, "P-256", "extensions: keyUsage = keyCertSign, cRLSign", {"key_usage.not_allowed"}),
    (OpenSSL, "P-256", "extensions: extendedKeyUsage = serverAuth, codeSigning", {"extended_key_usage.not_allowed"}),
    (OpenSSL, "P-256", "extensions: extendedKeyUsage = anyExtendedKeyUsage", {"extended_key_usage.not_allowed"}),
    (OpenSSL, "P-256", "extensions: tlsfeature = status_request", {"request.extension"}),
    (OpenSSL, "P-256", "extensions: 1.2.3.4 = ASN1:UTF8String:anything", {"request.extension"}),
    (OpenSSL, "P-256", "subject: emailAddress = admin@example.com", {"subject.structure"}),
    (OpenSSL, "P-256", "subject: +UID = 0", {"subject.attribute", "subject.structure"}),
    (OpenSSL, "P-256", "subject: 1.CN = typha-server", {"subject.common_name"}),
    (OpenSSL, "P-256", "subject: O = system:masters", {"subject.attribute"}),
    (OpenSSL, "P-256", "subject: title = Admiral", {"subject.attribute"}),
    (OpenSSL, "P-256", "nobody: O = Tigera | req: distinguished_name = nobody", {"subject.common_name"}),
    (OpenSSL, "P-256", "extensions: subjectAltName = DNS:typha-client, email:admin@example.com", {"san.type"}),
    (
        OpenSSL,
        "P-256",
        "extensions: subjectAltName = DNS:typha-client, URI:spiffe://cluster.local/ns/kube-system/sa/default",
        {"san.type"},
    ),
    (OpenSSL, "P-256", "extensions: subjectAltName = DNS:typha-client, RID:1.2.3.4", {"san.type"}),
    (OpenSSL, "P-256", "extensions: subjectAltName = DNS:typha-client, otherName:1.2.3.4;UTF8:anything", {"san.type"}),
    (OpenSSL, "P-256", "extensions: subjectAltName = DNS:typha-client, dirName:subject", {"san.type"}),
    (
        OpenSSL,
        "P-256",
        "extensions: subjectAltName = DNS:typha-client, DNS:*.calico-system.svc",
        {"name.reserved", "san.dns.not_allowed"},
    ),
    (OpenSSL, "P-256", "extensions: subjectAltName = DNS:typha-client, DNS:typha-server", {"san.dns.not_allowed"}),
    (OpenSSL, "P-256", "only: basicConstraints = CA:FALSE | req: req_extensions = only", {"san.dns.missing"}),
    (OpenSSL, "P-256", "extensions: subjectAltName = DNS:typha-client, IP:127.0.0.1", {"san.ip.not_allowed"}),
    (Go, "RSA-2048", "-signature SHA1-RSA", {"request.signature_algorithm"}),
    (Go, "P-256", "-signature ECDSA-SHA1", {"request.signature_algorithm"}),
    (Go, "RSA-2048", "-signature SHA256-RSAPSS", {"request.signature_algorithm"}),
    (Go, "RSA-2048", "-signature SHA384-RSAPSS", {"request.signature_algorithm"}),
    (Go, "RSA-2048", "-signature SHA512-RSAPSS", {"request.signature_algorithm"}),
    (Go, "RSA-1024", "", {"public_key.size"}),
    (Go, "P-224", "", {"public_key.type"}),
    (Go, "Ed25519", "-signature Ed25519", {"public_key.type"}),
    (Go, "P-256", "-authority", {"basic_constraints.ca"}),
    (Go, "P-256", "-email-name admin@example.com", {"san.type"}),
    (Go, "P-256", "-uri spiffe://cluster.local/ns/kube-system/sa/default", {"san.type"}),
    (Go, "P-256", "-dns-names typha-client,typha-server", {"san.dns.not_allowed"}),
    (Go, "P-256", "-common-name typha-server", {"subject.common_name"}),
    (Go, "P-256", "-address ::1", {"san.ip.not_allowed"}),
    (Go, "P-256", "-dns-names=", {"san.dns.missing", "san.type"}),
    (Go, "P-256", "-address unknown", {"san.type"}),
    (Go, "P-256", "-email-address admin@example.com", {"subject.structure"}),
    (Java, "RSA-2048", "-sigalg SHA1withRSA", {"request.signature_algorithm"}),
    (Java, "P-256", "-sigalg SHA1withECDSA", {"request.signature_algorithm"}),
    (Java, "RSA-2048", "-sigalg MD5withRSA", {"request.signature_algorithm"}),
    (Java, "RSA-2048", "-sigalg SHA224withRSA", {"request.signature_algorithm"}),
    (Java, "RSA-2048", "-sigalg RSASSA-PSS", {"request.signature_algorithm"}),
    (Java, "RSASSA-PSS", "", {"public_key.type"}),
    (Java, "DSA-2048", "", {"public_key.type"}),
    (Java, "Ed25519", "", {"public_key.type"}),
    (Java, "Ed448", "", {"public_key.type"}),
    (Java, "RSA-1024", "", {"public_key.size"}),
    (Java, "P-256", "-ext bc=ca:true", {"basic_constraints.ca"}),
    (Java, "P-256", "-ext bc=ca:true,pathlen:0", {"basic_constraints.ca"}),
    (Java, "P-256", "-ext ku=digitalSignature,nonRepudiation", {"key_usage.not_allowed"}),
    (Java, "P-256", "-ext eku=serverAuth,codeSigning", {"extended_key_usage.not_allowed"}),
    (Java, "P-256", "-ext san=dns:typha-client,email:admin@example.com", {"san.type"}),
    (Java, "P-256", "-ext san=dns:typha-client,uri:spiffe://cluster.local/ns/kube-system/sa/default", {"san.type"}),
    (Java, "P-256", "-ext san=dns:typha-client,oid:1.2.3.4", {"san.type"}),
    (Java, "P-256", "-ext san=dns:typha-client,dns:*.calico-system", {"name.reserved", "san.dns.not_allowed"}),
    (Java, "P-256", "-ext san=dns:typha-server", {"san.dns.missing", "san.dns.not_allowed"}),
    (Java, "P-256", "-ext san=dns:typha-client,ip:127.0.0.1", {"san.ip.not_allowed"}),
    (Java, "P-256", "-ext 1.2.3.4=0500", {"request.extension"}),
    (Java, "P-256", "-dname CN=typha-client,OU=Operations", {"subject.attribute"}),
    (Java, "P-256", "-dname CN=typha-client+OU=Engineering", {"subject.structure"}),
    (Java, "P-256", "-dname CN=typha-client,DC=example", {"subject.structure"}),
    (Java, "P-256", "-dname CN=typha-client,EMAILADDRESS=a@example.com", {"subject.structure"}),
    (GnuTLS, "RSA-2048", "--hash SHA1", {"request.signature_algorithm"}),
    (GnuTLS, "P-256", "--hash SHA1", {"request.signature_algorithm"}),
    (GnuTLS, "RSA-2048", "--hash MD5", {"request.signature_algorithm"}),
    (GnuTLS, "RSA-PSS", "", {"public_key.type"}),
    (GnuTLS, "DSA-2048", "", {"public_key.type"}),
    (GnuTLS, "Ed25519", "", {"public_key.type"}),
    (GnuTLS, "P-224", "", {"public_key.type"}),
    (GnuTLS, "RSA-1024", "", {"public_key.size"}),
    (GnuTLS, "P-256", "challenge_password = 12345678", {"request.attribute"}),
    (GnuTLS, "P-256", "ca", {"basic_constraints.ca"}),
    (GnuTLS, "P-256", "ca | cert_signing_key", {"basic_constraints.ca", "key_usage.not_allowed"}),
    (GnuTLS, "P-256", "code_signing_key", {"extended_key_usage.not_allowed"}),
    (GnuTLS, "P-256", "email = admin@example.com", {"san.type"}),
    (GnuTLS, "P-256", "uri = spiffe://cluster.local/ns/kube-system/sa/default", {"san.type"}),
    (GnuTLS, "P-256", "dns_name = *.calico-system.svc", {"name.reserved", "san.dns.not_allowed"}),
    (GnuTLS, "P-256", "ip_address = 127.0.0.1", {"san.ip.not_allowed"}),
    (GnuTLS, "P-256", "uid = root", {"subject.attribute"}),
    (GnuTLS, "P-256", "dn_oid = 2.5.4.12 Admiral", {"subject.attribute"}),
    (GnuTLS, "P-256", "dc = example", {"subject.structure"}),
    (GnuTLS, "P-256", "dn_oid = 1.2.840.113549.1.9.1 a@example.com", {"subject.structure"}),
    (GnuTLS, "P-256", "tls_feature = 5", {"request.extension"}),
    (GnuTLS, "P-256", "add_extension = 1.2.3.4 0x0500", {"request.extension"}),
    (GnuTLS, "P-256", gnutls.WITH_TEXT, {"request.pem"}),
    (Pyca, "RSA-2048", {"digest": "SHA224"}, {"request.signature_algorithm"}),
    (Pyca, "RSA-2048", {"digest": "SHA3-256"}, {"request.signature_algorithm"}),
    (Pyca, "P-256", {"digest": "SHA224"}, {"request.signature_algorithm"}),
    (Pyca, "P-256", {"digest": "SHA3-256"}, {"request.signature_algorithm"}),
    (Pyca, "RSA-2048", {"rsa_padding": PSS}, {"request.signature_algorithm"}),
    (Pyca, "RSA-1024", {}, {"public_key.size"}),
    (Pyca, "RSA-2048, exponent 3", {}, {"public_key.exponent"}),
    (Pyca, "P-224", {}, {"public_key.type"}),
    (Pyca, "secp256k1", {}, {"public_key.type"}),
    (Pyca, "DSA-2048", {}, {"public_key.type"}),
    (Pyca, "Ed25519", {}, {"public_key.type"}),
    (Pyca, "Ed448", {}, {"public_key.type"}),
    (Pyca, "P-256", {"challenge_password": True}, {"request.attribute"}),
    (Pyca, "P-256", {"extension": x509.BasicConstraints(ca=True, path_length=0)}, {"basic_constraints.ca"}),
    (Pyca, "P-256", {"extension": key_usage(content_commitment=True)}, {"key_usage.not_allowed"}),
    (Pyca, "P-256", {"extension": x509.OCSPNoCheck()}, {"request.extension"}),
    (Pyca, "P-256", {"extension": WITH_EMAIL_NAME}, {"san.type"}),
    (Pyca, "P-256", {"attribute": x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.com")}, {"subject.structure"}),
    (Pyca, "P-256", {"attribute": x509.NameAttribute(NameOID.TITLE, "Admiral")}, {"subject.attribute"}),
]
"""Kind of key, change in the stack's own language, and every code of the refusal."""


@pytest.mark.parametrize(("stack", "kind", "change", "expected"), REFUSED, ids=row_id)
def test_anything_more_is_refused(stack_of: StackOf, stack: Writer, kind: str, change: Any, expected: set[str]) -> None:
    """The stack writes it, and the refusal names every violation and nothing else."""
    assert NODE.refused(stack_of(stack).request(kind, NODE, change=change)) == expected


@pytest.mark.parametrize(
    ("kind", "signature"),
    [("RSA-2048", "MD5-RSA"), ("P-256", "SHA256-RSA")],
    ids=["MD5", "Calico's default signatureAlgorithm with an EC key"],
)
def test_go_does_not_write(stack_of: StackOf, kind: str, signature: str) -> None:
    """This test fails if a release of Go writes one of these: then the refusal needs a row above."""
    command = stack_of(Go).request_command(kind, NODE)
    status, output, _ = attempt(*command, "-signature", signature)
    assert (status, output) == (1, b"")
