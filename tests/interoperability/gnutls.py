"""GnuTLS: `certtool --generate-request` writes requests, `certtool --verify` verifies chains."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from tests.interoperability.requesters import Requester, relabelled
from tests.interoperability.stack import PROGRAMS, Query, RequestWriter, attempt, is_address, run

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
"""Arguments of `certtool --generate-privkey` by kind of key."""

WITH_TEXT: Final = "with text"
"""A change: certtool describes the request before the PEM block."""

_PURPOSES: Final = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2"}


class GnuTLS(RequestWriter):
    """The `certtool` program."""

    name = "GnuTLS"
    tools = ("certtool",)
    install = "GnuTLS's tools, Debian's package gnutls-bin"
    reasons: ClassVar = {
        "a flipped bit in the signature": r"signature in the certificate is invalid",
        "another root of the same name": r"issuer is unknown",
        "expired": r"uses expired certificate",
        "another host": r"name in the certificate does not match",
        "serverAuth alone, as a client": r"does not match the intended purpose",
        "issued by a leaf": r"violates the signer's constraints",
        "without its intermediates": r"issuer is unknown",
    }

    @cache  # noqa: B019 - lives as long as the tests
    def key(self, kind: str) -> Path:
        """Returns the file of a new key."""
        file = self.folder / f"{kind}.key"
        run("certtool", "--generate-privkey", *KINDS[kind].split(), "--outfile", file)
        return file

    def written(self, kind: str, requester: Requester, digest: str = "", change: str = "") -> bytes:
        """Runs `certtool --generate-request`; a change is an option, or lines for the end of the template."""
        options = [*(["--hash", digest] if digest else []), *([] if change == WITH_TEXT else ["--no-text"])]
        lines = [f"cn = {requester.component.common_name}"]
        lines += [f"{'ip_address' if is_address(host) else 'dns_name'} = {host}" for host in requester.hosts]
        if change.startswith("-"):
            options += change.split()
        elif change != WITH_TEXT:
            lines += change.split(" | ")
        template = self.folder / "request.cfg"
        text = (PROGRAMS / "certtool.cfg").read_text(encoding="utf-8") + "\n".join(lines) + "\n"
        template.write_text(text, encoding="utf-8")
        return run("certtool", "--generate-request", "--load-privkey", self.key(kind), "--template", template, *options)

    def request(self, kind: str, requester: Requester, digest: str = "", change: str = "") -> bytes:
        """Returns what certtool writes, under the label that kube-apiserver accepts."""
        return relabelled(self.written(kind, requester, digest, change))

    def verify(self, queries: Sequence[Query]) -> list[str]:
        """Runs `certtool --verify` for each query."""
        return [self._verify(query) for query in queries]

    def _verify(self, query: Query) -> str:
        options = ["--load-ca-certificate", str(query.roots), "--infile", str(query.chain)]
        options += ["--verify-purpose", _PURPOSES[query.purpose]]
        options += ["--verify-hostname", query.host] if query.host else []
        status, _, text = attempt("certtool", "--verify", *options)
        verdict = re.search(r"^Chain verification output: (.+)$", text, re.MULTILINE)
        assert verdict, text
        return verdict[1] if status else ""
