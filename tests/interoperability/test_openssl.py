"""OpenSSL's `req`: what it writes for an honest request is certified, and `openssl verify` accepts what is issued."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.function.builders import rsa_key
from tests.interoperability.stories import HONEST, NODE, WHEN, Story, certified, refused
from tests.interoperability.tools import path_of, run

CONFIGURATION: Final = Path(__file__).parent / "openssl" / "request.cnf"
KINDS: Final = {
    "RSA-1024": ("RSA", "rsa_keygen_bits:1024"),
    "RSA-2048": ("RSA", "rsa_keygen_bits:2048"),
    "RSA-3072": ("RSA", "rsa_keygen_bits:3072"),
    "RSA-4096": ("RSA", "rsa_keygen_bits:4096"),
    "RSA-2048, exponent 3": ("RSA", "rsa_keygen_pubexp:3"),
    "RSA-PSS": ("RSA-PSS", "rsa_keygen_bits:2048"),
    "P-224": ("EC", "ec_paramgen_curve:P-224"),
    "P-256": ("EC", "ec_paramgen_curve:P-256"),
    "P-256, explicit parameters": ("EC", "ec_paramgen_curve:P-256", "ec_param_enc:explicit"),
    "P-384": ("EC", "ec_paramgen_curve:P-384"),
    "P-521": ("EC", "ec_paramgen_curve:P-521"),
    "secp256k1": ("EC", "ec_paramgen_curve:secp256k1"),
    "brainpoolP256r1": ("EC", "ec_paramgen_curve:brainpoolP256r1"),
    "SM2": ("EC", "ec_paramgen_curve:SM2"),
    "Ed25519": ("ED25519",),
    "Ed448": ("ED448",),
}
"""Kinds of key: arguments of `openssl genpkey`."""


class OpenSSL:
    """One installation, with its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = path_of("openssl")
        self.key: Callable[[str], Path] = cache(self.make_key)

    def make_key(self, kind: str) -> Path:
        """A new key's file."""
        file = self.folder / f"{kind}.key"
        if kind == "RSA-8192":  # takes OpenSSL 6 seconds, and up to 30
            file.write_bytes(rsa_key(8192).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            return file
        algorithm, *options = KINDS[kind]
        chosen = [argument for option in options for argument in ("-pkeyopt", option)]
        run(self.path, "genpkey", "-algorithm", algorithm, "-out", file, *chosen)
        return file

    def request(self, kind: str, story: Story, *options: str, change: str = "") -> bytes:
        """`openssl req -new`, with options beside and text after the checked-in configuration."""
        configuration = self.folder / "request.cnf"
        configuration.write_text(CONFIGURATION.read_text(encoding="utf-8") + change, encoding="utf-8")
        names = ", ".join([*(f"DNS:{name}" for name in story.dns_names), f"IP:{story.address}"])
        command = [self.path, "req", "-new", "-config", str(configuration), "-key", str(self.key(kind)), *options]
        return run(*command, environment={"COMMON_NAME": story.common_name, "NAMES": names})

    def accept(self, kind: str, certificate: bytes, story: Story) -> None:
        """Fails unless the certificate is the key's and good for every name, as server and as client."""
        issued, root = self.folder / "issued.pem", self.folder / "root.pem"
        issued.write_bytes(certificate)
        root.write_bytes(story.root)
        public = run(self.path, "x509", "-in", issued, "-noout", "-pubkey")
        assert public == run(self.path, "pkey", "-in", self.key(kind), "-pubout")
        verify = [self.path, "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", str(root)]
        verify += ["-untrusted", str(issued), "-attime", f"{WHEN.timestamp():.0f}"]
        for purpose in ("sslserver", "sslclient"):
            for name in story.dns_names:
                names = ("-verify_hostname", name, "-verify_ip", story.address)
                run(*verify, "-purpose", purpose, *names, issued)


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSSL:
    """The one on this machine."""
    return OpenSSL(tmp_path_factory.mktemp("openssl"))


@pytest.mark.parametrize(
    ("kind", "digest", "story"),
    [*HONEST, ("RSA-3072", "SHA256", NODE), ("RSA-8192", "SHA512", NODE)],
    ids=str,
)
def test_an_honest_request_is_certified(openssl: OpenSSL, kind: str, digest: str, story: Story) -> None:
    """Every key and digest of Calico's gets exactly the names that it asks for, and OpenSSL accepts the certificate."""
    request = openssl.request(kind, story, f"-{digest}")
    openssl.accept(kind, certified(request, story), story)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ("[ extensions ]\nbasicConstraints = CA:FALSE\nkeyUsage = digitalSignature\n", ()),
        ("[ only names ]\nsubjectAltName = $ENV::NAMES\n", ("-reqexts", "only names")),
        ("[ only name ]\nCN = $ENV::COMMON_NAME\n[ req ]\ndistinguished_name = only name\n", ()),
        ("[ extensions ]\nsubjectKeyIdentifier = hash\n", ()),
        ("[ req ]\nstring_mask = pkix\n", ()),
        ("[ req ]\nstring_mask = nombstr\n", ()),
    ],
    ids=[
        "extensions that are not critical",
        "no extension but the names",
        "no subject but the common name",
        "a subject key identifier",
        "subject as PrintableString",
        "subject without multi-byte strings",
    ],
)
def test_other_ways_to_ask_are_certified(openssl: OpenSSL, change: str, options: tuple[str, ...]) -> None:
    """What other configurations of OpenSSL leave out or write otherwise changes nothing."""
    request = openssl.request("P-256", NODE, *options, change=change)
    openssl.accept("P-256", certified(request, NODE), NODE)


