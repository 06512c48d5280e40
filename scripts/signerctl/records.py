"""What is recorded of the key's use, as the function does: one JSON line before it and one after.

The hash in both stands in KMS's own audit log too, beside the purpose. Nothing is signed here in any other way.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from csr_signer.audit import Audit, AuditRecord
from csr_signer.errors import SignerError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms.key import Attempts
from signerctl.key import SigningKey
from signerctl.program import CommandError

T = TypeVar("T")


def audit(log: Path | None) -> Audit:
    """Writes records to the end of a file, or to standard error where none is named."""
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
    """Records the intent, signs cleared bytes, lets the caller keep what came of it, and records the outcome.

    Args:
        tbs: cleared bytes.
        key: signs them.
        audit: where to.
        what: is signed, for people.
        facts: for machines.
        assemble: puts bytes and signature together, and verifies.

    Raises:
        UnavailableError: the intent could not be written; then nothing is signed.
        SignerError: as `CloudKmsKey.sign`, or the signature is not the key's.
        CommandError: the outcome could not be written; what was signed is kept.
    """
    known = {
        "tbs_sha256": tbs.sha256,
        "serial_number": f"{tbs.serial_number:x}",
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
    except BaseException as error:  # an interrupt too: KMS may have signed
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
