"""Java: `keytool` writes requests and imports the reply, and a program of ours verifies chains."""

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from tests.interoperability.requesters import Requester, relabelled
from tests.interoperability.stack import PROGRAMS, Query, RequestWriter, is_address, run

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
"""Arguments of `keytool -genkeypair` by kind of key."""

NAMES_ONLY: Final = "names only"
"""A change: the request asks for the common name and the names, and for no other extension."""

_SUBJECT: Final = "CN={}, OU=Engineering, O=Tigera, L=San Francisco, ST=California, C=US"
_EXTENSIONS: Final = (
    *("-ext", "ku:critical=digitalSignature,keyEncipherment,keyAgreement"),
    *("-ext", "eku=serverAuth,clientAuth", "-ext", "bc:critical=ca:false"),
)
_STORE: Final = ("-storetype", "PKCS12", "-storepass", "changeit", "-alias", "leaf")
# Saves a third of the 0.3 s that each process takes; generating a key would take longer.
_KEYTOOL: Final = ("keytool", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")


class Java(RequestWriter):
    """The JDK on this machine, with a keystore for each kind of key."""

    name = "Java"
    tools = ("java", "javac", "keytool")
    install = "a JDK, 17 or later"
    reasons: ClassVar = {
        "a flipped bit in the signature": r"signature check failed",
        "another root of the same name": r"does not chain with any of the trust anchors",
        "expired": r"CertificateExpiredException",
        "another host": r"No subject alternative DNS name matching",
        "serverAuth alone, as a client": r"does not permit use for TLS client authentication",
        "issued by a leaf": r"keyCertSign bit is not set|not a CA certificate",
        "without its intermediates": r"does not chain with any of the trust anchors",
    }

    @cache  # noqa: B019 - lives as long as the tests
    def store(self, kind: str) -> Path:
        """Returns a keystore with a new key under the alias leaf."""
        store = self.folder / f"{kind}.p12"
        options = (*KINDS[kind].split(), "-dname", _SUBJECT.format("nobody"), "-validity", "1")
        run("keytool", "-genkeypair", "-keystore", store, *_STORE, *options)
        return store

    def written(self, kind: str, requester: Requester, digest: str = "", change: str = "") -> bytes:
        """Runs `keytool -certreq`; of two options of one name, and of two extensions, the last one counts."""
        subject = (_SUBJECT if change != NAMES_ONLY else "CN={}").format(requester.component.common_name)
        names = ",".join(f"{'ip' if is_address(host) else 'dns'}:{host}" for host in requester.hosts)
        options = ["-dname", subject, "-ext", f"san={names}"]
        if digest:
            options += ["-sigalg", f"{digest}with{'RSA' if kind.startswith('RSA') else 'ECDSA'}"]
        if change != NAMES_ONLY:
            options += [*_EXTENSIONS, *change.split()]
        return run(*_KEYTOOL, "-certreq", "-keystore", self.store(kind), *_STORE, *options)

    def request(self, kind: str, requester: Requester, digest: str = "", change: str = "") -> bytes:
        """Returns what keytool writes, under the label that kube-apiserver accepts."""
        return relabelled(self.written(kind, requester, digest, change))

    def accept(self, kind: str, requester: Requester, chain: Path, root: Path) -> None:  # noqa: ARG002
        """Imports the root and then the chain, which keytool takes for its own key only."""
        store = self.folder / "reply.p12"
        shutil.copy(self.store(kind), store)
        load = (*_KEYTOOL, "-importcert", "-noprompt", "-keystore", store, *_STORE)
        run(*load, "-alias", "root", "-file", root)
        run(*load, "-file", chain)

    def verify(self, queries: Sequence[Query]) -> list[str]:
        """Runs the program; without the optimizing compiler, which costs more than it gains."""
        return self.verify_with(queries, "java", "-XX:TieredStopAtLevel=1", PROGRAMS / "Verify.java")