def test_another_keys_certificate_is_not_accepted(openssl: OpenSSL) -> None:
    """What accepts can also reject: here a certificate that was issued for another key."""
    certificate = certified(openssl.request("P-256", NODE), NODE)
    with pytest.raises(AssertionError):
        openssl.accept("P-384", certificate, NODE)


@pytest.mark.parametrize(
    ("kind", "options", "codes"),
    [
        ("RSA-2048", "-sha1", {"request.signature_algorithm"}),
        ("P-256", "-sha1", {"request.signature_algorithm"}),
        ("RSA-2048", "-md5", {"request.signature_algorithm"}),
        ("RSA-2048", "-sha224", {"request.signature_algorithm"}),
        ("P-256", "-sha3-256", {"request.signature_algorithm"}),
        ("RSA-2048", "-sigopt rsa_padding_mode:pss", {"request.signature_algorithm"}),
        ("RSA-PSS", "", {"public_key.type"}),
        ("RSA-1024", "", {"public_key.size"}),
        ("RSA-2048, exponent 3", "", {"public_key.exponent"}),
        ("P-224", "", {"public_key.type"}),
        ("P-256, explicit parameters", "", {"public_key.type"}),
        ("secp256k1", "", {"public_key.type"}),
        ("brainpoolP256r1", "", {"public_key.type"}),
        ("SM2", "", {"public_key.type"}),
        ("Ed25519", "", {"public_key.type"}),
        ("Ed448", "", {"public_key.type"}),
        ("P-256", "-newhdr", {"request.pem"}),
        ("P-256", "-text", {"request.pem"}),
        ("P-256", "-outform DER", {"request.pem"}),
    ],
)
def test_a_key_or_form_that_is_not_allowed_is_refused(
    openssl: OpenSSL, kind: str, options: str, codes: set[str]
) -> None:
    """OpenSSL writes it when asked, and the refusal says what is wrong, and nothing else."""
    assert refused(openssl.request(kind, NODE, *options.split())) == codes


