"""`signerctl reconcile`: compares every signature of Cloud KMS with the audit records."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from csr_signer import field_error
from signerctl import reconciliation
from signerctl.interface.output import Form, print_document, report_options
from signerctl.interface.program import Command, CommandError
from signerctl.interface.text import counted, table, warn
from signerctl.kinds import EMPTY, kind_of
from signerctl.options import DOCUMENT
from signerctl.reconciliation import Discrepancy
from signerctl.recorded.entries import Json, read
from signerctl.recorded.malformed import Malformed

_SIGNATURES: Final = 'protoPayload.methodName="AsymmetricSign"'
_RECORDS: Final = 'labels.log="csr-signer"'


@click.command(cls=Command)
@click.argument(
    "files", nargs=-1, required=True, type=DOCUMENT, help="Entries of Cloud KMS's audit log, and audit records."
)
@click.option(
    "--principal",
    "principals",
    multiple=True,
    help="Email of a principal that may sign, as in the audit log: the function, the CA administrator.",
)
@report_options
@click.pass_context
def reconcile(context: click.Context, *, files: Sequence[Path], principals: tuple[str, ...], form: Form) -> None:
    r"""Match every signature of Cloud KMS with a record.

    FILES hold, in any mixture, entries of the audit log of Cloud KMS, entries of the function's records, and audit
    records of signerctl, as `gcloud logging read --format=json` or --audit-log wrote them. A signature without a record
    bypassed the function: remove the right on the key from the principal that made it, and treat the CA as compromised.
    If there is an error or a malformed record, the exit status is 1. The command needs both: the entries of Cloud KMS,
    and the records. It cannot tell a forged record: docs/evidence.md says who can write one.

    \b
    Example:
      gcloud logging read --bucket=csr-signer-audit --location=europe-west1 --view=_AllLogs \
        --project=example-audit --freshness=1d --format=json \
        'protoPayload.methodName="AsymmetricSign" OR labels.log="csr-signer"' > day.json
      signerctl reconcile day.json ca-audit.log \
        --principal csr-signer@example-signer.iam.gserviceaccount.com --principal ca-administrator@example.com

    A record of the first or last minute may belong to an entry outside the period. If an error is about such a minute,
    run the command again with a longer period.
    """
    malformed = Malformed()
    books = reconciliation.books((entry for path in files for entry in _entries(path)), malformed)
    malformed.report()
    if not books.requests and not books.records:
        raise CommandError("FILES: Required value: a signature or a record: choose a period that has some")
    if not books.requests:
        raise CommandError(
            f"FILES: Required value: Cloud KMS's audit log: the files hold {counted(len(books.records), 'record')} of"
            " intents and outcomes, but no entry of a signature. Fetch the log of the same period:"
            f" {_fetch(_SIGNATURES)}. If the log has no such entry, Cloud KMS writes no data access logs: see"
            " docs/audit.md"
        )
    if not books.records:
        warn(
            "FILES: no record of the function or of signerctl, so every signature is an error:"
            f" {len(books.signatures)}. If a file is missing, fetch the records of the same period:"
            f" {_fetch(_RECORDS)}. signerctl's own records are in the file that --audit-log named"
        )
    found = list(reconciliation.discrepancies(books, principals))
    summary = {
        "signatures": len(books.signatures),
        "records": len(books.records),
        "discrepancies": len(found),
    }
    if form.is_for_people:
        rows = [(each.level, each.what, each.signed[1] or "(no reason)", each.signed[0], each.detail) for each in found]
        title = ", ".join(
            (
                counted(len(books.signatures), "signature"),
                counted(len(books.records), "record"),
                counted(len(found), "discrepancy", "discrepancies"),
            )
        )
        table(title, rows or [("ok", "every signature is accounted for")])
    else:
        print_document({"summary": summary, "items": list(map(_item, found))}, form=form)
    if any(each.level == "error" for each in found):
        context.exit(1)
    malformed.exit()


def _item(found: Discrepancy) -> Json:
    key_version, reason = found.signed
    facts = {"key_version": key_version, "reason": reason}
    return {"level": found.level, "what": found.what, **facts, "detail": found.detail}


def _entries(path: Path) -> Sequence[Json]:
    """Returns the entries of one file; refuses a file in which none is of a kind that the comparison knows."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: cannot read the file: {error.strerror}") from error
    kind = kind_of(content)
    if kind is EMPTY:
        raise CommandError(field_error.required(str(path), f"log entries or records: {EMPTY.name}: {EMPTY.remedy}"))
    try:
        entries = list(read(io.StringIO(content.decode("utf-8"))))
    except ValueError as error:
        got = str(error) if kind is None else kind.name
        raise CommandError(
            field_error.malformed(str(path), f"must be JSON of log entries or records: {got}")
        ) from error
    if entries and not any(map(reconciliation.is_known, entries)):
        must = (
            "must hold entries of Cloud KMS's audit log, of the function's log on Cloud Run, or records of signerctl:"
            f" fetch them with {_fetch(f'{_SIGNATURES} OR {_RECORDS}')}"
        )
        others = counted(len(entries), "entry of another kind", "entries of other kinds")
        raise CommandError(field_error.malformed(str(path), f"{others}: {must}"))
    return entries


def _fetch(wanted: str) -> str:
    """Returns the command that fetches entries from the log bucket that Terraform made."""
    return (
        "`gcloud logging read --bucket=csr-signer-audit --location=LOCATION --view=_AllLogs --project=AUDIT_PROJECT"
        f" --freshness=1d --format=json '{wanted}'`"
    )
