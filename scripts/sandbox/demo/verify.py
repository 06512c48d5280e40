"""Verifies certificates as a relying party does with openssl, and compares them with their requests."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sandbox.calico.fleet import Submission

PURPOSES = ("sslserver", "sslclient")
_AT_ONCE = 200  # certificates per call of openssl
_SECONDS = 60.0


def violations(issued: Sequence[tuple[Submission, bytes]], authority: Path, directory: Path) -> dict[str, str]:
    """Returns the violations of issued certificates.

    Args:
        issued: Requests with their `status.certificate`.
        authority: PEM file of the only trusted CA.
        directory: The folder for the certificates, one file each.

    Returns:
        The violation by CSR name; empty if there is none.
    """
    directory.mkdir(exist_ok=True)
    found: dict[str, str] = {}
    files: dict[bytes, list[Path]] = defaultdict(list)
    for number, (submission, certificate) in enumerate(issued):
        leaf, *chain = x509.load_pem_x509_certificates(certificate)
        found[submission.name] = "; ".join(_differences(submission, leaf))
        path = directory / f"{number}.pem"
        path.write_bytes(leaf.public_bytes(Encoding.PEM))
        files[b"".join(each.public_bytes(Encoding.PEM) for each in chain)].append(path)
    good = {path for chain, paths in files.items() for path in verified(paths, chain, authority, directory)}
    for number, (submission, _) in enumerate(issued):
        if directory / f"{number}.pem" not in good:
            found[submission.name] = f"openssl does not verify it; {found[submission.name]}".rstrip("; ")
    return found


def _differences(submission: Submission, leaf: x509.Certificate) -> Iterable[str]:
    component = submission.member.component
    if leaf.public_key() != submission.key.public_key():
        yield "it is for another key"
    names = [attribute.value for attribute in leaf.subject]
    if names != [component.common_name]:
        yield f"its subject is {names!r}"
    if [attribute.oid for attribute in leaf.subject] != [NameOID.COMMON_NAME]:
        yield "its subject is more than a common name"
    alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if sorted(alternative.get_values_for_type(x509.DNSName)) != sorted(component.dns_names):
        yield f"its DNS names are {alternative.get_values_for_type(x509.DNSName)!r}"


def verified(
    paths: Sequence[Path], chain: bytes, authority: Path, directory: Path, *, purposes: Sequence[str] = PURPOSES
) -> set[Path]:
    """Returns the certificates that openssl accepts for all purposes.

    Args:
        paths: PEM files of certificates with the same chain.
        chain: PEM of the CA certificates between them and the authority.
        authority: PEM file of the only trusted CAs.
        directory: The folder for the chain's file.
        purposes: Of openssl's option -purpose.
    """
    untrusted: list[str] = []
    if chain:
        bundle = directory / f"chain-{paths[0].stem}.pem"
        bundle.write_bytes(chain)
        untrusted = ["-untrusted", str(bundle)]
    good = set(paths)
    for purpose in purposes:
        options = ["-x509_strict", "-purpose", purpose, "-CAfile", str(authority), *untrusted]
        for start in range(0, len(paths), _AT_ONCE):
            part = paths[start : start + _AT_ONCE]
            done = subprocess.run(
                ["openssl", "verify", "-no-CApath", "-no-CAstore", *options, *map(str, part)],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            good -= {path for path in part if f"{path}: OK" not in done.stdout.splitlines()}
    return good
