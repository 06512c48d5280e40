"""OpenSSL: `openssl req` writes requests, `openssl verify` verifies chains."""

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.derived_keys import rsa_key
from tests.interoperability.requesters import Requester
from tests.interoperability.stack import PROGRAMS, Query, RequestWriter, attempt, is_address, run

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
"""Arguments of `openssl genpkey` by kind of key."""

_OUTPUT: Final = re.compile(r"error (?P<file>.+): verification failed|(?P<reason>error \d+ at .+)")


class OpenSSL(RequestWriter):
    """The `openssl` program."""

    name = "OpenSSL"
    tools = ("openssl",)
    install = "OpenSSL 3"
    required = True
    version = ("version",)
    # Numbers of X509_V_ERR_...: 24 and 79 are "invalid CA certificate" before and since 3.0.
    reasons: ClassVar = {
        "a flipped bit in the signature": r"error 7 at 0 depth",
        "another root of the same name": r"error 20 at [02] depth",
        "expired": r"error 10 at 0 depth",
        "another host": r"error 62 at 0 depth",
        "serverAuth alone, as a client": r"error 26 at 0 depth",
        "issued by a leaf": r"error (24|79) at 1 depth",
        "without its intermediates": r"error 20 at 0 depth",
    }

    @cache  # noqa: B019 - lives as long as the tests
    def key(self, kind: str) -> Path:
        """Returns the file of a new key."""
        file = self.folder / f"{kind}.key"
        if kind == "RSA-8192":  # OpenSSL takes 6 to 30 seconds to find one
            file.write_bytes(rsa_key(8192).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            return file
        algorithm, *options = KINDS[kind]
        chosen = [argument for option in options for argument in ("-pkeyopt", option)]
        run("openssl", "genpkey", "-algorithm", algorithm, "-out", file, *chosen)
        return file

    def request(self, kind: str, requester: Requester, digest: str = "", change: str = "") -> bytes:
        """Runs `openssl req -new`.

        A change is either options, or settings `SECTION: KEY = VALUE` separated by `|`, which follow the configuration
        in `programs/`: of two values the last one counts.
        """
        options = [f"-{digest}"] if digest else []
        configuration = (PROGRAMS / "openssl.cnf").read_text(encoding="utf-8")
        if change.startswith("-"):
            options += change.split()
        elif change:
            settings = [each.partition(":") for each in change.split("|")]
            configuration += "".join(f"[ {section.strip()} ]\n{setting}\n" for section, _, setting in settings)
        file = self.folder / "request.cnf"
        file.write_text(configuration, encoding="utf-8")
        names = ", ".join(f"{'IP' if is_address(host) else 'DNS'}:{host}" for host in requester.hosts)
        environment = {"COMMON_NAME": requester.component.common_name, "NAMES": names}
        return run("openssl", "req", "-new", "-config", file, "-key", self.key(kind), *options, environment=environment)

    def verify(self, queries: Sequence[Query]) -> list[str]:
        """Runs `openssl verify` once for all leaves of the same roots, intermediates, host and purpose."""

        def group(query: Query) -> tuple[str, bytes, str, str]:
            _, _, intermediates = query.chain.read_bytes().partition(b"-----END CERTIFICATE-----\n")
            return str(query.roots), intermediates, query.host, query.purpose

        answers: dict[Query, str] = {}
        for (_, intermediates, _, _), batch in itertools.groupby(sorted(queries, key=group), key=group):
            answers |= self._verify(list(batch), intermediates)
        return [answers[query] for query in queries]

    def _verify(self, batch: list[Query], intermediates: bytes) -> dict[Query, str]:
        first, untrusted = batch[0], self.folder / "untrusted.pem"
        untrusted.write_bytes(intermediates)
        options = ["-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", str(first.roots)]
        options += ["-purpose", f"ssl{first.purpose}", *(["-untrusted", str(untrusted)] if intermediates else [])]
        if first.host:
            options += ["-verify_ip" if is_address(first.host) else "-verify_hostname", first.host]
        _, output, text = attempt("openssl", "verify", *options, *(query.chain for query in batch))
        accepted, refused = set(output.decode().splitlines()), dict(_refusals(text))
        return {
            query: "" if f"{query.chain}: OK" in accepted else refused[str(query.chain)]
            for query in dict.fromkeys(batch)
        }


def _refusals(text: str) -> Iterator[tuple[str, str]]:
    """Yields each refused file with its reasons, which OpenSSL prints before the file's name."""
    reasons: list[str] = []
    for match in filter(None, map(_OUTPUT.match, text.splitlines())):
        if match["file"] is None:
            reasons.append(match["reason"])
        else:
            yield match["file"], "; ".join(reasons)
            reasons = []
