"""Audit records of each use of the key, as the function writes them: one JSON line before and one after.

Both lines hold the purpose and the hash that KMS's audit log also holds. signerctl signs only through this module.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from csr_signer import der
from csr_signer.audit import Audit, AuditRecord
from csr_signer.errors import SignerError
from csr_signer.issuance.lint import TBSCertificate
from signerctl.interface.program import CommandError
from signerctl.key import SigningKey

T = TypeVar("T")


def audit(log: Path | None) -> Audit:
    """Returns an audit that appends records to a file, or writes them to standard error without a file."""
    return Audit(write=_to_standard_error if log is None else _appended_to(log))


@contextmanager
def signed(
    tbs: TBSCertificate,
    key: SigningKey,
    audit: Audit,
    *,
    what: str,
    facts: Mapping[str, object],
    assemble: Callable[[TBSCertificate, bytes, SigningKey], T],
) -> Iterator[T]:
    """Records the intent, signs linted bytes, yields the result to the caller, and records the outcome.

    Args:
        tbs: Linted bytes.
        key: The key that signs them.
        audit: Receives the records.
        what: The name of the certificate or request, for people.
        facts: Its fields, for programs.
        assemble: Assembles bytes and signature, and verifies the signature.

    Raises:
        UnavailableError: The intent could not be recorded, so the key was not used.
        SignerError: As `CloudKmsKey.sign`, or the signature does not verify.
        CommandError: The outcome could not be recorded. The caller has already written its file.
    """
    from csr_signer.kms.key import Attempts  # noqa: PLC0415 - as in KmsOptions

    known = {
        "tbs_sha256": tbs.sha256,
        **({"serial_number": der.hexadecimal(tbs.serial_number)} if tbs.serial_number else {}),
        "key_version": key.key_version,
        "purpose": tbs.purpose,
        **facts,
    }
    _record(audit, "intent", "NOTICE", f"about to sign {what}", known)
    attempts = Attempts()
    try:
        signature = key.sign(tbs, attempts)
        known["kms_milliseconds"] = signature.milliseconds
        yield assemble(tbs, signature.value, key)
    except BaseException as error:  # including an interrupt: KMS may have signed already
        severity = error.severity if isinstance(error, SignerError) else "ERROR"
        known |= {"kms_attempts": attempts.count, "fault": type(error).__name__}
        _record(audit, "abandoned", severity, f"signing failed for {what}", known)
        raise
    known["kms_attempts"] = attempts.count
    try:
        _record(audit, "issued", "NOTICE", f"signed {what}", known)
    except SignerError as error:
        raise CommandError(
            f"{what} was signed and its file is written, but signerctl could not record it: {error}"
        ) from error


def _record(audit: Audit, event: str, severity: str, message: str, facts: Mapping[str, object]) -> None:
    audit.record_now(AuditRecord(event=event, severity=severity, message=message, csr_uid="", facts=facts))


def _to_standard_error(line: bytes) -> None:
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()


def _appended_to(log: Path) -> Callable[[bytes], None]:
    def append(line: bytes) -> None:
        with log.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    return append
