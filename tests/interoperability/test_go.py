"""Go's crypto/x509, which Calico uses: an honest request is certified, and TLS accepts what is issued.

The program in `go/` is ours; it asks as Calico's client does, and connects as Calico's components do.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.function.builders import rsa_key
from tests.interoperability.stories import HONEST, NODE, WHEN, Story, certified, refused
from tests.interoperability.tools import attempt, path_of, run

SOURCE: Final = Path(__file__).parent / "go"
# The standard library alone, the toolchain that is there, and no network.
ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOFLAGS": "",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


class Go:
    """The program, built once, with its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "interoperability"
        build = (path_of("go"), "build", "-trimpath", "-buildvcs=false", "-o", self.program, ".")
        run(*build, environment=ENVIRONMENT, folder=SOURCE)
        self.key: Callable[[str], Path] = cache(self.make_key)

    def make_key(self, kind: str) -> Path:
        """A new key's file; the largest would take Go a minute, and the smallest it would rather not make."""
        file = self.folder / f"{kind}.key"
        if kind in ("RSA-1024", "RSA-8192"):
            key = rsa_key(int(kind.removeprefix("RSA-")))
            file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        else:
            run(self.program, "key", "-kind", kind, "-file", file)
        return file

    def request(self, kind: str, digest: str, story: Story, *changes: str) -> bytes:
        """The request of a story, with flags after it that change it."""
        return run(self.program, "request", *self.flags(kind, digest, story), *changes)

    def flags(self, kind: str, digest: str, story: Story) -> tuple[str | Path, ...]:
        """How the program is told a story."""
        signature = f"{digest}-RSA" if kind.startswith("RSA") else f"ECDSA-{digest}"
        return ("-key", self.key(kind), "-signature", signature, *names(story))

    def accept(self, kind: str, certificate: bytes, story: Story) -> None:
        """Fails unless the certificate is the key's, and both sides of a TLS connection verify it."""
        issued, root = self.folder / "issued.pem", self.folder / "root.pem"
        issued.write_bytes(certificate)
        root.write_bytes(story.root)
        files = ("-key", self.key(kind), "-certificate", issued, "-root", root)
        run(self.program, "accept", *files, *names(story), "-when", WHEN.isoformat())


def names(story: Story) -> tuple[str, ...]:
    """Flags for what a certificate is for."""
    return (
        *("-common-name", story.common_name),
        *("-dns-names", ",".join(story.dns_names)),
        *("-address", story.address),
    )


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Go:
    """The program, built by the toolchain of this machine."""
    return Go(tmp_path_factory.mktemp("go"))


@pytest.mark.parametrize(
    ("kind", "digest", "story"),
    [*HONEST, ("RSA-3072", "SHA256", NODE), ("RSA-8192", "SHA512", NODE)],
    ids=str,
)
def test_an_honest_request_is_certified(go: Go, kind: str, digest: str, story: Story) -> None:
    """Every key and digest of Calico's gets exactly the names that it asks for; server and client verify each other."""
    go.accept(kind, certified(go.request(kind, digest, story), story), story)


def test_another_keys_certificate_is_not_accepted(go: Go) -> None:
    """What accepts can also reject: here a certificate that was issued for another key."""
    certificate = certified(go.request("P-256", "SHA256", NODE), NODE)
    with pytest.raises(AssertionError, match="private key"):
        go.accept("P-384", certificate, NODE)


@pytest.mark.parametrize(
    ("kind", "changes", "codes"),
    [
        ("RSA-2048", "-signature SHA1-RSA", {"request.signature_algorithm"}),
        ("P-256", "-signature ECDSA-SHA1", {"request.signature_algorithm"}),
        ("RSA-2048", "-signature SHA256-RSAPSS", {"request.signature_algorithm"}),
        ("RSA-2048", "-signature SHA384-RSAPSS", {"request.signature_algorithm"}),
        ("RSA-2048", "-signature SHA512-RSAPSS", {"request.signature_algorithm"}),
        ("RSA-1024", "", {"public_key.size"}),
        ("P-224", "", {"public_key.type"}),
        ("Ed25519", "-signature Ed25519", {"public_key.type"}),
        ("P-256", "-authority", {"basic_constraints.ca"}),
        ("P-256", "-email-name admin@example.com", {"san.type"}),
        ("P-256", "-uri spiffe://cluster.local/ns/kube-system/sa/default", {"san.type"}),
        ("P-256", "-dns-names typha-client,typha-server", {"san.dns.not_allowed"}),
        ("P-256", "-common-name typha-server", {"subject.common_name"}),
        ("P-256", "-address ::1", {"san.ip.not_allowed"}),
        # What Calico's client writes where its environment is wrong: it checks neither names nor address (tls.go).
        ("P-256", "-dns-names=", {"san.type", "san.dns.missing"}),
        ("P-256", "-address unknown", {"san.type"}),
        ("P-256", "-email-address admin@example.com", {"subject.structure"}),
    ],
)
def test_what_is_not_allowed_is_refused(go: Go, kind: str, changes: str, codes: set[str]) -> None:
    """Go writes it when asked, and the refusal says what is wrong, and nothing else."""
    assert refused(go.request(kind, "SHA256", NODE, *changes.split())) == codes


@pytest.mark.parametrize(
    ("kind", "signature"),
    [("RSA-2048", "MD5-RSA"), ("P-256", "SHA256-RSA")],
    ids=["MD5", "Calico's default signatureAlgorithm with an EC key"],
)
def test_what_go_does_not_write(go: Go, kind: str, signature: str) -> None:
    """Should a release of Go write one of these, there is a refusal to be tested: then this test fails."""
    status, output, _ = attempt(go.program, "request", *go.flags(kind, "SHA256", NODE), "-signature", signature)
    assert (status, output) == (1, b"")
