"""`signerctl reconcile`: compares every signature of Cloud KMS with the audit records."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from signerctl import reconciliation
from signerctl.options import DOCUMENT
from signerctl.program import Command, CommandError
from signerctl.reconciliation import Json
from signerctl.text import table


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=DOCUMENT)
@click.option(
    "--principal",
    "principals",
    multiple=True,
    help="Email of a principal that may sign, as in the audit log: the function, the CA administrator.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def reconcile(context: click.Context, *, files: Sequence[Path], principals: tuple[str, ...], as_json: bool) -> None:
    r"""Match every signature of Cloud KMS with a record.

    FILES hold, in any mixture, entries of the audit log of Cloud KMS, entries of the function's records, and audit
    records of signerctl, as `gcloud logging read --format=json` or --audit-log wrote them. A signature without a record
    bypassed the function: remove the right on the key from the principal that made it, and treat the CA as compromised.
    If there is an error, the exit status is 1.

    \b
    Example:
      gcloud logging read --bucket=csr-signer-audit --location=europe-west1 --view=_AllLogs \
        --project=example-audit --freshness=1d --format=json \
        'protoPayload.methodName="AsymmetricSign" OR labels.log="csr-signer"' > day.json
      signerctl reconcile day.json ca-audit.log \
        --principal csr-signer@example-workload.iam.gserviceaccount.com --principal ca-admin@example.com

    A record of the first or last minute may match an entry outside the period: choose a period without such entries.
    """
    books = reconciliation.books(entry for path in files for entry in _entries(path))
    if not books.requests and not books.records:
        raise CommandError("FILES: Required value: a signature or a record: choose a period that has some")
    found = list(reconciliation.discrepancies(books, principals))
    summary = f"{len(books.signatures)} signatures, {len(books.records)} records, {len(found)} discrepancies"
    if as_json:
        click.echo(json.dumps({"summary": summary, "discrepancies": [dataclasses.asdict(each) for each in found]}))
    else:
        rows = [(each.level, each.what, each.signed[1] or "(no reason)", each.signed[0], each.detail) for each in found]
        table(summary, rows or [("ok", "every signature is accounted for")])
    if any(each.level == "error" for each in found):
        context.exit(1)


def _entries(path: Path) -> Iterator[Json]:
    try:
        yield from reconciliation.read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: cannot read the file: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: Invalid value: must be JSON of log entries or records: {error}") from error
