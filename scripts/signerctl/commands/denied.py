"""`signerctl denied`: the requests that the function refused."""

from collections.abc import Sequence
from typing import Final

import click

from signerctl.interface import clock
from signerctl.interface.durations import age
from signerctl.interface.output import Column, Form, Json, output_options, print_list
from signerctl.interface.program import Command
from signerctl.recorded import RecordedRefusal
from signerctl.recorded.source import Records, record_options

COLUMNS: Final = (
    Column(title="last"),
    Column(title="count"),
    Column(title="cluster", wide=True),
    Column(title="requester"),
    Column(title="pod"),
    Column(title="reason"),
    Column(title="codes"),
    Column(title="csr", wide=True),
    Column(title="violations", wide=True),
)


@click.command(cls=Command)
@record_options()
@output_options
def denied(*, records: Records, form: Form) -> None:
    r"""List the requests that the function refused, and why; the newest first.

    A table has one line for each requester, pod and set of broken rules; COUNT is the number of its CSRs. With -o wide,
    CSR and VIOLATIONS are those of the last one. docs/refusals.md says what each code means. With -o json or yaml, each
    refusal is one item.

    \b
    Examples:
      signerctl denied --records function.log --since 1h
      gcloud logging read --format=json ... | signerctl denied --records - -o wide
    """
    refusals = records.refusals()
    print_list(
        COLUMNS, _rows(refusals), [_item(each) for each in refusals], form=form, none="no refusal in the records"
    )


def _rows(newest_first: Sequence[RecordedRefusal]) -> list[tuple[str, ...]]:
    groups: dict[tuple[object, ...], list[RecordedRefusal]] = {}
    for each in newest_first:
        groups.setdefault((each.cluster, each.signer_name, each.requester, each.pod, each.codes), []).append(each)
    now = clock.now()
    return [
        (
            age(now - last.time),
            str(1 + len(others)),
            last.cluster,
            last.requester,
            last.pod,
            last.reason,
            ", ".join(last.codes),
            last.csr_name,
            last.violations,
        )
        for last, *others in groups.values()
    ]


def _item(refusal: RecordedRefusal) -> Json:
    return {
        "time": refusal.time.isoformat(),
        "cluster": refusal.cluster,
        "signer_name": refusal.signer_name,
        "csr_name": refusal.csr_name,
        "csr_uid": refusal.csr_uid,
        "requester": refusal.requester,
        "pod": refusal.pod,
        "reason": refusal.reason,
        "codes": list(refusal.codes),
        "violations": refusal.violations,
    }
