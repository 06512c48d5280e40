"""Java's keytool: what `-certreq` writes for an honest request is certified, and `-importcert` takes the reply."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.interoperability.stories import API_SERVER, DIGESTS, NODE, Story, certified, refused, relabelled
from tests.interoperability.tools import path_of, run

KINDS: Final = {
    "DSA-2048": "-keyalg DSA -keysize 2048",
    "Ed25519": "-keyalg Ed25519",
    "Ed448": "-keyalg Ed448",
    "P-256": "-keyalg EC -keysize 256",
    "P-384": "-keyalg EC -keysize 384",
    "P-521": "-keyalg EC -keysize 521",
    "RSA-1024": "-keyalg RSA -keysize 1024",
    "RSA-2048": "-keyalg RSA -keysize 2048",
    "RSA-3072": "-keyalg RSA -keysize 3072",
    "RSA-4096": "-keyalg RSA -keysize 4096",
    "RSASSA-PSS": "-keyalg RSASSA-PSS -keysize 2048",
}
"""Kinds of key: arguments of `keytool -genkeypair`."""

SUBJECT: Final = "CN={}, OU=Engineering, O=Tigera, L=San Francisco, ST=California, C=US"
EXTENSIONS: Final = ("ku:critical=digitalSignature,keyEncipherment,keyAgreement", "eku=serverAuth,clientAuth")
PROTECTED: Final = ("-storetype", "PKCS12", "-storepass", "changeit")
QUICK: Final = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")
"""Saves a third of the 0.3 s that each process takes, and costs where keys are made."""

# Every key, every digest with both families of keys, both requesters; the product of all would take a minute.
HONEST_HERE: Final = (
    *[("RSA-2048", f"{digest}withRSA", NODE) for digest in DIGESTS],
    *[("P-256", f"{digest}withECDSA", NODE) for digest in DIGESTS],
    ("RSA-3072", "SHA256withRSA", NODE),
    ("RSA-4096", "SHA384withRSA", NODE),
    ("P-384", "SHA384withECDSA", NODE),
    ("P-521", "SHA512withECDSA", NODE),
    ("RSA-2048", "SHA256withRSA", API_SERVER),
    ("P-256", "SHA256withECDSA", API_SERVER),
)


class Keytool:
    """One JDK's, with a keystore for each kind of key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = path_of("keytool")
        self.command = (self.path, *QUICK)
        self.store: Callable[[str], Path] = cache(self.make_store)

    def make_store(self, kind: str) -> Path:
        """A keystore that holds a new key under the alias leaf."""
        store = self.folder / f"{kind}.p12"
        options = (*KINDS[kind].split(), "-dname", SUBJECT.format("nobody"), "-validity", "1")
        run(self.path, "-genkeypair", "-keystore", store, *PROTECTED, "-alias", "leaf", *options)
        return store

    def request(self, kind: str, story: Story, *options: str) -> bytes:
        """`keytool -certreq`; of two options of one name, and of two extensions, the last one counts."""
        names = ",".join([*(f"dns:{name}" for name in story.dns_names), f"ip:{story.address}"])
        extensions = (*EXTENSIONS, "bc:critical=ca:false", f"san={names}")
        return run(
            *(*self.command, "-certreq", "-keystore", self.store(kind), *PROTECTED, "-alias", "leaf"),
            *("-dname", SUBJECT.format(story.common_name), *(a for e in extensions for a in ("-ext", e)), *options),
        )

    def accept(self, kind: str, certificate: bytes, story: Story) -> None:
        """Fails unless the keystore takes the certificate for its key, under a root that it trusts."""
        store, issued, root = (self.folder / name for name in ("reply.p12", "issued.pem", "root.pem"))
        shutil.copy(self.store(kind), store)
        issued.write_bytes(certificate)
        root.write_bytes(story.root)
        load = (*self.command, "-importcert", "-noprompt", "-keystore", store, *PROTECTED)
        run(*load, "-alias", "root", "-file", root)
        run(*load, "-alias", "leaf", "-file", issued)


@pytest.fixture(scope="module")
def keytool(tmp_path_factory: pytest.TempPathFactory) -> Keytool:
    """The one on this machine."""
    return Keytool(tmp_path_factory.mktemp("keytool"))