REFUSED: Final = {
    "a challenge password": (
        "[ req ]\nattributes = more\n[ more ]\nchallengePassword = 12345678\n",
        {"request.attribute"},
    ),
    "an unstructured name": (
        "[ req ]\nattributes = more\n[ more ]\nunstructuredName = typha\n",
        {"request.attribute"},
    ),
    "CA:TRUE": ("[ extensions ]\nbasicConstraints = critical, CA:TRUE\n", {"basic_constraints.ca"}),
    "CA:TRUE with a path length": (
        "[ extensions ]\nbasicConstraints = critical, CA:TRUE, pathlen:0\n",
        {"basic_constraints.ca"},
    ),
    "content commitment": (
        "[ extensions ]\nkeyUsage = nonRepudiation, digitalSignature, keyEncipherment\n",
        {"key_usage.not_allowed"},
    ),
    "signing certificates": ("[ extensions ]\nkeyUsage = keyCertSign, cRLSign\n", {"key_usage.not_allowed"}),
    "signing code": (
        "[ extensions ]\nextendedKeyUsage = serverAuth, codeSigning\n",
        {"extended_key_usage.not_allowed"},
    ),
    "any extended key usage": (
        "[ extensions ]\nextendedKeyUsage = anyExtendedKeyUsage\n",
        {"extended_key_usage.not_allowed"},
    ),
    "OCSP must-staple": ("[ extensions ]\ntlsfeature = status_request\n", {"request.extension"}),
    "an extension of one's own": ("[ extensions ]\n1.2.3.4 = ASN1:UTF8String:anything\n", {"request.extension"}),
    "an e-mail address in the subject": (
        "[ subject ]\nemailAddress = admin@example.com\n",
        {"subject.structure"},
    ),
    "an RDN of two attributes": ("[ subject ]\n+UID = 0\n", {"subject.structure", "subject.attribute"}),
    "a second common name": ("[ subject ]\n1.CN = typha-server\n", {"subject.common_name"}),
    "another organization": ("[ subject ]\nO = system:masters\n", {"subject.attribute"}),
    "a title": ("[ subject ]\ntitle = Admiral\n", {"subject.attribute"}),
    "no common name": ("[ nobody ]\nO = Tigera\n[ req ]\ndistinguished_name = nobody\n", {"subject.common_name"}),
    "an e-mail address as a name": (
        "[ extensions ]\nsubjectAltName = DNS:typha-client, email:admin@example.com\n",
        {"san.type"},
    ),
    "a URI as a name": (
        "[ extensions ]\nsubjectAltName = DNS:typha-client, URI:spiffe://cluster.local/ns/kube-system/sa/default\n",
        {"san.type"},
    ),
    "a registered ID as a name": ("[ extensions ]\nsubjectAltName = DNS:typha-client, RID:1.2.3.4\n", {"san.type"}),
    "another kind of name": (
        "[ extensions ]\nsubjectAltName = DNS:typha-client, otherName:1.2.3.4;UTF8:anything\n",
        {"san.type"},
    ),
    "a directory name": (
        "[ extensions ]\nsubjectAltName = DNS:typha-client, dirName:subject\n",
        {"san.type"},
    ),
    "a wildcard": (
        "[ extensions ]\nsubjectAltName = DNS:typha-client, DNS:*.calico-system.svc\n",
        {"name.reserved", "san.dns.not_allowed"},
    ),
    "another's name": (
        "[ extensions ]\nsubjectAltName = DNS:typha-client, DNS:typha-server\n",
        {"san.dns.not_allowed"},
    ),
    "no name": ("[ only ]\nbasicConstraints = CA:FALSE\n[ req ]\nreq_extensions = only\n", {"san.dns.missing"}),
    "the loopback address": (
        "[ extensions ]\nsubjectAltName = DNS:typha-client, IP:127.0.0.1\n",
        {"san.ip.not_allowed"},
    ),
}
"""What is appended to the configuration, and every rule that the request then breaks."""


@pytest.mark.parametrize(("change", "codes"), REFUSED.values(), ids=REFUSED)
def test_a_request_for_more_is_refused(openssl: OpenSSL, change: str, codes: set[str]) -> None:
    """OpenSSL writes whatever its configuration says; the refusal says what is wrong, and nothing else."""
    assert refused(openssl.request("P-256", NODE, change=change)) == codes
