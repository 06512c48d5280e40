"""Files: certificates in every form in which CAs hand them out, and outputs that are whole or not there at all."""

import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from csr_signer import der
from csr_signer.ca.chain import PRIVATE_KEY
from signerctl.program import CommandError

LARGEST_INPUT: Final = 1024 * 1024
STANDARD_INPUT: Final = Path("-")
_PEM: Final = b"-----BEGIN "


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
        raise CommandError(f"{path}: Too long: must have at most {LARGEST_INPUT} bytes, as a file of certificates has")
    return content


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Certificates of a file: PEM, one in DER, or PKCS #7 in either form.

    Raises:
        CommandError: there are none, or a private key lies beside them.
    """
    content = read(path)
    if PRIVATE_KEY.search(content):
        raise CommandError(
            f"{path}: Forbidden: a private key: must hold certificates only, because a CA's key stays in Cloud KMS"
        )
    try:
        return tuple(der.attempt(lambda: _certificates(content)))
    except ValueError as error:
        raise CommandError(f"{path}: Invalid value: must hold certificates in PEM, DER or PKCS #7: {error}") from error


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

    def write(self, contents: Mapping[Path, bytes]) -> None:
        """Puts whole files in their places: the content of all is on the disk before the first appears.

        Raises:
            CommandError: one cannot be written, or somebody else made it meanwhile; then those that were not there
                before are gone again.
        """
        for path, content in contents.items():
            with _told(path), self.temporaries[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        placed: list[Path] = []
        try:
            for path in contents:
                with _told(path):
                    _place(self.temporaries[path], path, replaces=self.force)
                placed.append(path)
        except CommandError:
            for path in placed if not self.force else ():
                path.unlink(missing_ok=True)
            raise


@contextmanager
def outputs(*paths: Path, force: bool, inputs: Iterable[Path] = (), audit_log: Path | None = None) -> Iterator[Outputs]:
    """Holds places for files before anything is done that cannot be undone: what cannot be kept must not be signed.

    Args:
        paths: files to be written.
        force: whether existing ones are replaced.
        inputs: files that are read, which are never replaced; standard input is none.
        audit_log: that is written too.

    Raises:
        CommandError: one file has two of these parts, a file exists and is not to be replaced, or its place cannot be
            written.
    """
    _refuse_two_parts(paths, [each for each in inputs if each != STANDARD_INPUT], audit_log)
    temporaries: dict[Path, Path] = {}
    try:
        for path in paths:
            if os.path.lexists(path) and not force:
                raise CommandError(f"{path} exists; --force overwrites it")
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            with _told(path):
                temporary.touch(exist_ok=False)
            temporaries[path] = temporary
        yield Outputs(temporaries=temporaries, force=force)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def _refuse_two_parts(paths: Sequence[Path], inputs: Iterable[Path], audit_log: Path | None) -> None:
    written = [(path, "an output") for path in paths]
    if audit_log is not None:
        written.append((audit_log, "the audit log"))
    for number, (path, part) in enumerate(written):
        for other, others in [*written[:number], *((each, "an input") for each in inputs)]:
            if _same(path, other):
                two = "two outputs" if part == others else f"{part} and {others}"
                raise CommandError(f"{path}: Invalid value: given for {two}: must be one file for each")


def _same(one: Path, other: Path) -> bool:
    """Whether two names are one file, by links of either kind or before it is there."""
    try:
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    except (OSError, RuntimeError):  # a loop of links, or a folder that may not be looked into: writing there fails
        return False


def _place(temporary: Path, path: Path, *, replaces: bool) -> None:
    if replaces:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: an empty file of ours holds the name
        path.touch(exist_ok=False)
        temporary.replace(path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