@pytest.mark.parametrize(("kind", "algorithm", "story"), HONEST_HERE, ids=str)
def test_an_honest_request_is_certified(keytool: Keytool, kind: str, algorithm: str, story: Story) -> None:
    """Calico's keys and digests get exactly the names that they ask for, and the keystore takes the certificate.

    keytool adds a subjectKeyIdentifier to every request, which no option leaves out.
    """
    request = relabelled(keytool.request(kind, story, "-sigalg", algorithm))
    keytool.accept(kind, certified(request, story), story)


def test_the_names_alone_are_certified(keytool: Keytool) -> None:
    """Whoever asks keytool for names only, and leaves the digest to it, is certified as well."""
    options = ("-certreq", "-keystore", keytool.store("P-384"), *PROTECTED, "-alias", "leaf")
    names = f"san=dns:{NODE.common_name},ip:{NODE.address}"
    request = run(*keytool.command, *options, "-dname", f"CN={NODE.common_name}", "-ext", names)
    keytool.accept("P-384", certified(relabelled(request), NODE), NODE)


def test_another_keys_certificate_is_not_accepted(keytool: Keytool) -> None:
    """What accepts can also reject: here a certificate that was issued for another key."""
    certificate = certified(relabelled(keytool.request("P-256", NODE)), NODE)
    with pytest.raises(AssertionError, match="keytool error"):
        keytool.accept("P-384", certificate, NODE)


def test_the_label_that_keytool_writes_is_refused(keytool: Keytool) -> None:
    """NEW CERTIFICATE REQUEST is not what kube-apiserver takes, so nobody has a use for it here."""
    request = keytool.request("P-256", NODE)
    assert request.startswith(b"-----BEGIN NEW CERTIFICATE REQUEST-----")
    assert refused(request) == {"request.pem"}


@pytest.mark.parametrize(
    ("kind", "options", "codes"),
    [
        ("RSA-2048", "-sigalg SHA1withRSA", {"request.signature_algorithm"}),
        ("P-256", "-sigalg SHA1withECDSA", {"request.signature_algorithm"}),
        ("RSA-2048", "-sigalg MD5withRSA", {"request.signature_algorithm"}),
        ("RSA-2048", "-sigalg SHA224withRSA", {"request.signature_algorithm"}),
        ("RSA-2048", "-sigalg RSASSA-PSS", {"request.signature_algorithm"}),
        ("RSASSA-PSS", "", {"public_key.type"}),
        ("DSA-2048", "", {"public_key.type"}),
        ("Ed25519", "", {"public_key.type"}),
        ("Ed448", "", {"public_key.type"}),
        ("RSA-1024", "", {"public_key.size"}),
        ("P-256", "-ext bc=ca:true", {"basic_constraints.ca"}),
        ("P-256", "-ext bc=ca:true,pathlen:0", {"basic_constraints.ca"}),
        ("P-256", "-ext ku=digitalSignature,nonRepudiation", {"key_usage.not_allowed"}),
        ("P-256", "-ext eku=serverAuth,codeSigning", {"extended_key_usage.not_allowed"}),
        ("P-256", "-ext san=dns:typha-client,email:admin@example.com", {"san.type"}),
        ("P-256", "-ext san=dns:typha-client,uri:spiffe://cluster.local/ns/kube-system/sa/default", {"san.type"}),
        ("P-256", "-ext san=dns:typha-client,oid:1.2.3.4", {"san.type"}),
        ("P-256", "-ext san=dns:typha-client,dns:*.calico-system", {"name.reserved", "san.dns.not_allowed"}),
        ("P-256", "-ext san=dns:typha-server", {"san.dns.not_allowed", "san.dns.missing"}),
        ("P-256", "-ext san=dns:typha-client,ip:127.0.0.1", {"san.ip.not_allowed"}),
        ("P-256", "-ext 1.2.3.4=0500", {"request.extension"}),
        ("P-256", "-dname CN=typha-client,OU=Operations", {"subject.attribute"}),
        ("P-256", "-dname CN=typha-client+OU=Engineering", {"subject.structure"}),
        ("P-256", "-dname CN=typha-client,DC=example", {"subject.structure"}),
        ("P-256", "-dname CN=typha-client,EMAILADDRESS=a@example.com", {"subject.structure"}),
    ],
)
def test_what_is_not_allowed_is_refused(keytool: Keytool, kind: str, options: str, codes: set[str]) -> None:
    """Java writes it when asked, and the refusal says what is wrong, and nothing else."""
    assert refused(relabelled(keytool.request(kind, NODE, *options.split()))) == codes
