"""Go's crypto/x509, by a program of ours: it asks as Calico's client does, and connects as Calico's components do."""

import hashlib
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.derived_keys import rsa_key
from tests.interoperability.requesters import Requester
from tests.interoperability.stack import PROGRAMS, Query, RequestWriter, run
from tests.paths import CACHE

SOURCE: Final = PROGRAMS / "go"
# The standard library alone, the installed toolchain, and no network.
_ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOFLAGS": "",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


@cache
def program() -> Path:
    """Returns the program in the user's cache, and builds it for each new source or toolchain."""
    contents = [file.read_bytes() for file in sorted(SOURCE.iterdir())]
    digest = hashlib.sha256(b"\0".join([run("go", "version", environment=_ENVIRONMENT), *contents])).hexdigest()
    built = CACHE / "interoperability" / digest
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        # Built beside its place and then moved: another process may build or run it at the same time.
        with tempfile.TemporaryDirectory(dir=built.parent) as temporary:
            output = Path(temporary) / "program"
            build = ("go", "build", "-trimpath", "-buildvcs=false", "-o", output, ".")
            run(*build, environment=_ENVIRONMENT, folder=SOURCE)
            output.rename(built)
    return built


class Go(RequestWriter):
    """The Go toolchain on this machine."""

    name = "Go"
    tools = ("go",)
    install = "Go 1.22 or later"
    required = True
    version = ("version",)
    reasons: ClassVar = {
        "a flipped bit in the signature": r"verification (error|failure)",
        "another root of the same name": r"signed by unknown authority",
        "expired": r"has expired",
        "another host": r"is valid for .+, not other\.",
        "serverAuth alone, as a client": r"incompatible key usage",
        "issued by a leaf": r"parent certificate cannot sign",
        "without its intermediates": r"signed by unknown authority",
    }

    @cache  # noqa: B019 - lives as long as the tests
    def key(self, kind: str) -> Path:
        """Returns the file of a new key."""
        file = self.folder / f"{kind}.key"
        if kind in ("RSA-1024", "RSA-8192"):  # Go refuses to make the first and takes a minute for the second
            key = rsa_key(int(kind.removeprefix("RSA-")))
            file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        else:
            run(program(), "key", "-kind", kind, "-file", file)
        return file

    def request(self, kind: str, requester: Requester, digest: str = "", change: str = "") -> bytes:
        """Runs `request`; of two flags of one name the last one counts."""
        return run(*self.request_command(kind, requester, digest), *change.split())

    def request_command(self, kind: str, requester: Requester, digest: str = "") -> tuple[str | Path, ...]:
        """Returns the command that writes a request."""
        digest = digest or "SHA256"
        names = (",".join(requester.component.dns_names), "-address", requester.address)
        return (
            *(program(), "request", "-key", self.key(kind)),
            *("-signature", f"{digest}-RSA" if kind.startswith("RSA") else f"ECDSA-{digest}"),
            *("-common-name", requester.component.common_name, "-dns-names", *names),
        )

    def verify(self, queries: Sequence[Query]) -> list[str]:
        """Runs `verify`."""
        return self.verify_with(queries, program(), "verify")

    def accept(self, kind: str, requester: Requester, chain: Path, root: Path) -> None:
        """Also connects: client and server present the certificate, and each verifies the other's."""
        super().accept(kind, requester, chain, root)
        files = ("-key", self.key(kind), "-certificate", chain, "-root", root)
        run(program(), "connect", *files, "-name", requester.component.dns_names[0])
