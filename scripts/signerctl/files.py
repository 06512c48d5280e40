"""Files: reads certificates and requests in all usual formats, and writes each output completely or not at all."""

import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from csr_signer import der, field_error
from signerctl.interface.program import CommandError
from signerctl.kinds import KEY, REQUEST, Kind, kind_of

LARGEST_INPUT: Final = 1024 * 1024
STANDARD_INPUT: Final = Path("-")
_PEM: Final = b"-----BEGIN "
_REQUEST: Final = re.compile(
    rb"-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----.*?-----END (?:NEW )?CERTIFICATE REQUEST-----", re.DOTALL
)


def read(path: Path, *, largest: int = LARGEST_INPUT) -> bytes:
    """Reads a file, or standard input for `-`.

    Args:
        path: The file.
        largest: Its largest size in bytes.

    Raises:
        CommandError: The file is unreadable or too large.
    """
    try:
        if path == STANDARD_INPUT:
            content = sys.stdin.buffer.read(largest + 1)
        else:
            with path.open("rb") as file:
                content = file.read(largest + 1)
    except OSError as error:
        raise CommandError(f"{path}: cannot read the file: {error.strerror}") from error
    if len(content) > largest:
        raise CommandError(field_error.too_long(str(path), largest))
    return content


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Reads certificates from a file: PEM, one certificate in DER, or PKCS #7 in PEM or DER.

    Raises:
        CommandError: The file holds no certificate, or a private key; the message names what it holds.
    """
    content = _without_private_key(path)
    try:
        return tuple(der.attempt(lambda: _certificates(content)))
    except ValueError as error:
        raise _wrong(path, kind_of(content), "certificates in PEM, DER or PKCS #7", error) from error


def read_certificates_and_requests(path: Path) -> tuple[x509.Certificate | x509.CertificateSigningRequest, ...]:
    """Reads certificates as `read_certificates`, and certification requests (PKCS #10) in PEM or DER.

    Raises:
        CommandError: The file holds none of them, or a private key; the message names what it holds.
    """
    content = _without_private_key(path)
    try:
        return tuple(der.attempt(lambda: _certificates_and_requests(content)))
    except ValueError as error:
        kind = kind_of(content)
        damaged = kind is REQUEST
        what = "certificates in PEM, DER or PKCS #7, or requests (PKCS #10) in PEM or DER"
        raise _wrong(path, None if damaged else kind, what, error) from error


def _without_private_key(path: Path) -> bytes:
    content = read(path)
    if kind_of(content) is KEY:
        raise CommandError(field_error.forbidden(str(path), f"{KEY.name}: {KEY.remedy}"))
    return content


def _wrong(path: Path, kind: Kind | None, what: str, error: ValueError) -> CommandError:
    if kind is None:
        return CommandError(field_error.malformed(str(path), f"must be {what}: {error}"))
    remedy = f"; {kind.remedy}" if kind.remedy else ""
    return CommandError(field_error.malformed(str(path), f"{kind.name}: must be {what}{remedy}"))


def _certificates_and_requests(content: bytes) -> Sequence[x509.Certificate | x509.CertificateSigningRequest]:
    if _PEM not in content:
        with suppress(ValueError):
            return [der.attempt(lambda: x509.load_der_x509_csr(content))]
        return _certificates(content)
    requests = [x509.load_pem_x509_csr(block[0]) for block in _REQUEST.finditer(content)]
    others = _REQUEST.sub(b"", content)
    return [*requests, *(_certificates(others) if _PEM in others or not requests else ())]


def _certificates(content: bytes) -> Sequence[x509.Certificate]:
    if _PEM in content:
        is_message = b"-----BEGIN PKCS7-----" in content
        return pkcs7.load_pem_pkcs7_certificates(content) if is_message else x509.load_pem_x509_certificates(content)
    try:
        return [x509.load_der_x509_certificate(content)]
    except ValueError:
        return pkcs7.load_der_pkcs7_certificates(content)


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Encodes certificates as PEM, in the same order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Output files; their folders are writable. Only `outputs` makes them.

    Attributes:
        temporaries: The temporary file beside each output.
        force: Whether to replace existing files.
    """

    temporaries: Mapping[Path, Path]
    force: bool

    def write(self, contents: Mapping[Path, bytes]) -> None:
        """Writes all outputs. The contents of all are on disk before the first file appears.

        Raises:
            CommandError: An output cannot be written, or another process created it meanwhile. Unless `force` is set,
                the outputs that this call created are then deleted.
        """
        for path, content in contents.items():
            with _named(path), self.temporaries[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        placed: list[Path] = []
        try:
            for path in contents:
                with _named(path):
                    _place(self.temporaries[path], path, replaces=self.force)
                placed.append(path)
        except CommandError:
            for path in placed if not self.force else ():
                path.unlink(missing_ok=True)
            raise


@contextmanager
def outputs(*paths: Path, force: bool, inputs: Iterable[Path] = (), audit_log: Path | None = None) -> Iterator[Outputs]:
    """Checks that outputs can be written, before the caller signs anything that it could not keep.

    Args:
        paths: The output files.
        force: Whether to replace existing files.
        inputs: The files that the command reads; they are never replaced. `-` (standard input) is ignored.
        audit_log: The audit log that the command appends to.

    Raises:
        CommandError: One file has two roles, an output exists and `force` is not set, or its folder is not writable.
    """
    _refuse_two_roles(paths, [each for each in inputs if each != STANDARD_INPUT], audit_log)
    temporaries: dict[Path, Path] = {}
    try:
        for path in paths:
            if os.path.lexists(path) and not force:
                raise CommandError(f"{path}: Forbidden: the file exists; --force overwrites it")
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            with _named(path):
                temporary.touch(exist_ok=False)
            temporaries[path] = temporary
        yield Outputs(temporaries=temporaries, force=force)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def _refuse_two_roles(paths: Sequence[Path], inputs: Iterable[Path], audit_log: Path | None) -> None:
    written = [(path, "an output") for path in paths]
    if audit_log is not None:
        written.append((audit_log, "the audit log"))
    for number, (path, role) in enumerate(written):
        for other, others_role in [*written[:number], *((each, "an input") for each in inputs)]:
            if _same(path, other):
                roles = "two outputs" if role == others_role else f"{role} and {others_role}"
                raise CommandError(f"{path}: Forbidden: the same file as {roles}: give a different file for each")


def _same(one: Path, other: Path) -> bool:
    """Tells whether two paths name one file, also through links, and also if the file does not exist yet."""
    try:
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    except (OSError, RuntimeError):  # a loop of links or an unreadable folder: writing fails later with its own message
        return False


def _place(temporary: Path, path: Path, *, replaces: bool) -> None:
    if replaces:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, a link never replaces a file
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links: an empty file reserves the name
        path.touch(exist_ok=False)
        temporary.replace(path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"{path}: cannot write the file: {error.strerror}") from error
