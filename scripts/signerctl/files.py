"""Files: certificates in every form in which CAs hand them out, and outputs that are whole or not there at all."""

import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from csr_signer import der
from signerctl.program import CommandError

LARGEST_INPUT: Final = 1024 * 1024
STANDARD_INPUT: Final = Path("-")
_PEM: Final = b"-----BEGIN "
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def read(path: Path) -> bytes:
    """A file's content, or standard input's for `-`.

    Raises:
        CommandError: it cannot be read, or is larger than 1 MiB.
    """
    try:
        if path == STANDARD_INPUT:
            content = sys.stdin.buffer.read(LARGEST_INPUT + 1)
        else:
            with path.open("rb") as file:
                content = file.read(LARGEST_INPUT + 1)
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_INPUT:
        raise CommandError(f"{path}: got more than {LARGEST_INPUT} bytes, allowed is a file of certificates")
    return content


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Certificates of a file: PEM, one in DER, or PKCS #7 in either form.

    Raises:
        CommandError: there are none, or a private key lies beside them.
    """
    content = read(path)
    if _PRIVATE_KEY.search(content):
        raise CommandError(f"{path}: holds a private key, allowed are certificates: a CA's key stays in Cloud KMS")
    try:
        return tuple(der.attempt(lambda: _certificates(content)))
    except ValueError as error:
        raise CommandError(f"{path}: no certificates in PEM, DER or PKCS #7: {error}") from error


def _certificates(content: bytes) -> Sequence[x509.Certificate]:
    if _PEM in content:
        is_message = b"-----BEGIN PKCS7-----" in content
        return pkcs7.load_pem_pkcs7_certificates(content) if is_message else x509.load_pem_x509_certificates(content)
    try:
        return [x509.load_der_x509_certificate(content)]
    except ValueError:
        return pkcs7.load_der_pkcs7_certificates(content)


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Certificates as PEM, in their order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Files that can be written, which was tried. Only `outputs` makes them.

    Attributes:
        temporaries: by the file that is meant, the one beside it that holds its place.
        force: whether existing files are replaced.
    """

    temporaries: Mapping[Path, Path]
    force: bool

    def write(self, path: Path, content: bytes) -> None:
        """Puts a whole file in its place.

        Raises:
            CommandError: it cannot be written, or somebody else made it meanwhile.
        """
        temporary = self.temporaries[path]
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self.force:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # unlike a rename, it replaces nothing
        except OSError as error:
            raise CommandError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def outputs(*paths: Path, force: bool) -> Iterator[Outputs]:
    """Holds places for files before anything is done that cannot be undone: what cannot be kept must not be signed.

    Raises:
        CommandError: a file exists and is not to be replaced, or its place cannot be written.
    """
    if len(set(paths)) != len(paths):
        raise CommandError(f"{paths[0]}: is named for two outputs, allowed is a file for each")
    temporaries: dict[Path, Path] = {}
    try:
        for path in paths:
            if os.path.lexists(path) and not force:
                raise CommandError(f"{path} exists; --force overwrites it")
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            _reserve(path, temporary)
            temporaries[path] = temporary
        yield Outputs(temporaries=temporaries, force=force)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def _reserve(path: Path, temporary: Path) -> None:
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
