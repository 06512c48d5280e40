"""GnuTLS's certtool: an honest `--generate-request` is certified, and `--verify` accepts what is issued."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.interoperability.stories import HONEST, NODE, Story, certified, refused, relabelled
from tests.interoperability.tools import attempt, path_of, run

TEMPLATE: Final = Path(__file__).parent / "certtool" / "request.cfg"
KINDS: Final = {
    "DSA-2048": "--key-type dsa --bits 2048",
    "Ed25519": "--key-type ed25519",
    "P-224": "--key-type ecdsa --curve secp224r1",
    "P-256": "--key-type ecdsa --curve secp256r1",
    "P-384": "--key-type ecdsa --curve secp384r1",
    "P-521": "--key-type ecdsa --curve secp521r1",
    "RSA-1024": "--key-type rsa --bits 1024",
    "RSA-2048": "--key-type rsa --bits 2048",
    "RSA-3072": "--key-type rsa --bits 3072",
    "RSA-4096": "--key-type rsa --bits 4096",
    "RSA-PSS": "--key-type rsa-pss --bits 2048",
}
"""Kinds of key: arguments of `certtool --generate-privkey`."""

SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


class Certtool:
    """One installation, with its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = path_of("certtool")
        self.key: Callable[[str], Path] = cache(self.make_key)

    def make_key(self, kind: str) -> Path:
        """A new key's file."""
        file = self.folder / f"{kind}.key"
        run(self.path, "--generate-privkey", *KINDS[kind].split(), "--outfile", file)
        return file

    def request(self, kind: str, story: Story, *options: str, change: str = "") -> bytes:
        """`certtool --generate-request`, with lines after the checked-in template."""
        template = self.folder / "request.cfg"
        lines = [f"cn = {story.common_name}", *(f"dns_name = {name}" for name in story.dns_names)]
        lines += [f"ip_address = {story.address}", change]
        template.write_text(TEMPLATE.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")
        return run(self.path, "--generate-request", "--load-privkey", self.key(kind), "--template", template, *options)

    def accept(self, kind: str, certificate: bytes, story: Story) -> None:
        """Fails unless the certificate is the key's and good for every name, as server and as client."""
        issued, root = self.folder / "issued.pem", self.folder / "root.pem"
        issued.write_bytes(certificate)
        root.write_bytes(story.root)
        public = run(self.path, "--pubkey-info", "--load-certificate", issued, "--no-text")
        assert public == run(self.path, "--pubkey-info", "--load-privkey", self.key(kind), "--no-text")
        verify = (self.path, "--verify", "--load-ca-certificate", root, "--infile", issued)
        for name in (*story.dns_names, story.address):
            for purpose in (SERVER_AUTH, CLIENT_AUTH):
                run(*verify, "--verify-hostname", name, "--verify-purpose", purpose)


def now() -> datetime:
    """The time of the CSR: certtool verifies at the machine's own time (it can be told another one since 3.8 only)."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def certtool(tmp_path_factory: pytest.TempPathFactory) -> Certtool:
    """The one on this machine."""
    return Certtool(tmp_path_factory.mktemp("certtool"))


@pytest.mark.parametrize(("kind", "digest", "story"), [*HONEST, ("RSA-3072", "SHA256", NODE)], ids=str)
def test_an_honest_request_is_certified(certtool: Certtool, kind: str, digest: str, story: Story) -> None:
    """Every key and digest of Calico's gets exactly the names that it asks for, and GnuTLS accepts the certificate."""
    request = relabelled(certtool.request(kind, story, "--hash", digest, "--no-text"))
    certtool.accept(kind, certified(request, story, now()), story)


def test_another_keys_certificate_is_not_accepted(certtool: Certtool) -> None:
    """What accepts can also reject: here a certificate that was issued for another key."""
    certificate = certified(relabelled(certtool.request("P-256", NODE, "--no-text")), NODE, now())
    with pytest.raises(AssertionError):
        certtool.accept("P-384", certificate, NODE)


def test_another_name_is_not_accepted(certtool: Certtool) -> None:
    """What accepts can also reject: here a name that the certificate is not for."""
    issued, root = certtool.folder / "issued.pem", certtool.folder / "root.pem"
    issued.write_bytes(certified(relabelled(certtool.request("P-256", NODE, "--no-text")), NODE, now()))
    root.write_bytes(NODE.root)
    verify = (certtool.path, "--verify", "--load-ca-certificate", root, "--infile", issued)
    status, _, said = attempt(*verify, "--verify-hostname", "typha-server")
    assert status != 0, said


@pytest.mark.parametrize("options", [(), ("--no-text",)], ids=["with text before it", "its label alone"])
def test_what_certtool_writes_around_a_request_is_refused(certtool: Certtool, options: tuple[str, ...]) -> None:
    """NEW CERTIFICATE REQUEST is not what kube-apiserver takes, so nobody has a use for it here; nor for the text."""
    request = certtool.request("P-256", NODE, *options)
    assert b"-----BEGIN NEW CERTIFICATE REQUEST-----" in request
    assert refused(request) == {"request.pem"}
    assert bool(options) == (refused(relabelled(request)) == set())


@pytest.mark.parametrize(
    ("kind", "options", "change", "codes"),
    [
        ("RSA-2048", "--hash SHA1", "", {"request.signature_algorithm"}),
        ("P-256", "--hash SHA1", "", {"request.signature_algorithm"}),
        ("RSA-2048", "--hash MD5", "", {"request.signature_algorithm"}),
        ("RSA-PSS", "", "", {"public_key.type"}),
        ("DSA-2048", "", "", {"public_key.type"}),
        ("Ed25519", "", "", {"public_key.type"}),
        ("P-224", "", "", {"public_key.type"}),
        ("RSA-1024", "", "", {"public_key.size"}),
        ("P-256", "", "challenge_password = 12345678", {"request.attribute"}),
        ("P-256", "", "ca", {"basic_constraints.ca"}),
        ("P-256", "", "ca\ncert_signing_key", {"basic_constraints.ca", "key_usage.not_allowed"}),
        ("P-256", "", "code_signing_key", {"extended_key_usage.not_allowed"}),
        ("P-256", "", "email = admin@example.com", {"san.type"}),
        ("P-256", "", "uri = spiffe://cluster.local/ns/kube-system/sa/default", {"san.type"}),
        ("P-256", "", "dns_name = *.calico-system.svc", {"name.reserved", "san.dns.not_allowed"}),
        ("P-256", "", "ip_address = 127.0.0.1", {"san.ip.not_allowed"}),
        ("P-256", "", "uid = root", {"subject.attribute"}),
        ("P-256", "", "dn_oid = 2.5.4.12 Admiral", {"subject.attribute"}),
        ("P-256", "", "dc = example", {"subject.structure"}),
        ("P-256", "", "dn_oid = 1.2.840.113549.1.9.1 a@example.com", {"subject.structure"}),
        ("P-256", "", "tls_feature = 5", {"request.extension"}),
        ("P-256", "", "add_extension = 1.2.3.4 0x0500", {"request.extension"}),
    ],
)
def test_what_is_not_allowed_is_refused(
    certtool: Certtool, kind: str, options: str, change: str, codes: set[str]
) -> None:
    """GnuTLS writes it when asked, and the refusal says what is wrong, and nothing else."""
    request = certtool.request(kind, NODE, "--no-text", *options.split(), change=change)
    assert refused(relabelled(request)) == codes
