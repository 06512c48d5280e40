"""`signerctl replay`: re-evaluates recorded decisions with another configuration."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from csr_signer.configuration import loader
from signerctl.interface import progress
from signerctl.interface.output import Column, Form, Json, output_options, print_document, print_list
from signerctl.interface.program import Command, CommandError
from signerctl.options import DOCUMENT
from signerctl.recorded.replay import DECISIONS, Difference, Level, RecordedDecision
from signerctl.recorded.replay import replay as replay_
from signerctl.recorded.source import Records, record_options

SINCE_VERSION: Final = "0.2.0"
"""The first version whose records hold the inputs of decisions."""
COLUMNS: Final = (
    Column(title="cluster", wide=True),
    Column(title="csr"),
    Column(title="pod"),
    Column(title="recorded"),
    Column(title="replayed"),
    Column(title="what"),
    Column(title="time", wide=True),
    Column(title="detail", wide=True),
)


@click.command(cls=Command)
@click.option(
    "--configuration",
    type=DOCUMENT,
    required=True,
    help="The new configuration document, with its files in its folder.",
)
@record_options()
@output_options
@click.pass_context
def replay(context: click.Context, *, configuration: Path, records: Records, form: Form) -> None:
    r"""Show what another configuration, profile or release would decide differently.

    Re-evaluates every recorded decision with the configuration's profiles and CA certificates and the code of this
    signerctl, as of the time of the decision. It asks no cluster and no KMS. To try a new release of kms-csr-signer,
    run that release's signerctl.

    A difference is another decision, other codes of a refusal, or other content of a certificate. It is also a
    difference if the configuration has no such signer (`no_signer`), or if the profile needs a pod or node that the
    function did not read (`needs_more`). A note is less: another text of a refusal, or another validity because the
    issuer's chain starts or expires at another time, as after a rotation of the CA. -o wide also lists notes. A
    decision is unknown if the function left out inputs, because they were too large or not valid Unicode. Unknown
    decisions are listed, and do not change the exit status.

    The exit status is 1 if there is a difference, or a malformed record.

    \b
    Examples:
      signerctl replay --records function.log --configuration new/function.json
      signerctl replay --records week.json --configuration new/function.json --cluster prod -o wide
    """
    signers = loader.load(configuration).signers
    replayed, without = 0, 0
    found: list[tuple[Json, Difference]] = []
    with progress.bar("replaying", records.size) as advance:
        for record in replace(records, advance=advance).parsed(RecordedDecision.of, *DECISIONS):
            if record.inputs is None:
                without += 1
                continue
            replayed += 1
            difference = replay_(record, record.inputs, signers)
            if difference is not None:
                found.append((_about(record), difference))
    if not replayed:
        raise CommandError(_nothing(without))
    levels = Counter(difference.level for _, difference in found)
    _print(found, _summary(replayed, without, levels), form)
    if levels[Level.DIFFERENCE]:
        context.exit(1)


def _nothing(without: int) -> str:
    if not without:
        return "--records: Required value: a decision: choose a period that has an intent or a refusal"
    return (
        f"--records: Invalid value: {without} decisions, none with its inputs: records have them since version"
        f" {SINCE_VERSION} of the function"
    )


def _about(record: RecordedDecision) -> Json:
    """Returns what the output says about a record; thousands of whole records would fill the memory."""
    return {
        "cluster": record.cluster,
        "signer_name": record.signer_name,
        "csr_name": record.csr_name,
        "csr_uid": record.csr_uid,
        "pod": record.pod,
        "decided_at": record.decided_at.isoformat(),
    }


def _summary(replayed: int, without: int, levels: Counter[Level]) -> Json:
    return {
        "decisions": replayed,
        "differences": levels[Level.DIFFERENCE],
        "notes": levels[Level.NOTE],
        "unknown": levels[Level.UNKNOWN],
        "without_inputs": without,
    }


def _print(found: list[tuple[Json, Difference]], summary: Json, form: Form) -> None:
    if not form.is_for_people:
        items = [{**about, **_item(difference)} for about, difference in found]
        print_document({"summary": summary, "items": items}, form=form)
        return
    click.echo(_sentence(summary))
    shown = [each for each in found if form is Form.WIDE or each[1].level is not Level.NOTE]
    print_list(COLUMNS, [_row(*each) for each in shown], [], form=form)


def _sentence(summary: Json) -> str:
    text = f"{summary['decisions']} decisions replayed: {summary['differences']} differ, {summary['unknown']} unknown"
    if summary["notes"]:
        text += f"; {summary['notes']} with another text or an issuer's other validity, which -o wide lists"
    if summary["without_inputs"]:
        text += f"; {summary['without_inputs']} without inputs, from before version {SINCE_VERSION}"
    return text


def _item(difference: Difference) -> Json:
    return {
        "level": difference.level.value,
        "recorded": difference.recorded,
        "replayed": difference.replayed,
        "what": list(difference.what),
        "detail": difference.detail,
    }


def _row(about: Json, difference: Difference) -> tuple[str, ...]:
    return (
        about["cluster"],
        about["csr_name"],
        about["pod"],
        difference.recorded,
        difference.replayed,
        ", ".join(difference.what) or difference.detail,
        about["decided_at"],
        difference.detail,
    )
