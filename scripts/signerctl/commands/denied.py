"""`signerctl denied`: the requests that the function refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click

from csr_signer import field_error
from signerctl.durations import age
from signerctl.output import Column, Form, Json, output_options, print_list
from signerctl.program import Command, CommandError
from signerctl.recorded.entries import member
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refused request.

    Attributes:
        time: When the function recorded the refusal.
        cluster, signer_name: The signer.
        csr_name, csr_uid: The CSR.
        requester: The username that the API server recorded.
        pod: NAMESPACE/NAME of the requester's pod; empty if the token names none.
        reason: The condition's reason.
        codes: The codes of all broken rules.
        violations: The codes with the requested and the allowed values.
    """

    time: datetime
    cluster: str
    signer_name: str
    csr_name: str
    csr_uid: str
    requester: str
    pod: str
    reason: str
    codes: tuple[str, ...]
    violations: str

    @classmethod
    def of(cls, record: Json) -> "Refusal":
        """Parses a record.

        Raises:
            CommandError: The record lacks a field.
        """
        csr = member(member(record, "decision_inputs"), "csr")
        try:
            return cls(
                time=datetime.fromisoformat(record["time"]),
                csr_name=str(csr.get("name") or record["csr_name"]),  # the record itself may hold only its beginning
                requester=str(csr.get("username") or record["requester"]),
                codes=tuple(map(str, record["codes"])),
                pod=str(record.get("pod", "")),
                **{name: str(record[name]) for name in ("cluster", "signer_name", "csr_uid", "reason", "violations")},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CommandError(field_error.malformed("--records", f"a refusal cannot be read: {error}")) from error


@click.command(cls=Command)
@record_options
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
    refusals = sorted(map(Refusal.of, records.of("refused")), key=lambda each: each.time, reverse=True)
    print_list(COLUMNS, _rows(refusals), [_item(each) for each in refusals], form=form)


def _rows(newest_first: Sequence[Refusal]) -> list[tuple[str, ...]]:
    groups: dict[tuple[object, ...], list[Refusal]] = {}
    for each in newest_first:
        groups.setdefault((each.cluster, each.signer_name, each.requester, each.pod, each.codes), []).append(each)
    now = datetime.now(UTC)
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


def _item(refusal: Refusal) -> Json:
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
